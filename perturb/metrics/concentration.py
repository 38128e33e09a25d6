"""How concentrated and how noisy a map is. These metrics describe a map; none of them is better low or high."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import numpy.typing as npt

from perturb.metrics.base import Metric, MetricInput, Value

Floats = npt.NDArray[np.float64]


class ConcentrationMetric(Metric):
    """Base of metrics that describe a map."""

    group = "concentration"
    better = "read"
    range = "0 to 1"
    assumptions = "None. It describes the map, not whether the map is faithful."


class SpreadMetric(ConcentrationMetric):
    """Base of metrics of how the magnitude of a map is distributed; None for a map that is zero everywhere."""

    def value(self, given: MetricInput) -> Value:
        mass = np.sort(np.abs(given.centred.astype(np.float64)).ravel())
        total = mass.sum()
        return self.of_shares(mass / total) if total > 0 else None

    @abstractmethod
    def of_shares(self, share: Floats) -> float:
        """The value for each pixel's share of the magnitude, ascending float64 `(H·W,)` with sum 1."""


class Gini(SpreadMetric):
    name = "gini"
    title = "Gini"
    summary = "How unequally the map's magnitude is distributed: 0 for a uniform map, near 1 for a few pixels."
    formula = "Gini coefficient of |map|"
    gamed = "A single extreme pixel raises it."
    citation = "Chalasani et al. 2020, sec. 4 (sparseness)"

    def of_shares(self, share: Floats) -> float:
        size = share.size
        # This form is exact for any number of pixels.
        return float(((2 * np.arange(1, size + 1) - size - 1) * share).sum() / size)


class Entropy(SpreadMetric):
    name = "entropy"
    title = "Entropy"
    summary = "How widely the map's magnitude is distributed: 1 for a uniform map, near 0 for a few pixels."
    formula = "−Σ p ln p / ln(H·W) with p = |map| / Σ |map|"
    gamed = "Weak background noise raises it."
    citation = "Shannon 1948, divided by its maximum"

    def of_shares(self, share: Floats) -> float:
        some = share[share > 0]
        return float(-(some * np.log(some)).sum() / np.log(share.size)) if share.size > 1 else 0.0


class HalfArea(SpreadMetric):
    name = "half_area"
    title = "Half-mass area"
    summary = "The smallest share of the image that contains half of the map's magnitude."
    formula = "min n/(H·W) with Σ of the n largest |map| ≥ ½ Σ |map|"
    range = "above 0 to 0.5"
    gamed = "Large segments raise it, whatever they show."
    citation = "this project: the median of the Lorenz curve (Lorenz 1905)"

    def of_shares(self, share: Floats) -> float:
        return float((np.searchsorted(np.cumsum(share[::-1]), 0.5 - 1e-12) + 1) / share.size)


class TotalVariation(ConcentrationMetric):
    name = "total_variation"
    title = "Noise (total variation)"
    summary = "How much neighbouring pixels of the map differ, relative to the range of the map."
    formula = "Σ (|Δx| + |Δy|) / ((max − min) · H·W)"
    range = "0 to 2"
    gamed = "Blurring a map lowers it but makes the map no more faithful."
    citation = "Rudin et al. 1992, anisotropic"

    def value(self, given: MetricInput) -> Value:
        heatmap = given.centred
        spread = float(heatmap.max()) - float(heatmap.min())
        values = heatmap.astype(np.float64)
        steps = np.abs(np.diff(values, axis=0)).sum() + np.abs(np.diff(values, axis=1)).sum()
        return float(steps / (spread * values.size)) if spread > 0 else None
