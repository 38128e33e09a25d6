"""How right a segmentation is, where ground truth exists, on integer labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from perturb.errors import TargetError
from perturb.images import Image

IGNORED = 255
"""Truth label of pixels that nobody labelled."""

Labels = npt.NDArray[Any]


def true_labels(image: Image, classes: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """The picture's ground truth in a segmenter's own class indices, int64 `(H, W)`; `IGNORED` where there is none.

    Classes are matched by name; what the segmenter does not know is ignored.

    Raises:
        TargetError: the picture has no ground truth, or shares no class name with the segmenter.
    """
    if image.truth is None:
        raise TargetError(
            f"The picture '{image.name}' has no ground truth, so right and wrong cannot be told; choose a sample, or give "
            "a mask of class indices."
        )
    truth = image.truth.astype(np.int64)
    if not image.truth_classes:
        return np.where(truth < len(classes), truth, IGNORED)
    table = np.full(256, IGNORED, dtype=np.int64)
    known = 0
    for index, name in enumerate(image.truth_classes):
        if name in classes:
            table[index] = classes.index(name)
            known += 1
    if not known:
        raise TargetError(
            f"The ground truth of '{image.name}' shares no class with the segmenter; its classes are "
            f"{', '.join(image.truth_classes[:12])}."
        )
    return table[truth]


def wrong_pixels(labels: Labels, truth: Labels) -> npt.NDArray[np.bool_]:
    """Where prediction and truth differ, bool `(H, W)`; ignored pixels are not wrong."""
    return np.asarray((labels != truth) & (truth != IGNORED))


def confusion(labels: Labels, truth: Labels, classes: int) -> npt.NDArray[np.int64]:
    """Pixel counts by true class (row) and predicted class (column), int64 `(K, K)`; ignored pixels left out."""
    counted = truth != IGNORED
    pairs = truth[counted].astype(np.int64) * classes + labels[counted].astype(np.int64)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def iou_by_class(matrix: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """IoU of each class, float64 `(K,)` in [0, 1]; NaN (n/a) for a class that is neither true nor predicted anywhere.

    Args:
        matrix: from `confusion`.
    """
    hit = np.diag(matrix).astype(np.float64)
    union = matrix.sum(0) + matrix.sum(1) - np.diag(matrix)
    return np.asarray(np.divide(hit, union, out=np.full(len(matrix), np.nan), where=union > 0))


def mean_iou(matrix: npt.NDArray[np.int64]) -> float:
    """Mean IoU over the classes present in truth or prediction; NaN if none is."""
    ious = iou_by_class(matrix)
    known = ious[np.isfinite(ious)]
    return float(known.mean()) if known.size else float("nan")


def pixel_accuracy(matrix: npt.NDArray[np.int64]) -> float:
    """Share of labelled pixels that are right, in [0, 1]; NaN without any."""
    total = matrix.sum()
    return float(np.trace(matrix) / total) if total else float("nan")


@dataclass(frozen=True, eq=False)
class Overlap:
    """Prediction and truth of one class; bool `(H, W)` each. Pixels without truth are in none of them.

    Attributes:
        truth, prediction: the class's pixels.
        missed: in the truth alone.
        invented: in the prediction alone.
    """

    truth: npt.NDArray[np.bool_]
    prediction: npt.NDArray[np.bool_]

    @property
    def missed(self) -> npt.NDArray[np.bool_]:
        return self.truth & ~self.prediction

    @property
    def invented(self) -> npt.NDArray[np.bool_]:
        return self.prediction & ~self.truth

    @property
    def intersection(self) -> npt.NDArray[np.bool_]:
        return self.truth & self.prediction

    @property
    def union(self) -> npt.NDArray[np.bool_]:
        return self.truth | self.prediction

    @property
    def iou(self) -> float:
        """Intersection over union, in [0, 1]; NaN (n/a) where the class is neither true nor predicted."""
        union = int(self.union.sum())
        return int(self.intersection.sum()) / union if union else float("nan")


def overlap(labels: Labels, truth: Labels, index: int) -> Overlap:
    """Where a class is true and where it is predicted.

    Args:
        labels: the prediction, int `(H, W)`.
        truth: from `true_labels`, int `(H, W)`.
        index: of the class.
    """
    known = truth != IGNORED
    return Overlap(np.asarray((truth == index) & known), np.asarray((labels == index) & known))
