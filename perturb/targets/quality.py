"""Compare a segmentation with the ground truth: confusion matrix, IoU, pixel accuracy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from perturb.core.errors import TargetError
from perturb.images.image import Image

IGNORED = 255
"""Label of ground-truth pixels without a class."""

Labels = npt.NDArray[Any]


def true_labels(image: Image, classes: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """The image's ground truth in the segmenter's class indices, int64 `(H, W)`; `IGNORED` for no class.

    Classes are matched by name. Classes that the segmenter does not have are ignored.

    Raises:
        TargetError: the image has no ground truth, or shares no class name with the segmenter.
    """
    if image.truth is None:
        raise TargetError(
            f"The image '{image.name}' has no ground truth, so errors cannot be determined; choose a sample, or give "
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
    """Pixels where prediction and truth differ, bool `(H, W)`; ignored pixels are not counted as wrong."""
    return np.asarray((labels != truth) & (truth != IGNORED))


def confusion(labels: Labels, truth: Labels, classes: int) -> npt.NDArray[np.int64]:
    """Pixel counts by true class (row) and predicted class (column), int64 `(K, K)`; ignored pixels left out."""
    counted = truth != IGNORED
    pairs = truth[counted].astype(np.int64) * classes + labels[counted].astype(np.int64)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def iou_by_class(matrix: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """IoU of each class, float64 `(K,)` in [0, 1]; NaN (n/a) for a class that is in neither truth nor prediction.

    Args:
        matrix: from `confusion`.
    """
    hit = np.diag(matrix).astype(np.float64)
    union = matrix.sum(0) + matrix.sum(1) - np.diag(matrix)
    return np.asarray(np.divide(hit, union, out=np.full(len(matrix), np.nan), where=union > 0))


def mean_iou(matrix: npt.NDArray[np.int64]) -> float:
    """Mean IoU over the classes present in truth or prediction, in [0, 1]; NaN if there is none."""
    ious = iou_by_class(matrix)
    known = ious[np.isfinite(ious)]
    return float(known.mean()) if known.size else float("nan")


def pixel_accuracy(matrix: npt.NDArray[np.int64]) -> float:
    """Share of labelled pixels that are predicted correctly, in [0, 1]; NaN if no pixel is labelled."""
    total = matrix.sum()
    return float(np.trace(matrix) / total) if total else float("nan")


@dataclass(frozen=True, eq=False)
class Overlap:
    """Prediction and truth of one class, bool `(H, W)` each. Pixels without truth are in neither.

    Attributes:
        truth, prediction: pixels of the class.
        missed: false negatives.
        invented: false positives.
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
    """Pixels of a class in the prediction and in the truth.

    Args:
        labels: the prediction, int `(H, W)`.
        truth: from `true_labels`, int `(H, W)`.
        index: of the class.
    """
    known = truth != IGNORED
    return Overlap(np.asarray((truth == index) & known), np.asarray((labels == index) & known))


@dataclass(frozen=True, eq=False)
class Correctness:
    """A segmentation compared with the ground truth of its image.

    Attributes:
        classes: K class names of the segmenter.
        truth: from `true_labels`, int64 `(H, W)`.
        wrong: pixels where prediction and truth differ, bool `(H, W)`.
        matrix: from `confusion`, int64 `(K, K)`.
        unknown: classes of the truth that the segmenter does not have, with their share of the labelled pixels, largest
            first; all figures exclude them.
    """

    classes: tuple[str, ...]
    truth: npt.NDArray[np.int64]
    wrong: npt.NDArray[np.bool_]
    matrix: npt.NDArray[np.int64]
    unknown: dict[str, float]

    @property
    def present(self) -> list[int]:
        """Indices of the classes present in truth or prediction."""
        return [int(index) for index in np.flatnonzero(self.matrix.sum(0) + self.matrix.sum(1))]

    @property
    def compared(self) -> float:
        """Share of the image's pixels that the figures include, in [0, 1]."""
        return float((self.truth != IGNORED).mean())

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """The confusion matrix, normalised by rows: shares of a true class's pixels; NaN for a class without pixels."""
        total = self.matrix.sum(1, keepdims=True)
        return np.asarray(np.divide(self.matrix, total, out=np.full(self.matrix.shape, np.nan), where=total > 0))

    def worst(self) -> tuple[str, str, int] | None:
        """The most frequent error: true class, predicted class, number of pixels; None if there are no errors."""
        errors = self.matrix - np.diag(np.diag(self.matrix))
        true, said = np.unravel_index(int(errors.argmax()), errors.shape)
        count = int(errors[true, said])
        return (self.classes[int(true)], self.classes[int(said)], count) if count else None

    def means(self, values: npt.NDArray[Any]) -> tuple[float | None, float | None]:
        """Means of values `(H, W)` over correctly and over wrongly predicted pixels; None if there are no such
        pixels."""

        def mean(part: npt.NDArray[np.bool_]) -> float | None:
            return float(values[part].mean()) if part.any() else None

        return mean((self.truth != IGNORED) & ~self.wrong), mean(self.wrong)


def correctness(labels: Labels, image: Image, classes: tuple[str, ...]) -> Correctness:
    """Compare a prediction with the image's ground truth.

    Args:
        labels: int `(H, W)`, indices of `classes`.
        image: with ground truth.
        classes: K class names of the segmenter.

    Raises:
        TargetError: there is no ground truth, or it shares no class with the segmenter.
    """
    truth = true_labels(image, classes)
    assert image.truth is not None  # or there were no true labels
    found = np.bincount(image.truth.ravel(), minlength=256)
    labelled = max(1, int(found[:IGNORED].sum()))
    known = image.truth_classes or classes
    names = {
        index: known[index] if index < len(known) else f"class {index}" for index in np.flatnonzero(found[:IGNORED])
    }
    unknown = {name: float(found[index] / labelled) for index, name in names.items() if name not in classes}
    ordered = dict(sorted(unknown.items(), key=lambda pair: -pair[1]))
    return Correctness(classes, truth, wrong_pixels(labels, truth), confusion(labels, truth, len(classes)), ordered)
