"""What deletion and insertion curves say about an attribution map, in words, and when they say nothing.

A curve counts only where two requirements hold:

1. **Gap.** The map's area lies outside the range of the random orders' areas by more than that range is wide, and by more
   than `SMALLEST_GAP`. Merely lying outside the range means little: of four exchangeable orders, one of them the map's,
   each is the best one with probability 1/4. With three normally distributed areas, a gap wider than their range has
   probability 0.066 on either side.
2. **Fall.** Somewhere along the map's own deletion curve, whose last point hides everything, the score falls by at least
   `FALL` of its clean value. Where hiding every pixel leaves the score as it was, the order of hiding is irrelevant: the
   areas of an untrained network differ by thousandths, and consistently so.

A logit has neither a zero nor a scale to take a share of, so it must fall by `FALL_LOGIT` instead. For the IoU both the
score and the IoU must fall, since labels flip on a hair where the scores of two classes nearly tie.

Random orders scatter single pixels. A smooth map that does not depend on the segmenter can beat them on both curves, where
its blobs happen to cover the object: `perturb.compare` has smooth random maps among its controls.
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
"""The same for a logit: e times lower odds against every class whose logit stays."""
SMALLEST_GAP = 0.01
"""Areas no further apart than this count as equal: a hundredth of the clean score; in logits, of one logit."""

REQUIREMENTS = (
    "A curve beats the random orders where its area lies outside theirs by more than they differ among themselves, and by "
    f"more than {SMALLEST_GAP:g}. It counts only where hiding the map's pixels lowers the score by at least {FALL:.0%} of its "
    f"clean value, a logit by at least {FALL_LOGIT:g}. Random orders scatter single pixels: the Faithfulness page has smooth "
    "random maps beside them."
)
"""The two requirements for a help text."""
ROUNDING = 1e-9
"""What float64 sums may be off; it keeps a value at a limit on its side."""

Floats = npt.NDArray[np.float64]
Measure = Literal["score", "iou"]
Place = Literal["better", "worse", "within"]
Outcome = Literal["faithful", "contradictory", "worse", "cannot tell"]


class CurveLike(Protocol):
    """What a verdict reads of one curve; see `perturb.metrics.curves.Curve`."""

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
    """What a verdict reads of the curves of a map; see `perturb.metrics.curves.Curves`."""

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
    """One curve's area beside those of the random orders.

    Attributes:
        kind: `deletion` or `insertion`.
        area: of the map's own curve.
        low, high: the smallest and the largest area of a random order.
        draws: how many random orders there are.
    """

    kind: str
    area: float
    low: float
    high: float
    draws: int

    @property
    def place(self) -> Place:
        """Better or worse than the random orders by the margin of this module, or within it."""
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
    """What both curves say together.

    Attributes:
        outcome: `faithful` where both curves are better than the random orders; `contradictory` where one is better and
            one is worse; `worse` where one is worse and none is better; else, and where the score does not fall,
            `cannot tell`.
        statement: the outcome in a sentence, with its reason.
        deletion, insertion: the areas it rests on.
    """

    outcome: Outcome
    statement: str
    deletion: Standing
    insertion: Standing

    def __str__(self) -> str:
        return f"{self.statement} Areas: {self.deletion}; {self.insertion}."


def verdict_on(curves: CurvesLike, measure: Measure = "score") -> Verdict:
    """The verdict of a map's curves.

    Args:
        curves: with at least two random orders; with one, or where nothing falls, the outcome is `cannot tell`.
        measure: whether to compare the areas under the score or under the IoU.
    """
    deletion, insertion = (_standing(curves, kind, measure) for kind in ("deletion", "insertion"))

    def said(outcome: Outcome, statement: str) -> Verdict:
        return Verdict(outcome, statement, deletion, insertion)

    if deletion.draws < 2:
        return said(
            "cannot tell", "Cannot tell: a single random order has no spread to compare with; take at least two."
        )
    if too_little := _too_little(curves, measure):
        return said("cannot tell", f"Cannot tell: {too_little}, so the order of hiding says nothing. Try another fill.")
    better = [standing.kind for standing in (deletion, insertion) if standing.place == "better"]
    worse = [standing.kind for standing in (deletion, insertion) if standing.place == "worse"]
    if len(better) == 2:
        return said(
            "faithful",
            "Both curves beat the random orders by more than these differ among themselves: the map points at pixels that "
            "matter.",
        )
    if better and worse:
        return said(
            "contradictory",
            f"The {better[0]} curve beats the random orders, the {worse[0]} curve is worse than all of them: do not rely on "
            "the map.",
        )
    if worse:
        lies = "curve lies" if len(worse) == 1 else "curves lie"
        return said(
            "worse", f"Worse than random: the {' and the '.join(worse)} {lies} on the wrong side of every random order."
        )
    which = f"only the {better[0]} curve beats" if better else "neither curve beats"
    return said("cannot tell", f"Cannot tell: {which} the random orders by more than these differ among themselves.")


def fallen(values: Floats, score: Score) -> float:
    """How far a deletion curve falls below its first point, the clean image, at its lowest.

    Args:
        values: score or IoU along the curve, `(n,)`.
        score: what it measures.

    Returns:
        A share of the first value, 0 where that is nothing; for logits the difference itself.
    """
    clean, drop = float(values[0]), float(values[0] - values.min())
    if score == "logit":
        return drop
    return drop / clean if clean > 1e-6 else 0.0


def falls(values: Floats, score: Score = "probability") -> bool:
    """Whether a deletion curve falls far enough for the order of hiding to mean anything; arguments as for `fallen`."""
    return fallen(values, score) >= (FALL_LOGIT if score == "logit" else FALL) - ROUNDING


def _standing(curves: CurvesLike, kind: str, measure: Measure) -> Standing:
    own: CurveLike = getattr(curves, kind)
    control: CurveLike = getattr(curves, f"random_{kind}")
    draws = control.iou if measure == "iou" else control.score
    areas = [auc(control.fraction, draw) for draw in draws]
    return Standing(kind, own.iou_auc if measure == "iou" else own.auc, min(areas), max(areas), len(areas))


def _too_little(curves: CurvesLike, measure: Measure) -> str:
    """What does not fall far enough along the map's deletion curve, in words; an empty string if everything does."""
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
    """A share that is less than `FALL`, never rounded up to it."""
    return f"{np.floor(share * 1000) / 10:.1f}%"
