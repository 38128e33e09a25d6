"""Localisation: whether the highest-ranked pixels of a map lie on the object or the region."""

from __future__ import annotations

from abc import abstractmethod

import cv2
import numpy as np

from perturb.metrics.base import Metric, MetricInput, Value
from perturb.metrics.measures import is_constant


class LocalisationMetric(Metric):
    """Base of localisation metrics; None for a constant map, which has no highest-ranked pixels."""

    group = "localisation"
    better = "higher"
    range = "0 to 1"
    assumptions = (
        "The segmenter should rely on the object itself. If it uses context or a shortcut, a faithful map scores low."
    )

    def value(self, given: MetricInput) -> Value:
        return None if is_constant(given.heatmap) else self.located(given)

    @abstractmethod
    def located(self, given: MetricInput) -> float:
        """The value of a map that is not constant."""


class MapIou(LocalisationMetric):
    name = "map_iou"
    title = "IoU of the map"
    summary = "The IoU of the object and the map's highest-ranked pixels, as many as the object has."
    formula = (
        "|top ∩ M| / |top ∪ M| with |top| = |M|; M is the true mask if there is one, otherwise the explained region"
    )
    gamed = "A copy of the segmentation scores 1 and explains nothing."
    citation = "Wang et al. 2020 (Score-CAM), sec. 4.3, on exact pixel masks"

    def located(self, given: MetricInput) -> float:
        mask = given.object_mask
        top = given.rank < mask.sum()
        union = int((top | mask).sum())
        return float((top & mask).sum() / union) if union else 1.0


class PointingGame(LocalisationMetric):
    """1.0 if the map's maximum lies within a given Euclidean distance of the region, otherwise 0.0.

    Args:
        margin: the distance in pixels.
    """

    gamed = "A single pixel decides it, and a map that always marks the centre of the image often scores well."

    def __init__(self, margin: int) -> None:
        self._distance = margin
        self.name, self.title = f"pointing_{margin}", f"Pointing game ({margin} px)"
        where = f"within {margin} pixels of" if margin else "inside"
        self.summary = f"1 if the map's maximum lies {where} the region, otherwise 0."
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
