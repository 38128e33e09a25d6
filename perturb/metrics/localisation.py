"""Where a map points: the object or the region against its highest-ranked pixels."""

from __future__ import annotations

from abc import abstractmethod

import cv2
import numpy as np

from perturb.metrics.base import Metric, MetricInput, Value
from perturb.metrics.measures import is_constant


class LocalisationMetric(Metric):
    """What metrics of localisation have in common; a constant map points nowhere and has no value."""

    group = "localisation"
    better = "higher"
    range = "0 to 1"
    assumptions = (
        "The segmenter should look at the object itself. One that rightly uses context, or a shortcut, is scored down."
    )

    def value(self, given: MetricInput) -> Value:
        return None if is_constant(given.heatmap) else self.located(given)

    @abstractmethod
    def located(self, given: MetricInput) -> float:
        """The value of a map that is not constant."""


class MapIou(LocalisationMetric):
    name = "map_iou"
    title = "IoU of the map"
    summary = "Overlap of the map's highest-ranked pixels, as many as the object has, with the object."
    formula = "|top ∩ M| / |top ∪ M| with |top| = |M|; M the true mask, else the explained region"
    gamed = "A plain copy of the segmentation scores 1 and explains nothing."
    citation = "Wang et al. 2020 (Score-CAM), sec. 4.3, on exact pixel masks"

    def located(self, given: MetricInput) -> float:
        mask = given.object_mask
        top = given.rank < mask.sum()
        union = int((top | mask).sum())
        return float((top & mask).sum() / union) if union else 1.0


class PointingGame(LocalisationMetric):
    """1.0 if the map's maximum lies within a Euclidean distance of the region, else 0.0.

    Args:
        margin: the distance in pixels.
    """

    gamed = "One lucky pixel decides it. A map that marks any object in the middle of the picture scores well."

    def __init__(self, margin: int) -> None:
        self._distance = margin
        self.name, self.title = f"pointing_{margin}", f"Pointing game ({margin} px)"
        where = f"within {margin} pixels of" if margin else "inside"
        self.summary = f"1 if the map's maximum lies {where} the region, else 0."
        self.formula = f"1[distance(argmax, R) ≤ {margin} px]" if margin else "1[argmax ∈ R]"
        source = "Zhang et al. 2018"
        self.citation = f"{source} (Excitation backprop), sec. 4.1" if margin else f"{source}, without the margin"

    def located(self, given: MetricInput) -> float:
        if not given.region.any():
            return 0.0
        away = cv2.distanceTransform((~given.region).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        y, x = np.argwhere(given.rank == 0)[0]
        # OpenCV's distances vary in their last bits; a squared distance between pixels is a whole number.
        return float(np.rint(float(away[y, x]) ** 2) <= self._distance**2)
