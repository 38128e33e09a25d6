"""Layers to visit from the image to the logits, and summary statistics of their channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from perturb.core.errors import SettingError
from perturb.segmenters.layers import Layer

Sign = Literal["signed", "positive", "negative"]
SIGNS: dict[str, str] = {
    "signed": "values as they are, above zero and below it",
    "positive": "only what is above zero",
    "negative": "only what is below zero, its sign turned",
}
"""Which part of a map is looked at."""
ORDERS: dict[str, str] = {
    "mean": "by the mean over the image",
    "maximum": "by the largest value",
    "inside": "by how much larger the mean inside the region is than the mean outside it, as a part of the channel's "
    "largest magnitude",
    "number": "by their number in the layer",
}
"""How channels can be ordered; all but the last from the largest down."""


def stops(found: Sequence[Layer], classes: int, count: int = 3) -> tuple[str, ...]:
    """Layers for a walk: evenly spaced from the first to the last before the logits.

    They are taken from the network's outermost blocks, or from the next level where these are fewer than `count`.
    A layer with as many channels as there are classes is taken for logits and left out.

    Args:
        found: from `LayerAccess.layers`.
        classes: K.
        count: how many are wanted.

    Returns:
        At most `count` names, in the order of the network; empty if there is no layer.
    """
    inner = [layer for layer in found if layer.shape[0] != classes]
    for level in range(1 + max((layer.name.count(".") for layer in inner), default=0)):
        outer = [layer for layer in inner if layer.name.count(".") == level]
        if len(outer) >= count:
            inner = outer
            break
    places = np.unique(np.linspace(0, len(inner) - 1, min(count, len(inner))).round().astype(int))
    return tuple(inner[place].name for place in places)


def part(values: npt.NDArray[np.float32], sign: Sign) -> npt.NDArray[np.float32]:
    """A map, what of it is above zero, or the size of what is below; see `SIGNS`."""
    if sign == "signed":
        return values
    return np.maximum(values if sign == "positive" else -values, np.float32(0))


def share_inside(values: npt.NDArray[np.float32], region: npt.NDArray[np.bool_]) -> float:
    """How much of what is above zero in a map `(H, W)` lies in a region, in [0, 1]; NaN if nothing is above zero."""
    above = np.maximum(values, 0).astype(np.float64)
    total = float(above.sum())
    return float(above[region].sum()) / total if total else float("nan")


@dataclass(frozen=True, eq=False)
class ChannelStatistics:
    """What each channel of a layer does on one image; float64 `(C,)` each, in the layer's own units.

    Attributes:
        mean, minimum, maximum: over the layer's cells.
        inside: (mean in the region − mean outside) / largest magnitude, in [−2, 2]; 0 for a channel that is zero all
            over, and for all channels where the region covers every cell.
    """

    mean: npt.NDArray[np.float64]
    minimum: npt.NDArray[np.float64]
    maximum: npt.NDArray[np.float64]
    inside: npt.NDArray[np.float64]

    def order(self, by: str) -> npt.NDArray[np.int64]:
        """Channel numbers, the largest first; ties by number. See `ORDERS`.

        Raises:
            SettingError: no such order.
        """
        if by not in ORDERS:
            raise SettingError(f"Channels cannot be ordered by '{by}'; expected one of {', '.join(ORDERS)}.")
        if by == "number":
            return np.arange(len(self.mean))
        return np.argsort(-np.asarray(getattr(self, by)), kind="stable")


def channel_statistics(values: npt.NDArray[np.float32], cells: npt.NDArray[np.bool_]) -> ChannelStatistics:
    """Sum up the channels of a layer.

    Args:
        values: the layer's activations, float `(C, h, w)`.
        cells: those in the region, bool `(h, w)`.
    """
    flat = values.reshape(len(values), -1).astype(np.float64)
    region = cells.ravel()
    largest = np.abs(flat).max(1)
    inside = np.zeros(len(flat))
    if region.any() and not region.all():
        apart = flat[:, region].mean(1) - flat[:, ~region].mean(1)
        inside = np.divide(apart, largest, out=inside, where=largest > 0)
    return ChannelStatistics(flat.mean(1), flat.min(1), flat.max(1), inside)
