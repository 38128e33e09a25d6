"""The cost of computing a map."""

from __future__ import annotations

from perturb.metrics.base import Metric, MetricInput


class Forwards(Metric):
    name = "forwards"
    title = "Forward passes"
    group = "cost"
    better = "read"
    summary = "The number of images that the segmenter was run on to compute the map."
    formula = "counted"
    range = "1 or more; 0 for a control"
    assumptions = "A pass of only the layers downstream of a layer counts as one; so does a backward pass."
    gamed = "Fewer passes are cheaper, not more faithful."
    citation = "this project: counted by the engine"

    def value(self, given: MetricInput) -> float:
        return given.forwards


class Seconds(Metric):
    name = "seconds"
    title = "Seconds"
    group = "cost"
    better = "read"
    summary = "Wall time of computing the map, on the machine that ran it."
    formula = "measured"
    range = "0 or more"
    assumptions = "The machine is otherwise idle."
    gamed = "It depends on the machine."
    citation = "this project: measured during the run"

    def value(self, given: MetricInput) -> float:
        return given.seconds
