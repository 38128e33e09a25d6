"""The target of an explanation: a class, a region of pixels fixed on the clean image, and a score over the region."""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from perturb.core.errors import TargetError
from perturb.images.ground_truth import IGNORE
from perturb.images.image import Image
from perturb.segmenters.base import Segmenter

SCORES = ("logit", "probability", "iou")
REGIONS = ("class", "all", "truth", "pixel:x,y", "box:x0,y0,x1,y1", "component:x,y")
Score = Literal["logit", "probability", "iou"]


@dataclass(frozen=True)
class Target:
    """A class, a region and a score, as chosen by the user.

    Attributes:
        label: the class, by name or index.
        region: the explained pixels R, determined once on the clean image:
            `class` (all pixels predicted as the class), `all` (the whole image), `truth` (the class in the ground
            truth), `pixel:x,y`, `box:x0,y0,x1,y1` (half-open), or `component:x,y` (the 8-connected component of the
            class at that pixel).
        score: `logit` (mean logit over R: Humer et al. 2022, divided by the region's size), `probability` (mean softmax
            over R), or `iou` (IoU of the class's new mask with its clean mask: within the box for a box, within the
            region's bounding box for a pixel or component; with the ground truth for `truth`, without pixels that have
            none).

    Raises:
        TargetError: no such score or region.
    """

    label: str | int
    region: str = "class"
    score: Score = "logit"

    def __post_init__(self) -> None:
        if self.score not in SCORES:
            raise TargetError(f"There is no score '{self.score}'; expected one of {', '.join(SCORES)}.")
        self.parts()

    def parts(self) -> tuple[str, tuple[int, ...]]:
        """The region's kind and its coordinates.

        Raises:
            TargetError: the region has none of the forms in `REGIONS`.
        """
        kind, _, rest = self.region.partition(":")
        wanted = {"class": 0, "all": 0, "truth": 0, "pixel": 2, "component": 2, "box": 4}.get(kind)
        numbers = [part.strip() for part in rest.split(",")] if rest else []
        if wanted != len(numbers) or not all(re.fullmatch(r"-?\d{1,9}", number) for number in numbers):
            raise TargetError(f"There is no region '{self.region}'; expected one of {', '.join(REGIONS)}.")
        return kind, tuple(int(number) for number in numbers)

    def freeze(self, image: Image, labels: npt.NDArray[np.int64], classes: tuple[str, ...]) -> Frozen:
        """Determine the region on the clean image.

        Args:
            image: the clean image.
            labels: its clean segmentation, int64 `(H, W)`.
            classes: the segmenter's K class names.

        Raises:
            TargetError: the class is unknown or absent from the image, or the region is empty or outside the image.
        """
        index = class_index(self.label, classes)
        mask = labels == index
        kind, at = self.parts()
        height, width = labels.shape
        window = (0, 0, width, height)
        reference = mask
        void: npt.NDArray[np.bool_] | None = None
        if kind == "all":
            region = np.ones_like(mask)
        elif kind == "class":
            region = mask
            if not mask.any():
                raise TargetError(_absent(classes[index], labels, classes))
        elif kind == "truth":
            region = reference = _truth_mask(image, classes[index], index)
            unlabelled = np.asarray(image.truth == IGNORE)
            void = unlabelled if unlabelled.any() else None
        elif kind == "box":
            window = _clip_box(at, width, height)
            region = np.zeros_like(mask)
            region[window[1] : window[3], window[0] : window[2]] = True
        else:
            x, y = at
            if not (0 <= x < width and 0 <= y < height):
                raise TargetError(
                    f"The pixel ({x}, {y}) lies outside the image; expected x in 0 … {width - 1}, y in 0 … {height - 1}."
                )
            region = np.zeros_like(mask)
            region[y, x] = True
            if kind == "component":
                if not mask[y, x]:
                    raise TargetError(
                        f"The pixel ({x}, {y}) is predicted as '{classes[int(labels[y, x])]}', not '{classes[index]}', so "
                        f"there is no component of '{classes[index]}' at it. Choose another pixel or the other class."
                    )
                parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[1]
                region = reference = parts == parts[y, x]
            window = _bounding_box(region)
        return Frozen(self, index, classes[index], labels, region, mask, reference, window, void=void)


@dataclass(frozen=True, eq=False)
class Frozen:
    """A target on one image, with its region fixed.

    Attributes:
        target: the user's target.
        index: the class index c.
        name: the class name.
        labels: the clean segmentation A, int64 `(H, W)`.
        region: R, bool `(H, W)`.
        clean: {A = c} on the clean image, bool `(H, W)`.
        reference: reference mask of the IoU, bool `(H, W)`.
        window: box within which the IoU is computed, `x0, y0, x1, y1`, half-open.
        first: the segmenter whose clean prediction determined the region, if another one is explained; else None.
        void: pixels without ground truth, which the IoU excludes, bool `(H, W)`; None if there are none, or if the
            reference is a prediction.
    """

    target: Target
    index: int
    name: str
    labels: npt.NDArray[np.int64]
    region: npt.NDArray[np.bool_]
    clean: npt.NDArray[np.bool_]
    reference: npt.NDArray[np.bool_]
    window: tuple[int, int, int, int]
    first: Segmenter | None = None
    void: npt.NDArray[np.bool_] | None = None

    def with_score(self, score: Score) -> Frozen:
        """The same region with another score."""
        return replace(self, target=replace(self.target, score=score))

    def moved_to(self, labels: npt.NDArray[np.int64], classes: tuple[str, ...]) -> Frozen:
        """The same region and reference mask for another segmenter on the same image. Classes are matched by name.

        Args:
            labels: clean segmentation of that segmenter, int64 `(H, W)`; lost and gained pixels are relative to it.
            classes: its K class names.

        Raises:
            TargetError: the segmenter does not have the class.
        """
        index = class_index(self.name, classes)
        return replace(self, index=index, labels=labels, clean=labels == index)

    def digest(self) -> str:
        """32 hexadecimal digits of blake2b over the region, the reference mask and the window."""
        digest = hashlib.blake2b(digest_size=16)
        for mask in (self.region, self.reference, *(() if self.void is None else (self.void,))):
            digest.update(np.packbits(mask).data)
        digest.update(repr((self.region.shape, self.window)).encode())
        return digest.hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """The target and the size of its region, as stored with results."""
        record = {**asdict(self.target), "label": self.name, "region_pixels": int(self.region.sum())}
        return record if self.first is None else record | {"region_of": [self.first.name, self.first.digest]}


def class_index(label: str | int, classes: tuple[str, ...]) -> int:
    """Index of a class given by name or index. A string is matched as a name first.

    Raises:
        TargetError: the segmenter has no such class.
    """
    if label in classes:  # names first: a class may have a number as its name
        return classes.index(str(label))
    if (isinstance(label, int) or (label.isdecimal() and len(label) < 10)) and 0 <= int(label) < len(classes):
        return int(label)
    shown = ", ".join(classes[:24]) + (", …" if len(classes) > 24 else "")
    raise TargetError(f"The segmenter has no class '{label}'; expected one of: {shown}.")


def shares(labels: npt.NDArray[Any], classes: tuple[str, ...]) -> list[tuple[str, float]]:
    """Class names and their shares of the image in [0, 1], largest first, without absent classes."""
    counts = np.bincount(labels.ravel(), minlength=len(classes))[: len(classes)]
    order = np.argsort(-counts, kind="stable")
    return [(classes[k], counts[k] / labels.size) for k in order if counts[k] > 0]


def _absent(name: str, labels: npt.NDArray[Any], classes: tuple[str, ...]) -> str:
    found = ", ".join(f"{other} ({share:.1%})" for other, share in shares(labels, classes)[:6])
    return (
        f"No pixel of this image is predicted as '{name}', so there is nothing to explain; predicted are: {found}. "
        "Choose one of these, another image, or the region 'all', 'pixel' or 'box'."
    )


def _truth_mask(image: Image, name: str, index: int) -> npt.NDArray[np.bool_]:
    if image.truth is None:
        raise TargetError(f"The image '{image.name}' has no ground truth; give one, or choose another region.")
    if image.truth_classes:
        if name not in image.truth_classes:
            raise TargetError(f"The ground truth of '{image.name}' has no class '{name}'; choose another region.")
        index = image.truth_classes.index(name)
    mask = image.truth == index
    if not mask.any():
        raise TargetError(
            f"No pixel of '{image.name}' is '{name}' in the ground truth; choose another class or region."
        )
    return np.asarray(mask)


def _clip_box(at: tuple[int, ...], width: int, height: int) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = at
    clipped = (max(0, x0), max(0, y0), min(width, x1), min(height, y1))
    if clipped[0] >= clipped[2] or clipped[1] >= clipped[3]:
        raise TargetError(
            f"The box {x0},{y0},{x1},{y1} holds no pixel of the image; expected x0 < x1 within 0 … {width} and "
            f"y0 < y1 within 0 … {height}."
        )
    return clipped


def _bounding_box(mask: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    ys, xs = np.nonzero(mask)
    return int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1
