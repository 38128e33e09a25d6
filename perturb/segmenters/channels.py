"""A selection of layers between the image and the logits, and summary statistics of their channels."""

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
    "positive": "only values above zero",
    "negative": "only values below zero, negated",
}
"""The part of an activation map that is shown."""
ORDERS: dict[str, str] = {
    "mean": "by the mean over the image",
    "maximum": "by the largest value",
    "inside": "by the mean inside the region minus the mean outside it, relative to the channel's largest magnitude",
    "number": "by their number in the layer",
}
"""Orders of channels; all but the last are descending."""


def stops(found: Sequence[Layer], classes: int, count: int = 3) -> tuple[str, ...]:
    """Select layers that are evenly spaced from the first one to the last one before the logits.

    They are taken from the network's outermost blocks, or from the next level if there are fewer than `count` of these.
    A layer with as many channels as there are classes is assumed to hold logits and left out.

    Args:
        found: from `LayerAccess.layers`.
        classes: K.
        count: number of layers wanted.

    Returns:
        At most `count` names, in network order; empty if there is no layer.
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
    """A map, its positive part, or the magnitude of its negative part; see `SIGNS`."""
    if sign == "signed":
        return values
    return np.maximum(values if sign == "positive" else -values, np.float32(0))


def share_inside(values: npt.NDArray[np.float32], region: npt.NDArray[np.bool_]) -> float:
    """Share of the positive part of a map `(H, W)` that lies in a region, in [0, 1]; NaN if no value is positive."""
    above = np.maximum(values, 0).astype(np.float64)
    total = float(above.sum())
    return float(above[region].sum()) / total if total else float("nan")


@dataclass(frozen=True, eq=False)
class ChannelStatistics:
    """Statistics of each channel of a layer on one image, float64 `(C,)` each, in the layer's own units.

    Attributes:
        mean, minimum, maximum: over the layer's cells.
        inside: (mean in the region − mean outside) / largest magnitude, in [−2, 2]; 0 for a channel that is zero
            everywhere, and for all channels if the region covers all cells or none.
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
    """Compute the statistics of the channels of a layer.

    Args:
        values: the layer's activations, float32 `(C, h, w)`.
        cells: cells in the region, bool `(h, w)`.
    """
    flat = values.reshape(len(values), -1).astype(np.float64)
    region = cells.ravel()
    largest = np.abs(flat).max(1)
    inside = np.zeros(len(flat))
    if region.any() and not region.all():
        apart = flat[:, region].mean(1) - flat[:, ~region].mean(1)
        inside = np.divide(apart, largest, out=inside, where=largest > 0)
    return ChannelStatistics(flat.mean(1), flat.min(1), flat.max(1), inside)
