"""How the probability changes when the map's highest-ranked pixels, or all others, are hidden."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perturb.metrics.base import MapScores, Metric, MetricInput, Stream
from perturb.metrics.curves import Order, scale_of
from perturb.metrics.deletion_insertion import FILL_ASSUMPTION
from perturb.metrics.verdict import FALL, SMALLEST_GAP
from perturb.perturbations.masks import Masks, Ranked

SUBJECT = 0.2
"""Share of the image with the map's highest ranks, called its subject."""
SIDES = ("b", "s")
"""What is hidden: the background, then the subject."""


class FlatSubject(Stream):
    """The background, then the subject, hidden by the mean colour of the image."""

    fill = "mean"

    def parts(self, rank: Order, seed: int) -> Sequence[Masks]:  # noqa: ARG002 — nothing is drawn
        count = max(1, int(SUBJECT * rank.size))
        return Ranked(rank, np.array([rank.size - count]), from_end=True), Ranked(rank, np.array([count]))


class LinearSubject(FlatSubject):
    """The background, then the subject, hidden by noisy linear imputation."""

    fill = "linear"


class SubjectMetric(Metric):
    """How the probability changes when the background or the subject of a map is hidden.

    Args:
        kind: `increase` or `drop`.
        side: one of `SIDES`.
        fill: `flat` or `linear`.
    """

    group = "subject"
    cost = "1"
    citation = "Chattopadhay et al. 2018 (Grad-CAM++), sec. 4.1, with the masks of the map's highest ranks"
    margin = 100 * SMALLEST_GAP

    def __init__(self, kind: str, side: str, fill: str) -> None:
        rise, flat = kind == "increase", fill == "flat"
        self._rise, self._side, self._drop = rise, SIDES.index(side), f"drop_{side}_{fill}"
        self.streams = (FlatSubject if flat else LinearSubject,)
        self.name, self.title = f"{kind}_{side}_{fill}", f"% {kind} {side}, {fill}"
        self.better = "higher" if rise == (side == "b") else "lower"
        what = "background" if side == "b" else "subject of the map"
        self.summary = (
            f"{'How often' if rise else 'By how many percent'} the probability {'rises' if rise else 'drops'} when the {what} "
            "is hidden."
        )
        self.formula = "100 · [Y < O]" if rise else "100 · max(0, Y − O) / Y"
        self.range = "0 or 100 on one image, a share in % over many" if rise else "0 to 100 %"
        fill_title = "the mean colour of the image" if flat else "noisy linear imputation"
        self.assumptions = (
            f"{FILL_ASSUMPTION} The fill is {fill_title}. The subject is the top {SUBJECT:.0%} of the pixels."
        )
        self.gamed = (
            "On one image the increase is all or nothing, so noise can decide it."
            if rise
            else "If the segmenter predicts the class on the fill itself, the probability never drops."
        )
        if flat and side == "s":
            self.gamed += " Scattered flat pixels disrupt any image, so a random map scores high."

    def value(self, given: MetricInput) -> float:
        clean = float(given.clean.score[0])
        hidden = float(given.readings[self.streams[0]].score[self._side])
        return 100.0 * float(clean < hidden) if self._rise else 100.0 * max(0.0, clean - hidden) / scale_of(given.clean)

    def informative(self, maps: Sequence[MapScores]) -> bool:
        """Whether the probability drops by at least `FALL` for any map."""
        drops = [each.values.get(self._drop) for each in maps]
        return None in drops or max(drop for drop in drops if drop is not None) >= 100 * FALL


SUBJECTS = tuple(
    SubjectMetric(kind, side, fill) for fill in ("flat", "linear") for side in SIDES for kind in ("increase", "drop")
)
