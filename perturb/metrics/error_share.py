"""How much of a map lies on the segmenter's own errors."""

from __future__ import annotations

import numpy as np

from perturb.metrics.base import Metric, MetricInput, Value


class ErrorShare(Metric):
    """Share of the map's magnitude on wrong pixels; None without ground truth, and for a map that is zero everywhere."""

    name = "error_share"
    title = "Share on errors"
    group = "errors"
    better = "read"
    summary = "How much of the map's magnitude lies on pixels that the segmenter gets wrong."
    formula = "Σ |map| over {A ≠ truth} / Σ |map|; compare with the share of wrong pixels"
    range = "0 to 1"
    assumptions = "Ground truth is there and right. A high share speaks about the segmenter's error, not the method's."
    gamed = "A map spread evenly has the share of wrong pixels itself."
    citation = "ours: the map read where the prediction is wrong"

    def value(self, given: MetricInput) -> Value:
        mass = np.abs(given.centred.astype(np.float64))
        total = mass.sum()
        return float(mass[given.wrong].sum() / total) if given.wrong is not None and total > 0 else None
