"""What a visitor may run on this server: the longest run, and the computing of an hour."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from perturb.experiments.estimates import duration
from perturb.lab.limits import HostLimits

HOUR = 3600.0
OVERRUN = 1.5
"""A run is stopped when it takes this many times the limit, because estimates are not exact."""


class Budget:
    """Seconds of computing that each visitor used in the last hour.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._used: dict[str, deque[tuple[float, float]]] = {}

    def spend(self, visitor: str, seconds: float) -> None:
        """Count a run that ends now."""
        with self._lock:
            self._forget()
            self._used.setdefault(visitor, deque()).append((self._clock(), seconds))

    def used(self, visitor: str) -> float:
        """Seconds used in the last hour."""
        with self._lock:
            self._forget()
            return sum(seconds for _, seconds in self._used.get(visitor, ()))

    def _forget(self) -> None:
        before = self._clock() - HOUR
        for visitor, runs in list(self._used.items()):
            while runs and runs[0][0] <= before:
                runs.popleft()
            if not runs:
                del self._used[visitor]


def refusal(seconds: float, used: float, limits: HostLimits, fits: Callable[[float], str]) -> str:
    """Why a run cannot start, in words; empty if it can.

    Args:
        seconds: its expected duration.
        used: what the visitor used in the last hour, the expected rest of present runs included.
        limits: of this server.
        fits: says what would take at most so many seconds.
    """
    left = max(limits.visitor_seconds - used, 0.0)
    of_hour = bool(limits.visitor_seconds) and seconds > left
    if limits.run_seconds and seconds > limits.run_seconds and (not of_hour or limits.run_seconds <= left):
        rule, allowed = f"this server allows {duration(limits.run_seconds)} a run", limits.run_seconds
    elif of_hour:
        share = f"the {duration(limits.visitor_seconds)} of computing an hour that this server gives each visitor"
        rule = f"you have {duration(left)} left of {share}" if left >= 1 else f"you have used {share}"
        allowed = left
    else:
        return ""
    return f"This run is estimated at {duration(seconds)}; {rule}: {fits(allowed) if allowed >= 1 else 'run it later'}."


def overrun(used: float, limits: HostLimits) -> bool:
    """Whether a run that has computed for `used` seconds must be stopped."""
    return bool(limits.run_seconds) and used > OVERRUN * limits.run_seconds
