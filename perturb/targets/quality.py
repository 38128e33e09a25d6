"""How right a segmentation is, where ground truth exists, on integer labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from perturb.core.errors import TargetError
from perturb.images.image import Image

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


@dataclass(frozen=True, eq=False)
class Correctness:
    """A segmentation beside the ground truth of its picture.

    Attributes:
        classes: of the segmenter, K names.
        truth: from `true_labels`, int64 `(H, W)`.
        wrong: where prediction and truth differ, bool `(H, W)`.
        matrix: from `confusion`, int64 `(K, K)`.
        unknown: classes of the truth that the segmenter has no name for, and the share of the labelled pixels that are
            theirs, largest first; they are in no figure.
    """

    classes: tuple[str, ...]
    truth: npt.NDArray[np.int64]
    wrong: npt.NDArray[np.bool_]
    matrix: npt.NDArray[np.int64]
    unknown: dict[str, float]

    @property
    def present(self) -> list[int]:
        """The classes that are in the truth or in the prediction of its pixels."""
        return [int(index) for index in np.flatnonzero(self.matrix.sum(0) + self.matrix.sum(1))]

    @property
    def compared(self) -> float:
        """Share of the picture's pixels that the figures are of, in [0, 1]."""
        return float((self.truth != IGNORED).mean())

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """The confusion matrix by rows: of a true class's pixels, the share of each prediction; NaN without any pixel."""
        total = self.matrix.sum(1, keepdims=True)
        return np.asarray(np.divide(self.matrix, total, out=np.full(self.matrix.shape, np.nan), where=total > 0))

    def worst(self) -> tuple[str, str, int] | None:
        """The commonest error: true class, predicted class, pixels; None without errors."""
        errors = self.matrix - np.diag(np.diag(self.matrix))
        true, said = np.unravel_index(int(errors.argmax()), errors.shape)
        count = int(errors[true, said])
        return (self.classes[int(true)], self.classes[int(said)], count) if count else None

    def means(self, values: npt.NDArray[Any]) -> tuple[float | None, float | None]:
        """The mean of some values `(H, W)` where the prediction is right, and where it is wrong; None without a pixel."""

        def mean(part: npt.NDArray[np.bool_]) -> float | None:
            return float(values[part].mean()) if part.any() else None

        return mean((self.truth != IGNORED) & ~self.wrong), mean(self.wrong)


def correctness(labels: Labels, image: Image, classes: tuple[str, ...]) -> Correctness:
    """Compare a prediction with the picture's ground truth.

    Args:
        labels: int `(H, W)`, indices of `classes`.
        image: with its truth.
        classes: of the segmenter.

    Raises:
        TargetError: no ground truth, or none of its classes is one of the segmenter's.
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
