"""What a map took to compute."""

from __future__ import annotations

from perturb.metrics.base import Metric, MetricInput


class Forwards(Metric):
    name = "forwards"
    title = "Forward passes"
    group = "cost"
    better = "read"
    summary = "Pictures the segmenter was run on to make the map."
    formula = "counted"
    range = "1 or more; a control takes none"
    assumptions = "A partial pass from a layer on counts as one, a backward pass too."
    gamed = "Fewer passes are cheaper, not truer."
    citation = "ours: counted by the engine"

    def value(self, given: MetricInput) -> float:
        return given.forwards


class Seconds(Metric):
    name = "seconds"
    title = "Seconds"
    group = "cost"
    better = "read"
    summary = "Wall time of the map, on the machine that made it."
    formula = "measured"
    range = "0 or more"
    assumptions = "An otherwise idle machine."
    gamed = "Depends on the machine."
    citation = "ours: measured on the run"

    def value(self, given: MetricInput) -> float:
        return given.seconds
