"""How much of a map lies on pixels that the segmenter predicts wrongly."""

from __future__ import annotations

import numpy as np

from perturb.metrics.base import Metric, MetricInput, Value


class ErrorShare(Metric):
    """Share of the map's magnitude on wrong pixels, in [0, 1].

    None without ground truth, and for a map that is zero everywhere.
    """

    name = "error_share"
    title = "Share on errors"
    group = "errors"
    better = "read"
    summary = "The share of the map's magnitude on pixels that the segmenter predicts wrongly."
    formula = "Σ |map| over {A ≠ truth} / Σ |map|; compare with the share of wrong pixels"
    range = "0 to 1"
    assumptions = "There is correct ground truth. A high share is about errors of the segmenter, not of the method."
    gamed = "A uniform map scores the share of wrong pixels."
    citation = "this project: the map where the prediction is wrong"

    def value(self, given: MetricInput) -> Value:
        mass = np.abs(given.centred.astype(np.float64))
        total = mass.sum()
        return float(mass[given.wrong].sum() / total) if given.wrong is not None and total > 0 else None
