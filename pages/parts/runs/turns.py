"""Take turns: one run computes at a time, and a long one lets those of other visitors go first between two batches.

One run on all cores is faster than two on half of them each. Visitors are served in rotation, and the runs of one
visitor in the order in which they came. This module knows nothing of pages: a visitor is a name, and each run has a
thread of its own.
"""

from __future__ import annotations

import threading
import time
from bisect import insort
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from perturb.core import stopwatch

REDRAW = 0.25
"""Seconds between two calls of a waiting run's callback, in which its visitor can leave."""

SHORT = 10.0
"""Seconds. A run that is expected to take no more may begin beside as many others as there may be."""


@dataclass(frozen=True)
class Place:
    """The place of a run in the queue.

    Attributes:
        number: 1 for the run that is next.
        wait: expected seconds until it is served.
    """

    number: int
    wait: float


class Turn:
    """One run's place in the queue, and its right to compute. Made by `Turns.take`.

    Attributes:
        visitor: whose run it is.
        left: expected seconds of its own work that remain. The run keeps this up to date.
    """

    def __init__(self, turns: Turns, visitor: str, number: int, seconds: float, wait: Callable[[Place], None]) -> None:
        self.visitor, self.left = visitor, seconds
        self._turns, self._number, self._wait = turns, number, wait
        self._served = threading.Event()
        self._since: float | None = None
        self._used = 0.0
        self.begun = False

    @property
    def used(self) -> float:
        """Seconds in which it could compute so far."""
        since = self._since
        return self._used + (0.0 if since is None else time.monotonic() - since)

    @property
    def others(self) -> int:
        """Number of other visitors with runs that wait or compute."""
        return len(self._turns.work_of_others(self.visitor))

    def ends_in(self) -> float:
        """Expected seconds until its end, in which others have their turns, too."""
        return self._turns.ends_in(self)

    def hand_over(self) -> None:
        """Let another visitor go first if one waits and this turn has lasted for a slice; returns when it is served again.

        Call it between two batches.

        Raises:
            BaseException: what the callback raised while it waited. The place in the queue is then free.
        """
        if self._turns.requeue(self):
            self.wait()

    def wait(self) -> None:
        """Wait until it is served."""
        with stopwatch.paused():
            while not self._served.wait(REDRAW):
                self._wait(self._turns.place(self))

    def start(self) -> None:
        """Served from now on. Called under the lock of the queue."""
        self._since = time.monotonic()
        self.begun = True
        self._served.set()

    def end(self) -> None:
        """No longer served. Called under the lock of the queue."""
        self._used, self._since = self.used, None
        self._served.clear()

    def __lt__(self, other: Turn) -> bool:
        return self._number < other._number


class Turns:
    """The queue.

    Args:
        slice_seconds: a run that has computed for so long lets a waiting visitor go first.
        most: runs that may have begun at a time. Each holds memory also while it waits. One more may begin if it is short.
    """

    def __init__(self, slice_seconds: float, most: int = 4) -> None:
        self._slice, self._most = slice_seconds, most
        self._lock = threading.Lock()
        self._serving: Turn | None = None
        self._waiting: OrderedDict[str, list[Turn]] = OrderedDict()
        """Visitors in the order in which they are served next, each with waiting runs in the order in which they came."""
        self._count = 0

    @contextmanager
    def take(self, visitor: str, seconds: float, wait: Callable[[Place], None]) -> Iterator[Turn]:
        """Queue, and compute inside. At the end, and after any exception, the place is free at once.

        Args:
            visitor: whose run it is.
            seconds: expected duration of its own work.
            wait: called several times a second while the run waits; an exception that it raises ends the waiting.
        """
        with self._lock:
            self._count += 1
            turn = Turn(self, visitor, self._count, seconds, wait)
            self._enqueue(turn)
            if self._serving is None:
                self._next()
        try:
            turn.wait()
            yield turn
        finally:
            self._leave(turn)

    def requeue(self, turn: Turn) -> bool:
        """Queue again a run that is served, if its slice is over and another visitor waits. Returns whether it did."""
        with self._lock:
            since = turn._since
            if since is None or time.monotonic() - since < self._slice:
                return False
            if not any(turns[0].visitor != turn.visitor and self._may_go(turns[0]) for turns in self._waiting.values()):
                return False
            self._enqueue(turn)
            self._release()
            return True

    def place(self, turn: Turn) -> Place:
        """The place of a waiting run, and when it is served."""
        with self._lock:
            own, serving = self._waiting.get(turn.visitor, []), self._serving
            before = [each for each in own if each < turn]
            visitors = list(self._waiting)
            ahead = visitors[: visitors.index(turn.visitor)] if turn.visitor in visitors else []
            number = 1 + len(ahead) + len(before)
            if serving is not None and serving.visitor == turn.visitor and serving < turn:
                before.append(serving)
            if before:  # all of the visitor's earlier work comes first, and the others have their turns meanwhile
                work = sum(each.left for each in before)
                return Place(number, self._shared(turn.visitor, work))
            wait = sum(min(self._slice, self._waiting[visitor][0].left) for visitor in ahead)
            if serving is not None and serving._since is not None:
                rest = max(self._slice - (time.monotonic() - serving._since), 0.0)
                wait += min(rest, serving.left)
            if not self._may_go(turn):  # not before another run has ended
                wait = max(wait, min(self._shared(each.visitor, each.left) for each in self._all() if each.begun))
            return Place(number, wait)

    def ends_in(self, turn: Turn) -> float:
        """Expected seconds until a run ends."""
        with self._lock:
            own = [each for each in self._all() if each.visitor == turn.visitor and each < turn]
            return self._shared(turn.visitor, turn.left + sum(each.left for each in own))

    def work_of(self, visitor: str) -> float:
        """Expected seconds of work that remain of a visitor's runs, waiting or not."""
        with self._lock:
            return sum(turn.left for turn in self._all() if turn.visitor == visitor)

    def work_of_others(self, visitor: str) -> dict[str, float]:
        """Expected seconds of work that remain of each other visitor."""
        with self._lock:
            return self._others(visitor)

    def _all(self) -> list[Turn]:
        waiting = [turn for turns in self._waiting.values() for turn in turns]
        return waiting if self._serving is None else [self._serving, *waiting]

    def _others(self, visitor: str) -> dict[str, float]:
        work: dict[str, float] = {}
        for turn in self._all():
            if turn.visitor != visitor:
                work[turn.visitor] = work.get(turn.visitor, 0.0) + turn.left
        return work

    def _shared(self, visitor: str, work: float) -> float:
        """Seconds that a visitor's work takes when every other visitor has as many turns."""
        return work + sum(min(other, work) for other in self._others(visitor).values())

    def _enqueue(self, turn: Turn) -> None:
        insort(self._waiting.setdefault(turn.visitor, []), turn)

    def _next(self) -> None:
        """Serve the next visitor, if any."""
        self._serving = None
        for visitor, turns in self._waiting.items():
            if self._may_go(turns[0]):
                self._serving = turns.pop(0)
                if turns:
                    self._waiting.move_to_end(visitor)
                else:
                    del self._waiting[visitor]
                self._serving.start()
                return

    def _may_go(self, turn: Turn) -> bool:
        """Whether a run that is the first of its visitor may compute. At least one always may: a visitor's next run
        begins when the one before it has ended."""
        begun = sum(each.begun for each in self._all())
        return turn.begun or begun < self._most or (begun == self._most and turn.left <= SHORT)

    def _release(self) -> None:
        """End the present turn and serve the next one. The visitor who was just served comes last."""
        served = self._serving
        if served is not None:
            served.end()
            if served.visitor in self._waiting:
                self._waiting.move_to_end(served.visitor)
        self._next()

    def _leave(self, turn: Turn) -> None:
        with self._lock:
            if self._serving is turn:
                self._release()
                return
            turns = self._waiting.get(turn.visitor, [])
            if turn in turns:
                turns.remove(turn)
                if not turns:
                    del self._waiting[turn.visitor]
                if self._serving is None:
                    self._next()
