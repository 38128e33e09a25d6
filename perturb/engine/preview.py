"""Previews of a long run whose masks go from coarse to fine."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from perturb.perturbations.masks import Masks
from perturb.targets.readings import Readings

Preview = Callable[[Readings], None]
"""Called now and then in a long run with readings for *all* masks: their own where they were run, a neighbour's elsewhere."""

INTERVAL = 1.0
"""Seconds between two previews, at least; longer after one that took longer than a tenth of a second."""


class Previews:
    """Shows a run from coarse to fine while it goes on.

    Args:
        masks, order: what is run, and in which order.
        preview: is shown what is known so far.
    """

    def __init__(self, masks: Masks, order: npt.NDArray[np.int64], preview: Preview) -> None:
        self._masks, self._order, self._preview = masks, order, preview
        self._parts: list[Readings] = []
        self._due = time.monotonic() + INTERVAL

    def note(self, readings: Readings) -> Readings:
        """Keep the readings of one more batch."""
        self._parts.append(readings)
        return readings

    def show(self) -> None:
        """Show what is known, if it is time."""
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
