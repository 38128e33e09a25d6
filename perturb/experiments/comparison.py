"""How two explanations of one picture differ: their maps, their segmentations, and whether a difference says anything."""

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
"""What a difference is measured in; without a normalisation it is the maps' own unit."""

Map = npt.NDArray[np.floating[Any]]
Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[Any]


def difference(a: Map, b: Map, how: str = "none") -> Floats:
    """a − b pixel by pixel after a normalisation of each, float64 `(H, W)`.

    difference(a, b) = −difference(b, a), and 0 for identical maps.

    Raises:
        SettingError: maps of different shapes, or no such normalisation.
    """
    if a.shape != b.shape:
        raise SettingError(f"Only maps of one size can be compared: got {a.shape} and {b.shape}. Choose one picture.")
    return normalise(a, how) - normalise(b, how)


def difference_of(a: Attribution, b: Attribution, how: str = "none") -> tuple[Floats, str]:
    """The difference of two results' maps, each about its neutral value, and what it is measured in.

    Raises:
        SettingError: results of two pictures; maps of different units without a normalisation.
    """
    if a.image.digest != b.image.digest:
        raise SettingError(
            f"Only maps of one picture have a difference: got '{a.image.name}' and '{b.image.name}'. Choose one picture."
        )
    units = a.unit(), b.unit()
    if how == "none" and units[0] != units[1]:
        raise SettingError(
            f"The maps have different units ({units[0]}; {units[1]}), so their values cannot be subtracted as they are. "
            "Choose a normalisation: max, l1 or rank."
        )
    return difference(a.centred, b.centred, how), UNITS.get(how, units[0])


def mismatches(a: Attribution, b: Attribution) -> list[str]:
    """What two results do not have in common, so that their difference could mislead; a sentence each, none if all is shared."""
    told = []
    if a.image.digest != b.image.digest:
        told.append(f"The pictures differ ({a.image.name}; {b.image.name}).")
    if a.segmenter_digest != b.segmenter_digest or a.segmenter.name != b.segmenter.name:
        told.append(
            f"The segmenters differ ({a.segmenter.name}; {b.segmenter.name}): the networks may differ where the methods agree."
        )
    if a.frozen.name != b.frozen.name:
        told.append(f"The classes differ ({a.frozen.name}; {b.frozen.name}): each map explains another question.")
    if a.frozen.region.shape == b.frozen.region.shape and not np.array_equal(a.frozen.region, b.frozen.region):
        both = int((a.frozen.region & b.frozen.region).sum())
        either = int((a.frozen.region | b.frozen.region).sum())
        told.append(
            f"The regions differ ({int(a.frozen.region.sum()):,} and {int(b.frozen.region.sum()):,} pixels; "
            f"{both / max(1, either):.0%} of either in both): a score over other pixels is another score."
        )
    units = a.unit(), b.unit()
    if units[0] != units[1]:
        told.append(f"The units differ ({units[0]}; {units[1]}): only normalised maps compare.")
    return told


class Agreement(NamedTuple):
    """How alike two maps are; None where a constant map has nothing to agree with.

    Attributes:
        spearman: rank correlation over all pixels, −1 to 1.
        pearson: linear correlation over all pixels, −1 to 1.
        top: share of the most important tenth of the pixels that both maps have in common, 0 to 1; chance gives 0.1.
        inverse_distance: see `perturb.metrics.measures.inverse_distance`, above 0, up to 1.
    """

    spearman: float | None
    pearson: float | None
    top: float | None
    inverse_distance: float


def agreement(a: Map, b: Map, *, share: float = 0.1, seed: int = 0) -> Agreement:
    """Agreement of two maps `(H, W)`.

    Args:
        a, b: the maps; their scale does not matter.
        share: of the picture that counts as most important.
        seed: of the draw among equal values at the edge of that share.

    Raises:
        SettingError: maps of different shapes.
    """
    if a.shape != b.shape:
        raise SettingError(f"Only maps of one size can be compared: got {a.shape} and {b.shape}. Choose one picture.")
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
    """What A and B say about some pixels, where they do not say the same."""

    a: str
    b: str
    pixels: int
    share: float


class ClassOverlap(NamedTuple):
    """A class that both segmenters know: its pixels in each, and their IoU in [0, 1]; None where it is in neither."""

    name: str
    a_pixels: int
    b_pixels: int
    iou: float | None


@dataclass(frozen=True, eq=False)
class Disagreement:
    """Where two segmentations of one picture say different things; classes are matched by their names.

    Attributes:
        mask: where the names differ, bool `(H, W)`.
        share: of the picture's pixels where they do, in [0, 1].
        pairs: the differing pairs of names, the most frequent first.
        overlaps: of each class that both know, in A's order.
        mean_iou: over those of them that are in either segmentation; None if none is.
        only_a, only_b: classes that only one of them knows.
        unmatched: share of the picture where either says such a class, so that they could not agree, in [0, 1].
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
    """Compare two segmentations of one picture.

    Args:
        a, b: class indices `(H, W)`.
        a_classes, b_classes: the names they stand for.

    Raises:
        SettingError: segmentations of different shapes.
    """
    if a.shape != b.shape:
        raise SettingError(
            f"Only segmentations of one size can be compared: got {a.shape} and {b.shape}. Choose one picture."
        )
    names = tuple(dict.fromkeys((*a_classes, *b_classes)))
    known_a, known_b = set(a_classes), set(b_classes)
    place = {name: index for index, name in enumerate(names)}
    said_a = np.array([place[name] for name in a_classes])[a]
    said_b = np.array([place[name] for name in b_classes])[b]
    K, size = len(names), a.size
    matrix = np.bincount((said_a * K + said_b).ravel(), minlength=K * K).reshape(K, K)
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
    mask = said_a != said_b
    return Disagreement(
        mask=mask,
        share=float(mask.mean()),
        pairs=tuple(sorted(pairs, key=lambda pair: -pair.pixels)),
        overlaps=overlaps,
        mean_iou=float(np.mean(present)) if present else None,
        only_a=tuple(name for name in a_classes if name not in known_b),
        only_b=tuple(name for name in b_classes if name not in known_a),
        unmatched=float((alone_a[said_a] | alone_b[said_b]).mean()),
    )


def shared_region(target: Target, image: Image, segmenter: Segmenter, *, first: Segmenter) -> Frozen:
    """A target on the region that one segmenter gives it, to explain another segmenter by: `explain(…, frozen=…)`.

    Args:
        target: what to explain; both segmenters must have its class.
        image: the clean picture.
        segmenter: that is to be explained.
        first: whose clean prediction fixes the region.

    Raises:
        TargetError: the class or the region is not there.
    """
    frozen = target.freeze(image, clean_logits(image, first).argmax(0).cpu().numpy(), first.classes)
    return replace(frozen, first=first).moved_to(
        clean_logits(image, segmenter).argmax(0).cpu().numpy(), segmenter.classes
    )


class Scale(NamedTuple):
    """What a map's colours stand for: the value at the end of its bar, and whether other maps share it."""

    limit: float
    shared: bool


def scales(results: Sequence[Attribution], *, common: bool) -> list[Scale]:
    """A colour scale for each map, about its neutral value.

    Args:
        results: whose maps are shown.
        common: give maps of one unit one scale, up to the largest magnitude among them; one colour then means one value.
            A map whose unit no other has, or that has no sign where the others have, keeps its own.
    """
    kinds = [(result.unit(), result.signed()) for result in results]
    own = [limit_of(result.centred) for result in results]
    if not common:
        return [Scale(limit, False) for limit in own]
    return [
        Scale(max(limit for limit, other in zip(own, kinds, strict=True) if other == kind), kinds.count(kind) > 1)
        for kind in kinds
    ]
