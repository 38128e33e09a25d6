"""ROAD: the score while pixels are replaced by an imputation from their surroundings, in both orders of relevance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perturb.metrics.base import Better, MapScores, Metric, MetricInput, Stream
from perturb.metrics.curves import Curve, Order, scale_of
from perturb.metrics.verdict import SMALLEST_GAP, falls
from perturb.perturbations.masks import Masks, Ranked
from perturb.targets.readings import Readings

LEVELS = np.arange(1, 10) / 10
"""Fractions hidden."""


class RoadImages(Stream):
    """The most relevant 10, 20, … 90 % hidden, then the least relevant."""

    fill = "linear"

    def parts(self, rank: Order, seed: int) -> Sequence[Masks]:  # noqa: ARG002 — nothing is drawn
        self._counts = (LEVELS * rank.size).astype(np.int64)
        return Ranked(rank, self._counts), Ranked(rank, self._counts, from_end=True)

    def curves(self, readings: Readings, clean: Readings) -> dict[str, Curve]:
        score, iou = readings.score / scale_of(clean), readings.iou
        fraction, n = self._counts / (self.height * self.width), len(LEVELS)
        return {
            "road_morf": Curve(fraction, score[None, :n], iou[None, :n]),
            "road_lerf": Curve(fraction, score[None, n:], iou[None, n:]),
        }


class RoadMetric(Metric):
    """What the three values of ROAD have in common."""

    group = "road"
    range = "0 to about 1"
    assumptions = "Imputed pixels carry no hint of where pixels were hidden; a smooth surface with a little noise nearly does that."
    gamed = "A map of scattered points is imputed almost perfectly from their neighbours: MoRF then looks bad for a true map."
    cost = "9 an order"
    citation = "Rong et al. 2022 (ROAD), sec. 4"
    streams = (RoadImages,)
    margin = SMALLEST_GAP

    def informative(self, maps: Sequence[MapScores]) -> bool:
        """Whether the score falls in either order of any map."""
        curves = [each.curves[name] for each in maps for name in ("road_morf", "road_lerf") if name in each.curves]
        return any(falls(np.append(1.0, curve.score[0])) for curve in curves)


class RoadOrder(RoadMetric):
    """Mean score over the levels of one order.

    Args:
        name, title, better: of the card.
        most: whether the most or the least relevant pixels are replaced.
    """

    def __init__(self, name: str, title: str, better: Better, most: str) -> None:
        self.name, self.title, self.better = name, title, better
        self.summary = (
            f"Mean score when the {most} relevant 10 to 90 % are replaced by an imputation from their surroundings."
        )
        self.formula = f"mean of S(x')/S(x) at 10, 20, … 90 %, {most} relevant first"

    def value(self, given: MetricInput) -> float:
        return float(given.curves[self.name].score[0].mean())


class RoadCombined(RoadMetric):
    name = "road_combined"
    title = "ROAD combined"
    better = "higher"
    summary = "Half the distance between the two ROAD orders: a random map scores 0, a reversed one below."
    formula = "mean of (LeRF − MoRF)/2 over 10, 20, … 90 %"
    range = "−0.5 to about 0.5"

    def value(self, given: MetricInput) -> float:
        least, most = (given.curves[name].score[0] for name in ("road_lerf", "road_morf"))
        return float(((least - most) / 2).mean())


ROAD = (
    RoadOrder("road_morf", "ROAD MoRF", "lower", "most"),
    RoadOrder("road_lerf", "ROAD LeRF", "higher", "least"),
    RoadCombined(),
)
