"""What a metric is: its card, the images that it needs, and how its value is computed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from perturb.metrics.curves import Curve, Order
from perturb.perturbations.masks import Chain, Masks
from perturb.targets.readings import Readings

Better = Literal["lower", "higher", "read", "control"]
Group = Literal["curves", "road", "subject", "localisation", "concentration", "errors", "cost"]
Value = float | None

GROUPS: dict[Group, str] = {
    "curves": "Deletion and insertion",
    "road": "ROAD: imputed from the surroundings",
    "subject": "Background (b) or subject (s) hidden, by a flat colour or by imputation",
    "localisation": "Where the map points",
    "concentration": "Shape and noise of the map",
    "errors": "The segmenter's own errors",
    "cost": "Cost",
}
"""Titles of the groups, in which tables and pages show the metrics."""

CARD = (
    "name", "title", "group", "better", "summary", "formula", "range", "assumptions", "gamed", "cost", "citation",
)  # fmt: skip
"""The attributes of a metric that are its card."""


class Stream(Chain):
    """Images that a metric needs of every map: the pixels that each of them hides, in the map's order.

    Args:
        rank: each pixel's place in the map's order, int `(H, W)`, 0 for the most important.
        seed: of what is drawn by chance.

    Attributes:
        fill: what the hidden pixels show, a name in `FILLS`, with its default settings.
    """

    fill: ClassVar[str]

    def __init__(self, rank: Order, seed: int) -> None:
        super().__init__(*self.parts(rank, seed))

    @abstractmethod
    def parts(self, rank: Order, seed: int) -> Sequence[Masks]:
        """The masks, in as many parts as is convenient. Their number depends on neither argument."""

    def curves(self, readings: Readings, clean: Readings) -> dict[str, Curve]:  # noqa: ARG002 — for subclasses
        """The curves that the readings are points of, by name; none by default.

        Args:
            readings: of all masks, in order.
            clean: of the clean image, one entry.
        """
        return {}


@dataclass(frozen=True, eq=False)
class MetricInput:
    """What a metric can read of one map.

    Attributes:
        heatmap: as the method gave it, finite float32 `(H, W)`; larger is more important.
        centred: the same about its neutral value.
        rank: each pixel's place in its order, int64 `(H, W)`, 0 for the most important; ties are broken by a seeded draw.
        region: the explained pixels, bool `(H, W)`.
        object_mask: the true mask of the class, where the whole class is explained and the truth knows it; else the region.
        wrong: the pixels that the segmenter gets wrong, bool `(H, W)`; None without ground truth.
        clean: the reading of the clean image, one entry; the score is the mean probability over the region.
        readings: of the streams that the chosen metrics need.
        curves: of these streams, by name.
        forwards, seconds: what the map took.
    """

    heatmap: npt.NDArray[np.float32]
    centred: npt.NDArray[np.float32]
    rank: npt.NDArray[np.int64]
    region: npt.NDArray[np.bool_]
    object_mask: npt.NDArray[np.bool_]
    wrong: npt.NDArray[np.bool_] | None
    clean: Readings
    readings: Mapping[type[Stream], Readings]
    curves: Mapping[str, Curve]
    forwards: float = 0
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class MapScores:
    """One map and its values.

    Attributes:
        name: of the method, or of the control.
        kind: `method` or `control`.
        heatmap: about its neutral value, float32 `(H, W)`.
        values: by metric; None for n/a.
        curves: by name; see `MapEvaluator.measure`.
        notes: what a reader should know, in sentences.
        signed: whether the map has a sign; else it is a size from 0 up, as the controls' are.
    """

    name: str
    kind: Literal["method", "control"]
    heatmap: npt.NDArray[np.float32]
    values: Mapping[str, Value]
    curves: Mapping[str, Curve]
    notes: tuple[str, ...] = ()
    signed: bool = False


class Metric(ABC):
    """A number about an attribution map. A new one is a subclass with the attributes below, and an entry in `METRICS`.

    Attributes:
        name: as in tables, records and on the command line.
        title: for people.
        group: where tables and pages show it.
        better: the direction of a better map; `read` for a property that is neither good nor bad; `control` for a value
            to compare with, which is measured only where it is asked for.
        summary: what it measures, in one plain sentence.
        formula: how it is computed.
        range: which values it takes.
        assumptions: what must hold for it to mean that.
        gamed: how a bad map can look good on it.
        cost: forward passes for one map, in words; the streams say it in numbers.
        citation: where it comes from.
        streams: the images that it needs. Metrics with a stream in common share its forward passes.
        margin: by more than how much a map must be better than a control to beat it.
    """

    name: str
    title: str
    group: Group
    better: Better
    summary: str
    formula: str
    range: str
    assumptions: str
    gamed: str
    cost: str = "none"
    citation: str
    streams: tuple[type[Stream], ...] = ()
    margin: float = 0.0

    @abstractmethod
    def value(self, given: MetricInput) -> Value:
        """The value for one map; None where it is not defined."""

    def informative(self, maps: Sequence[MapScores]) -> bool:  # noqa: ARG002 — for subclasses
        """Whether it can tell the maps of a comparison apart, controls included."""
        return True

    @property
    def arrow(self) -> str:
        """↓, ↑, or nothing for what is not ranked."""
        return {"lower": "↓", "higher": "↑"}.get(self.better, "")

    def as_dict(self) -> dict[str, Any]:
        """The card as plain data, for JSON."""
        return {**{name: getattr(self, name) for name in CARD}, "arrow": self.arrow}
