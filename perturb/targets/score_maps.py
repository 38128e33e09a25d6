"""Score maps: maps derived from the logits of the clean image, without any perturbation.

Score, fusion, segmented, guided and similarity map: Schorr et al. 2021 (Neuroscope). The segmented and the guided map
cover the image greedily with segments, as XRAI does (Kapishnikov et al. 2019, algorithm 1). Segments: Felzenszwalb &
Huttenlocher 2004.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from perturb.core.errors import SettingError
from perturb.images.image import Image

SCALES = (50.0, 200.0, 500.0, 1200.0)
"""Scale parameters of the segmentation, from small to large segments: XRAI's range, in fewer steps."""
SMALLEST = 150
"""Minimum size of a segment in pixels, as in XRAI's published code. Tiny segments would have the highest means."""

Map = npt.NDArray[np.float32]
Logits = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class ScoreMaps:
    """Maps of one class c from the logits z of the clean image, float32 `(H, W)` each.

    Attributes:
        score: z_c, in logits.
        probability: softmax q_c, in [0, 1].
        fusion: max_k q_k, the confidence in the predicted class, in [1/K, 1]; the same for every class.
        segmented: z_c averaged over segments of the image, those of the highest mean first; in logits.
        guided: the same, with the predicted regions of all classes as additional segments; in logits.
        similarity: mean of z_c over the predicted region of each class; in logits.
    """

    score: Map
    probability: Map
    fusion: Map
    segmented: Map
    guided: Map
    similarity: Map

    def as_dict(self) -> dict[str, Map]:
        """The maps by name."""
        return dict(vars(self))

    def unsure(self, below: float) -> float:
        """Share of pixels whose predicted class has a probability below `below`, in [0, 1]."""
        return float((self.fusion < below).mean())

    def means(self, region: npt.NDArray[np.bool_]) -> tuple[float | None, float | None]:
        """Mean score inside a region, bool `(H, W)`, and outside it; None for an empty part."""
        parts = (self.score[region], self.score[~region])
        inside, outside = (float(values.mean(dtype=np.float64)) if values.size else None for values in parts)
        return inside, outside


def score_maps(logits: Logits, index: int, segments: Labels) -> ScoreMaps:
    """All score maps of one class.

    Args:
        logits: of the clean image, float `(K, H, W)`.
        index: of the class c, 0 … K − 1.
        segments: of the image, from `segments_of`.

    Raises:
        SettingError: shapes that do not fit, or no such class.
    """
    if logits.ndim != 3 or not 0 <= index < len(logits):
        raise SettingError(
            f"Score maps need logits (K, H, W) and a class in 0 … K − 1: got an array of shape {logits.shape} and the "
            f"class {index}."
        )
    score = np.asarray(logits[index], dtype=np.float32)
    sure = probabilities(logits)
    predicted = logits.argmax(0).astype(np.int32)
    return ScoreMaps(
        score=score,
        probability=sure[index],
        fusion=fusion(logits),
        segmented=cover(score, segments),
        guided=cover(score, np.concatenate([segments, predicted[None]])),
        similarity=region_means(score, predicted),
    )


def probabilities(logits: Logits) -> npt.NDArray[np.float32]:
    """Softmax over the classes, float32 `(K, …)` in [0, 1], from logits `(K, …)`."""
    above = logits - logits.max(0)
    powers = np.exp(above)
    return np.asarray(powers / powers.sum(0), dtype=np.float32)


def fusion(logits: Logits) -> Map:
    """max_k q_k, the confidence in the predicted class, float32 `(H, W)` in [1/K, 1], from logits `(K, H, W)`."""
    # The largest term of the softmax is exp(0).
    return np.asarray(1 / np.exp(logits - logits.max(0)).sum(0), dtype=np.float32)


def region_means(score: Map, predicted: npt.NDArray[Any]) -> Map:
    """For each pixel, the mean of a map `(H, W)` over all pixels of the same predicted class. float32 `(H, W)`."""
    sizes = np.bincount(predicted.ravel())
    sums = np.bincount(predicted.ravel(), weights=score.ravel())
    return np.asarray((sums / np.maximum(sizes, 1))[predicted], dtype=np.float32)


def segments_of(image: Image, scales: tuple[float, ...] = SCALES, smallest: int = SMALLEST) -> Labels:
    """Felzenszwalb segments of an image at L scales, int32 `(L, H, W)`: one partition for each scale.

    Args:
        image: the image.
        scales: from fine to coarse.
        smallest: pixels; smaller segments are merged into a neighbour.
    """
    # Imported only when needed: it takes longer than the whole library.
    from skimage.segmentation import felzenszwalb

    return np.stack([felzenszwalb(image.pixels, scale=scale, min_size=smallest).astype(np.int32) for scale in scales])


def cover(score: Map, segments: Labels) -> Map:
    """Cover the image greedily: always add the segment with the highest mean score over its uncovered pixels.

    Args:
        score: `(H, W)`.
        segments: int `(L, H, W)`: L partitions of the image, each with labels from 0.

    Returns:
        float32 `(H, W)`: for each pixel, the mean score of the segment that covered it, over the pixels that it newly
        covered. Of equal means, the first segment of the first partition wins.

    Raises:
        SettingError: the segments have another size than the map, there are none, or scores are not finite.
    """
    if segments.ndim != 3 or segments.shape[1:] != score.shape or not len(segments):
        raise SettingError(
            f"The segments must be partitions (L, H, W) of the map, L at least 1: got {segments.shape} for a map of "
            f"{score.shape}."
        )
    values = score.ravel().astype(np.float64)
    if not np.isfinite(values).all():
        raise SettingError(
            "The score map holds values that are not finite numbers, so segments cannot be ordered by their means; expected "
            "finite scores. Replace them, for instance by the lowest finite one."
        )
    flat = segments.reshape(len(segments), -1).astype(np.int64)
    # All partitions share one numbering, so one array holds the sums of all segments.
    flat += np.concatenate([[0], np.cumsum(flat.max(1) + 1)[:-1]])[:, None]
    total = int(flat.max()) + 1
    counts = np.bincount(flat.ravel(), minlength=total)
    sums = np.bincount(flat.ravel(), weights=np.tile(values, len(flat)), minlength=total)
    # The pixels of segment s are `members[starts[s]:starts[s + 1]]`.
    members = np.argsort(flat.ravel(), kind="stable") % values.size
    starts = np.concatenate([[0], np.cumsum(counts)])
    means = np.where(counts > 0, sums / np.maximum(counts, 1), -np.inf)
    painted = np.empty(values.size)
    covered = np.zeros(values.size, dtype=np.bool_)
    left = values.size
    while left:
        best = int(means.argmax())
        inside = members[starts[best] : starts[best + 1]]
        new = inside[~covered[inside]]
        painted[new] = means[best]
        covered[new] = True
        left -= len(new)
        # Only segments that share a pixel with the new one change.
        touched, places = np.unique(flat[:, new], return_inverse=True)
        counts[touched] -= np.bincount(places.ravel())
        sums[touched] -= np.bincount(places.ravel(), weights=np.tile(values[new], len(flat)))
        means[touched] = np.where(counts[touched] > 0, sums[touched] / np.maximum(counts[touched], 1), -np.inf)
    return np.asarray(painted.reshape(score.shape), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class PixelScores:
    """The scores of all classes at one pixel.

    Attributes:
        logits, probabilities: by class, float64 `(K,)`.
        predicted: index of the predicted class.
    """

    logits: npt.NDArray[np.float64]
    probabilities: npt.NDArray[np.float64]
    predicted: int


def at_pixel(logits: Logits, x: int, y: int) -> PixelScores:
    """Logits and probabilities of all classes at one pixel of logits `(K, H, W)`.

    Raises:
        SettingError: the pixel lies outside the image.
    """
    height, width = logits.shape[1:]
    if not (0 <= x < width and 0 <= y < height):
        raise SettingError(
            f"The pixel ({x}, {y}) lies outside the image; expected x in 0 … {width - 1}, y in 0 … {height - 1}."
        )
    column = logits[:, y, x].astype(np.float64)
    powers = np.exp(column - column.max())
    return PixelScores(column, powers / powers.sum(), int(column.argmax()))
