"""Numbers about a map, each with the direction in which it is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Metric:
    """What a number means.

    Attributes:
        name: as in `result.json`.
        title: for people.
        better: the direction of a better map, or `control` for a value to compare with.
        summary: one plain sentence.
        citation: where it comes from.
    """

    name: str
    title: str
    better: Literal["lower", "higher", "control"]
    summary: str
    citation: str

    @property
    def arrow(self) -> str:
        """↓, ↑, or nothing for a control."""
        return {"lower": "↓", "higher": "↑", "control": ""}[self.better]


_RISE = "Petsiuk et al. 2018, sec. 3.3 (RISE), over the exact fraction"

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "deletion_auc",
            "Deletion AUC",
            "lower",
            "Area under the score while the most important pixels are hidden first. A true map makes the score fall at once.",
            _RISE,
        ),
        Metric(
            "insertion_auc",
            "Insertion AUC",
            "higher",
            "Area under the score while the most important pixels are restored first. A true map makes the score rise at once.",
            _RISE,
        ),
        Metric(
            "random_deletion_auc",
            "Random deletion AUC",
            "control",
            "The deletion AUC of pixels in random order, mean of several draws. A map that is no lower says nothing.",
            _RISE,
        ),
        Metric(
            "random_insertion_auc",
            "Random insertion AUC",
            "control",
            "The insertion AUC of pixels in random order, mean of several draws. A map that is no higher says nothing.",
            _RISE,
        ),
        Metric("deletion_iou_auc", "Deletion AUC (IoU)", "lower", "The same on the IoU with the clean mask.", _RISE),
        Metric("insertion_iou_auc", "Insertion AUC (IoU)", "higher", "The same on the IoU with the clean mask.", _RISE),
    )
}


def auc(fraction: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> float:
    """Area under a curve by the trapezoid over its exact fractions, both `(N,)`, fractions ascending from 0 to 1."""
    return float(np.trapezoid(values, fraction))
