"""ROAD: the score as pixels are imputed from their surroundings, most relevant first and least relevant first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perturb.metrics.base import Better, MapScores, Metric, MetricInput, Stream
from perturb.metrics.curves import Curve, Order, scale_of
from perturb.metrics.verdict import SMALLEST_GAP, falls
from perturb.perturbations.masks import Masks, Ranked
from perturb.targets.readings import Readings

LEVELS = np.arange(1, 10) / 10
"""Fractions of the pixels that are hidden."""


class RoadImages(Stream):
    """Images with the most relevant 10, 20, … 90 % hidden, then with the least relevant."""

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
    """Base of the three ROAD metrics."""

    group = "road"
    range = "0 to about 1"
    assumptions = (
        "Imputed pixels do not reveal which pixels were hidden. Linear imputation with a little noise comes close."
    )
    gamed = (
        "Scattered pixels are imputed almost perfectly from their neighbours, so MoRF underrates a map made of points."
    )
    cost = "9 per order"
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
        name, title, better: as in `Metric`.
        most: `most` or `least`: which pixels are imputed first.
    """

    def __init__(self, name: str, title: str, better: Better, most: str) -> None:
        self.name, self.title, self.better = name, title, better
        self.summary = (
            f"Mean score when the {most} relevant 10 to 90 % of the pixels are imputed from their surroundings."
        )
        self.formula = f"mean of S(x')/S(x) at 10, 20, … 90 %, {most} relevant first"

    def value(self, given: MetricInput) -> float:
        return float(given.curves[self.name].score[0].mean())


class RoadCombined(RoadMetric):
    name = "road_combined"
    title = "ROAD combined"
    better = "higher"
    summary = "Half the difference between the two ROAD orders. A random map scores about 0, a reversed map below 0."
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
