"""The verdict of the deletion and insertion curves on an attribution map, in words.

A curve counts only if two requirements hold:

1. **Gap.** The map's area lies outside the range of the random orders' areas by more than the width of that range, and by
   more than `SMALLEST_GAP`. Lying just outside the range is weak evidence: of four exchangeable orders, one of them the
   map's, each is the best with probability 1/4. With three normally distributed areas, a gap wider than their range has
   probability 0.066 on either side.
2. **Fall.** Somewhere along the map's own deletion curve, whose last point hides everything, the score falls by at least
   `FALL` of its clean value. If hiding every pixel leaves the score unchanged, the order of hiding is irrelevant: the
   areas of an untrained network differ by thousandths, and consistently so.

A logit has neither a zero nor a scale, so a relative fall is undefined, and it must fall by `FALL_LOGIT` instead. For the
IoU, both the score and the IoU must fall, since labels flip easily where the scores of two classes nearly tie.

Random orders scatter single pixels. A smooth map that does not depend on the segmenter can beat them on both curves if
its blobs happen to cover the object, so the controls of `perturb.compare` include smooth random maps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from perturb.metrics.measures import auc
from perturb.targets.target import Score

FALL = 0.2
"""Share of its clean value by which a probability or an IoU must fall before an order of hiding means anything."""
FALL_LOGIT = 1.0
"""The same for a logit: the odds against every class with an unchanged logit fall by the factor e."""
SMALLEST_GAP = 0.01
"""Areas that differ by no more than this count as equal: a hundredth of the clean score, or of one logit."""

REQUIREMENTS = (
    "A curve beats the random orders if its area lies outside theirs by more than they differ among themselves, and by "
    f"more than {SMALLEST_GAP:g}. It counts only if hiding the map's pixels lowers the score by at least {FALL:.0%} of its "
    f"clean value, or a logit by at least {FALL_LOGIT:g}. Random orders scatter single pixels; the Faithfulness page also "
    "compares with smooth random maps."
)
"""The two requirements, as a help text."""
ROUNDING = 1e-9
"""Tolerance for rounding in float64 sums, so that a value at a limit is treated consistently."""

Floats = npt.NDArray[np.float64]
Measure = Literal["score", "iou"]
Place = Literal["better", "worse", "within"]
Outcome = Literal["faithful", "contradictory", "worse", "cannot tell"]


class CurveLike(Protocol):
    """The part of a curve that a verdict needs; see `perturb.metrics.curves.Curve`."""

    @property
    def fraction(self) -> Floats: ...
    @property
    def score(self) -> Floats: ...
    @property
    def iou(self) -> Floats: ...
    @property
    def auc(self) -> float: ...
    @property
    def iou_auc(self) -> float: ...


class CurvesLike(Protocol):
    """The part of a map's curves that a verdict needs; see `perturb.metrics.curves.Curves`."""

    @property
    def deletion(self) -> CurveLike: ...
    @property
    def insertion(self) -> CurveLike: ...
    @property
    def random_deletion(self) -> CurveLike: ...
    @property
    def random_insertion(self) -> CurveLike: ...
    @property
    def score(self) -> Score: ...


@dataclass(frozen=True)
class Standing:
    """The area under one curve, compared with the areas of the random orders.

    Attributes:
        kind: `deletion` or `insertion`.
        area: of the map's own curve.
        low, high: the smallest and the largest area of a random order.
        draws: number of random orders.
    """

    kind: str
    area: float
    low: float
    high: float
    draws: int

    @property
    def place(self) -> Place:
        """Whether the area is better or worse than the random orders by the margin of this module, or within it."""
        if self.draws < 2:  # a single order has no spread
            return "within"
        margin = max(self.high - self.low, SMALLEST_GAP) + ROUNDING
        under, over = self.low - self.area > margin, self.area - self.high > margin
        if not (under or over):
            return "within"
        return "better" if under == (self.kind == "deletion") else "worse"

    def __str__(self) -> str:
        return f"{self.kind} {self.area:.3f}, {self.draws} random orders {self.low:.3f} to {self.high:.3f}"


@dataclass(frozen=True)
class Verdict:
    """The verdict of both curves together.

    Attributes:
        outcome: `faithful` if both curves are better than the random orders; `contradictory` if one is better and the
            other worse; `worse` if at least one is worse and none is better; otherwise, or if the score does not fall,
            `cannot tell`.
        statement: the outcome in a sentence, with its reason.
        deletion, insertion: the areas on which it is based.
    """

    outcome: Outcome
    statement: str
    deletion: Standing
    insertion: Standing

    def __str__(self) -> str:
        return f"{self.statement} Areas: {self.deletion}; {self.insertion}."


def verdict_on(curves: CurvesLike, measure: Measure = "score") -> Verdict:
    """The verdict of the curves on their map.

    Args:
        curves: with at least two random orders. With one, or if the score does not fall, the outcome is `cannot tell`.
        measure: whether to compare the areas under the score or under the IoU.
    """
    deletion, insertion = (_standing(curves, kind, measure) for kind in ("deletion", "insertion"))

    def verdict(outcome: Outcome, statement: str) -> Verdict:
        return Verdict(outcome, statement, deletion, insertion)

    if deletion.draws < 2:
        return verdict(
            "cannot tell", "Cannot tell: a single random order has no spread to compare with; take at least two."
        )
    if too_little := _too_little(curves, measure):
        return verdict(
            "cannot tell", f"Cannot tell: {too_little}, so the order of hiding says nothing. Try another fill."
        )
    better = [standing.kind for standing in (deletion, insertion) if standing.place == "better"]
    worse = [standing.kind for standing in (deletion, insertion) if standing.place == "worse"]
    if len(better) == 2:
        return verdict(
            "faithful",
            "Both curves beat the random orders by more than these differ among themselves: the map points at pixels that "
            "matter.",
        )
    if better and worse:
        return verdict(
            "contradictory",
            f"The {better[0]} curve beats the random orders, the {worse[0]} curve is worse than all of them: do not rely on "
            "the map.",
        )
    if worse:
        lies = "curve lies" if len(worse) == 1 else "curves lie"
        return verdict(
            "worse", f"Worse than random: the {' and the '.join(worse)} {lies} on the wrong side of every random order."
        )
    which = f"only the {better[0]} curve beats" if better else "neither curve beats"
    return verdict("cannot tell", f"Cannot tell: {which} the random orders by more than these differ among themselves.")


def fallen(values: Floats, score: Score) -> float:
    """How far the lowest point of a deletion curve lies below its first, the clean image.

    Args:
        values: score or IoU along the curve, float64 `(n,)`.
        score: the kind of score.

    Returns:
        The fall as a share of the first value, 0 if that is 0; for logits the difference itself.
    """
    clean, drop = float(values[0]), float(values[0] - values.min())
    if score == "logit":
        return drop
    return drop / clean if clean > 1e-6 else 0.0


def falls(values: Floats, score: Score = "probability") -> bool:
    """Whether a deletion curve falls far enough for the order of hiding to matter; arguments as for `fallen`."""
    return fallen(values, score) >= (FALL_LOGIT if score == "logit" else FALL) - ROUNDING


def _standing(curves: CurvesLike, kind: str, measure: Measure) -> Standing:
    own: CurveLike = getattr(curves, kind)
    control: CurveLike = getattr(curves, f"random_{kind}")
    draws = control.iou if measure == "iou" else control.score
    areas = [auc(control.fraction, draw) for draw in draws]
    return Standing(kind, own.iou_auc if measure == "iou" else own.auc, min(areas), max(areas), len(areas))


def _too_little(curves: CurvesLike, measure: Measure) -> str:
    """Which measure does not fall far enough along the map's deletion curve, in words; empty if all do."""
    own = curves.deletion
    measured: list[tuple[str, Floats, Score]] = [("score", own.score.mean(0), curves.score)]
    if measure == "iou":
        measured.append(("IoU", own.iou.mean(0), "iou"))
    for name, values, score in measured:
        if falls(values, score):
            continue
        drop = fallen(values, score)
        if score == "logit":
            return f"hiding the map's pixels lowers the {name} by {drop:.2g} logits at most, less than {FALL_LOGIT:g}"
        if values[0] <= 1e-6:
            return f"the {name} of the clean image is already 0"
        return f"hiding the map's pixels lowers the {name} by {_percent(drop)} of its clean value at most, less than {FALL:.0%}"
    return ""


def _percent(share: float) -> str:
    """A share below `FALL`, never rounded up to it."""
    return f"{np.floor(share * 1000) / 10:.1f}%"
