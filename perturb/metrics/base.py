"""The interface of metrics: the card, the images that a metric needs, and the base class to extend."""

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
    "road": "ROAD: pixels imputed from their surroundings",
    "subject": "Background (b) or subject (s) hidden, by a flat colour or by imputation",
    "localisation": "Localisation",
    "concentration": "Concentration and noise of the map",
    "errors": "Errors of the segmenter",
    "cost": "Cost",
}
"""Titles of the groups by which tables and pages order the metrics."""

CARD = (
    "name", "title", "group", "better", "summary", "formula", "range", "assumptions", "gamed", "cost", "citation",
)  # fmt: skip
"""The attributes of a metric that form its card."""


class Stream(Chain):
    """The perturbed images that a metric needs for every map, as masks that depend on the order of the pixels.

    Args:
        rank: position of each pixel in the order of the map, int `(H, W)`, 0 for the most important.
        seed: of all random draws.

    Attributes:
        fill: name in `FILLS` of the fill for hidden pixels, used with its default settings.
    """

    fill: ClassVar[str]

    def __init__(self, rank: Order, seed: int) -> None:
        super().__init__(*self.parts(rank, seed))

    @abstractmethod
    def parts(self, rank: Order, seed: int) -> Sequence[Masks]:
        """The masks, in one or more parts. Their number depends on neither argument."""

    def curves(self, readings: Readings, clean: Readings) -> dict[str, Curve]:  # noqa: ARG002 — for subclasses
        """The curves that the readings form, by name; none by default.

        Args:
            readings: of all masks, in order.
            clean: of the clean image, one entry.
        """
        return {}


@dataclass(frozen=True, eq=False)
class MetricInput:
    """The input of a metric: one map, with what was measured for it.

    Attributes:
        heatmap: the map as computed by the method, finite float32 `(H, W)`; larger values are more important.
        centred: the map less its neutral value, float32 `(H, W)`.
        rank: position of each pixel in the order of the map, int64 `(H, W)`, 0 for the most important; ties are broken by
            a seeded draw.
        region: the explained pixels, bool `(H, W)`.
        object_mask: the true mask of the class if the whole class is explained and the ground truth has it; otherwise
            the region. Bool `(H, W)`.
        wrong: the pixels that the segmenter predicts wrongly, bool `(H, W)`; None without ground truth.
        clean: readings of the clean image, one entry; the score is the mean probability over the region.
        readings: of the streams that the chosen metrics need.
        curves: of these streams, by name.
        forwards, seconds: cost of the map.
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
        heatmap: the map less its neutral value, float32 `(H, W)`.
        values: by metric; None where undefined.
        curves: by name; see `MapEvaluator.measure`.
        notes: remarks for the reader, in full sentences.
        signed: whether the map has a sign; otherwise it is a magnitude, 0 or more, like the controls.
    """

    name: str
    kind: Literal["method", "control"]
    heatmap: npt.NDArray[np.float32]
    values: Mapping[str, Value]
    curves: Mapping[str, Curve]
    notes: tuple[str, ...] = ()
    signed: bool = False


class Metric(ABC):
    """A number that describes an attribution map.

    To add one, write a subclass with the attributes below, and add it to `METRICS`.

    Attributes:
        name: the name in tables, records and on the command line.
        title: the name shown to people.
        group: the group in tables and pages.
        better: whether a better map has the `lower` or the `higher` value; `read` for a property that is neither good nor
            bad; `control` for a value to compare with, which is computed only on request.
        summary: what it measures, in one plain sentence.
        formula: how it is computed.
        range: the values it can take.
        assumptions: what must hold for the value to be meaningful.
        gamed: how a bad map can score well.
        cost: number of forward passes for one map, in words.
        citation: its source.
        streams: the perturbed images that it needs. Metrics that share a stream share its forward passes.
        margin: a map beats a control if it is better by more than this.
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
        """The value for one map; None where undefined."""

    def informative(self, maps: Sequence[MapScores]) -> bool:  # noqa: ARG002 — for subclasses
        """Whether it can distinguish the maps of a comparison, controls included."""
        return True

    @property
    def arrow(self) -> str:
        """↓ or ↑; empty for a metric without a direction."""
        return {"lower": "↓", "higher": "↑"}.get(self.better, "")

    def as_dict(self) -> dict[str, Any]:
        """The card as plain data, for JSON."""
        return {**{name: getattr(self, name) for name in CARD}, "arrow": self.arrow}
