"""A clock that stands still while this thread waits for its turn on a machine that several runs share.

A run that lets another one go first is not slower for it, so its duration must not count the time of the other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class _Paused(threading.local):
    seconds = 0.0


_PAUSED = _Paused()


def now() -> float:
    """Seconds since some moment, without those that this thread spent in `paused`. Differences are durations."""
    return time.perf_counter() - _PAUSED.seconds


@contextmanager
def paused() -> Iterator[None]:
    """Stop the clock of this thread."""
    began = time.perf_counter()
    try:
        yield
    finally:
        _PAUSED.seconds += time.perf_counter() - began
