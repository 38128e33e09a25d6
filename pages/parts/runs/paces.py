"""How long passes took in finished runs, from which the duration of the next run is estimated."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from perturb.core import stopwatch
from perturb.engine.runner import Progress

KEPT = 2000
"""Measurements that are kept; the oldest goes first."""


@dataclass(frozen=True)
class Pace:
    """The duration of a run as a function of its passes.

    Attributes:
        each: seconds of a pass.
        start: seconds that the run takes besides, such as to prepare.
    """

    each: float
    start: float = 0.0

    def seconds(self, passes: float) -> float:
        """Expected duration of a run."""
        return self.start + self.each * passes

    def scaled(self, factor: float) -> Pace:
        """The pace if all work is `factor` times as much."""
        return Pace(self.each * factor, self.start * factor)


class Paces:
    """The latest pace of each kind of run, for each segmenter and size of image."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, int, int, str], Pace] = OrderedDict()

    def keep(self, segmenter: str, height: int, width: int, kind: str, pace: Pace) -> None:
        """Store a measurement."""
        key = segmenter, height, width, kind
        self._known[key] = pace
        self._known.move_to_end(key)
        while len(self._known) > KEPT:
            self._known.popitem(last=False)

    def find(self, segmenter: str, height: int, width: int, kinds: Sequence[str]) -> tuple[str, Pace] | None:
        """The pace of the first kind that was measured, and that kind; None if none was.

        One that was measured only on images of another size is scaled by the number of pixels.
        """
        for kind in kinds:
            if (pace := self._known.get((segmenter, height, width, kind))) is not None:
                return kind, pace
        for kind in kinds:
            for (name, high, wide, other), pace in reversed(list(self._known.items())):
                if (name, other) == (segmenter, kind):
                    return kind, pace.scaled(height * width / (high * wide))
        return None


class Meter:
    """A progress callback that measures a run. The time in which the run waits for its turn does not count.

    Args:
        progress: is called as well.
        passes: of the run.
    """

    def __init__(self, progress: Progress, passes: int) -> None:
        self._progress, self._passes = progress, max(passes, 1)
        self._began = stopwatch.now()
        self._first: tuple[float, float] | None = None
        self._last = (0.0, 0.0)

    def __call__(self, fraction: float) -> None:
        self._last = (stopwatch.now(), fraction)
        self._first = self._first or self._last
        self._progress(fraction)

    def pace(self) -> Pace:
        """The pace of the run that ends now.

        Passes are measured from the first call to the last, so that what comes before and after is not taken for
        passes: in a short run it takes most of the time.
        """
        total = stopwatch.now() - self._began
        (first, early), (last, late) = self._first or self._last, self._last
        passes = (late - early) * self._passes
        if passes < 1:
            return Pace(total / self._passes)
        each = (last - first) / passes
        return Pace(each, max(total - each * self._passes, 0.0))
