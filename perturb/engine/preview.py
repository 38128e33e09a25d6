"""Previews of a long run whose masks are ordered from coarse to fine."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from perturb.perturbations.masks import Masks
from perturb.targets.readings import Readings

Preview = Callable[[Readings], None]
"""Called repeatedly in a long run with readings for *all* masks: their own if already run, otherwise a neighbour's."""

INTERVAL = 1.0
"""Minimum interval between two previews, in seconds; longer after a preview that took more than a tenth of a second."""


class Previews:
    """Collects the readings of a run and shows previews.

    Args:
        masks: the masks of the run.
        order: the order in which they are run, int64 `(N,)`.
        preview: called with the readings so far.
    """

    def __init__(self, masks: Masks, order: npt.NDArray[np.int64], preview: Preview) -> None:
        self._masks, self._order, self._preview = masks, order, preview
        self._parts: list[Readings] = []
        self._due = time.monotonic() + INTERVAL

    def note(self, readings: Readings) -> Readings:
        """Add the readings of a batch, and return them."""
        self._parts.append(readings)
        return readings

    def show(self) -> None:
        """Show a preview, if one is due."""
        began = time.monotonic()
        if began < self._due:
            return
        known = Readings.concatenate(self._parts)
        if len(known) == len(self._masks):
            return
        place = np.empty(len(self._order), dtype=np.int64)
        place[self._order] = np.arange(len(self._order))
        self._preview(known[place[self._masks.stand_ins(len(known))]])
        took = time.monotonic() - began
        self._due = began + took + INTERVAL * max(1.0, 10 * took)
