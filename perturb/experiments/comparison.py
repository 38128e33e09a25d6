"""Compare two explanations of one image: their maps, their segmentations, and whether a difference is meaningful."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from perturb.core.colour import limit_of
from perturb.core.errors import SettingError
from perturb.core.ranks import spearman
from perturb.engine.runner import clean_logits
from perturb.images.image import Image
from perturb.methods.attribution import Attribution
from perturb.metrics.measures import inverse_distance, is_constant, normalise, top_overlap
from perturb.segmenters.base import Segmenter
from perturb.targets.quality import iou_by_class
from perturb.targets.target import Frozen, Target

UNITS = {
    "max": "difference of shares of the largest magnitude",
    "l1": "difference of shares of the summed magnitude",
    "rank": "difference of places in the order",
}
"""The unit of a difference, by normalisation; without a normalisation it is the unit of the maps."""

Map = npt.NDArray[np.floating[Any]]
Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[Any]


def difference(a: Map, b: Map, how: str = "none") -> Floats:
    """a − b per pixel, each map `(H, W)` normalised first; float64 `(H, W)`.

    difference(a, b) = −difference(b, a), and 0 for identical maps.

    Raises:
        SettingError: the maps have different shapes, or there is no such normalisation.
    """
    if a.shape != b.shape:
        raise SettingError(f"Only maps of one size can be compared: got {a.shape} and {b.shape}. Choose one image.")
    return normalise(a, how) - normalise(b, how)


def difference_of(a: Attribution, b: Attribution, how: str = "none") -> tuple[Floats, str]:
    """The difference of the maps of two results, each less its neutral value, and the unit of the difference.

    Raises:
        SettingError: the results are of different images, or the maps have different units and `how` is `none`.
    """
    if a.image.digest != b.image.digest:
        raise SettingError(
            f"Only maps of one image can be subtracted: got '{a.image.name}' and '{b.image.name}'. Choose one image."
        )
    units = a.unit(), b.unit()
    if how == "none" and units[0] != units[1]:
        raise SettingError(
            f"The maps have different units ({units[0]}; {units[1]}), so their values cannot be subtracted as they are. "
            "Choose a normalisation: max, l1 or rank."
        )
    return difference(a.centred, b.centred, how), UNITS.get(how, units[0])


def mismatches(a: Attribution, b: Attribution) -> list[str]:
    """Warnings where two results differ in more than the method, which can make their difference misleading."""
    warnings = []
    if a.image.digest != b.image.digest:
        warnings.append(f"The images differ ({a.image.name}; {b.image.name}).")
    if a.segmenter_digest != b.segmenter_digest or a.segmenter.name != b.segmenter.name:
        warnings.append(
            f"The segmenters differ ({a.segmenter.name}; {b.segmenter.name}), so the maps may differ even for one method."
        )
    if a.frozen.name != b.frozen.name:
        warnings.append(
            f"The classes differ ({a.frozen.name}; {b.frozen.name}), so the maps explain different targets."
        )
    if a.frozen.region.shape == b.frozen.region.shape and not np.array_equal(a.frozen.region, b.frozen.region):
        both = int((a.frozen.region & b.frozen.region).sum())
        either = int((a.frozen.region | b.frozen.region).sum())
        warnings.append(
            f"The regions differ ({int(a.frozen.region.sum()):,} and {int(b.frozen.region.sum()):,} pixels; IoU "
            f"{both / max(1, either):.0%}), so the scores differ."
        )
    units = a.unit(), b.unit()
    if units[0] != units[1]:
        warnings.append(f"The units differ ({units[0]}; {units[1]}), so only normalised maps are comparable.")
    return warnings


class Agreement(NamedTuple):
    """The agreement of two maps. The first three are None if a map is constant.

    Attributes:
        spearman: rank correlation over all pixels, in [−1, 1].
        pearson: linear correlation over all pixels, in [−1, 1].
        top: share of the most important tenth of the pixels that both maps have in common, in [0, 1]; 0.1 by chance.
        inverse_distance: see `perturb.metrics.measures.inverse_distance`, in (0, 1].
    """

    spearman: float | None
    pearson: float | None
    top: float | None
    inverse_distance: float


def agreement(a: Map, b: Map, *, share: float = 0.1, seed: int = 0) -> Agreement:
    """Agreement of two maps `(H, W)`.

    Args:
        a, b: the maps; their scale does not matter.
        share: share of the image that counts as most important, in (0, 1].
        seed: of the draw among equal values at the edge of that share.

    Raises:
        SettingError: the maps have different shapes.
    """
    if a.shape != b.shape:
        raise SettingError(f"Only maps of one size can be compared: got {a.shape} and {b.shape}. Choose one image.")
    distance = inverse_distance(a, b)
    if is_constant(a) or is_constant(b):
        return Agreement(None, None, None, distance)
    return Agreement(
        float(spearman([a, b])[0, 1]),
        float(np.corrcoef(a.ravel().astype(np.float64), b.ravel().astype(np.float64))[0, 1]),
        float(top_overlap([a, b], share, seed)[0, 1]),
        distance,
    )


class Pair(NamedTuple):
    """A pair of different classes that A and B predict on the same pixels.

    Attributes:
        a, b: the two classes.
        pixels: number of pixels with this pair.
        share: share of the image, in [0, 1].
    """

    a: str
    b: str
    pixels: int
    share: float


class ClassOverlap(NamedTuple):
    """A class that both segmenters have: its pixels in each segmentation, and their IoU in [0, 1]; None if in neither."""

    name: str
    a_pixels: int
    b_pixels: int
    iou: float | None


@dataclass(frozen=True, eq=False)
class Disagreement:
    """Where two segmentations of one image differ. Classes are matched by name.

    Attributes:
        mask: where the classes differ, bool `(H, W)`.
        share: share of the image where they differ, in [0, 1].
        pairs: the differing pairs of classes, the most frequent first.
        overlaps: one for each class that both segmenters have, in A's order.
        mean_iou: mean over those of them that are in either segmentation, in [0, 1]; None if none is.
        only_a, only_b: classes that only one of the segmenters has.
        unmatched: share of the image where either predicts such a class, so that they cannot agree, in [0, 1].
    """

    mask: npt.NDArray[np.bool_]
    share: float
    pairs: tuple[Pair, ...]
    overlaps: tuple[ClassOverlap, ...]
    mean_iou: float | None
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    unmatched: float


def disagreement(a: Labels, a_classes: tuple[str, ...], b: Labels, b_classes: tuple[str, ...]) -> Disagreement:
    """Compare two segmentations of one image.

    Args:
        a, b: class indices, int `(H, W)`.
        a_classes, b_classes: the class names, by index.

    Raises:
        SettingError: the segmentations have different shapes.
    """
    if a.shape != b.shape:
        raise SettingError(
            f"Only segmentations of one size can be compared: got {a.shape} and {b.shape}. Choose one image."
        )
    names = tuple(dict.fromkeys((*a_classes, *b_classes)))
    known_a, known_b = set(a_classes), set(b_classes)
    index_of = {name: index for index, name in enumerate(names)}
    labels_a = np.array([index_of[name] for name in a_classes])[a]
    labels_b = np.array([index_of[name] for name in b_classes])[b]
    K, size = len(names), a.size
    matrix = np.bincount((labels_a * K + labels_b).ravel(), minlength=K * K).reshape(K, K)
    apart = matrix - np.diag(np.diag(matrix))
    pairs = [
        Pair(names[row], names[column], int(apart[row, column]), float(apart[row, column] / size))
        for row, column in zip(*np.nonzero(apart), strict=True)
    ]
    ious = iou_by_class(matrix)
    overlaps = tuple(
        ClassOverlap(
            name, int(matrix[i].sum()), int(matrix[:, i].sum()), float(ious[i]) if np.isfinite(ious[i]) else None
        )
        for i, name in enumerate(names)
        if name in known_a and name in known_b
    )
    present = [overlap.iou for overlap in overlaps if overlap.iou is not None]
    alone_a = np.array([name not in known_b for name in names])
    alone_b = np.array([name not in known_a for name in names])
    mask = labels_a != labels_b
    return Disagreement(
        mask=mask,
        share=float(mask.mean()),
        pairs=tuple(sorted(pairs, key=lambda pair: -pair.pixels)),
        overlaps=overlaps,
        mean_iou=float(np.mean(present)) if present else None,
        only_a=tuple(name for name in a_classes if name not in known_b),
        only_b=tuple(name for name in b_classes if name not in known_a),
        unmatched=float((alone_a[labels_a] | alone_b[labels_b]).mean()),
    )


def shared_region(target: Target, image: Image, segmenter: Segmenter, *, first: Segmenter) -> Frozen:
    """Fix a target on the region that one segmenter predicts, to explain another segmenter: `explain(…, frozen=…)`.

    Takes two forward passes.

    Args:
        target: what to explain; both segmenters must have its class.
        image: the clean image.
        segmenter: the segmenter to explain.
        first: the segmenter whose clean prediction fixes the region.

    Raises:
        TargetError: the class or the region is absent.
    """
    frozen = target.freeze(image, clean_logits(image, first).argmax(0).cpu().numpy(), first.classes)
    return replace(frozen, first=first).moved_to(
        clean_logits(image, segmenter).argmax(0).cpu().numpy(), segmenter.classes
    )


class Scale(NamedTuple):
    """The colour scale of a map: the value at the end of its bar, and whether other maps share it."""

    limit: float
    shared: bool


def scales(results: Sequence[Attribution], *, common: bool) -> list[Scale]:
    """A colour scale for each map, centred on its neutral value.

    Args:
        results: results whose maps are shown.
        common: give maps with the same unit a common scale, up to the largest magnitude among them, so that a colour
            means the same value in all of them. Maps without a sign never share the scale of signed maps.
    """
    kinds = [(result.unit(), result.signed()) for result in results]
    own = [limit_of(result.centred) for result in results]
    if not common:
        return [Scale(limit, False) for limit in own]
    return [
        Scale(max(limit for limit, other in zip(own, kinds, strict=True) if other == kind), kinds.count(kind) > 1)
        for kind in kinds
    ]
