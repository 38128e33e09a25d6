"""How a map's magnitude is spread, and how noisy it is. All of these describe a map and do not judge it."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import numpy.typing as npt

from perturb.metrics.base import Metric, MetricInput, Value

Floats = npt.NDArray[np.float64]


class ConcentrationMetric(Metric):
    """What descriptions of a map have in common."""

    group = "concentration"
    better = "read"
    range = "0 to 1"
    assumptions = "None: it describes the map, not its truth."


class SpreadMetric(ConcentrationMetric):
    """How the magnitude of a map is spread; a map that is zero everywhere has none and no value."""

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
    summary = "How unequally the map's magnitude is spread: 0 evenly, towards 1 on a few pixels."
    formula = "Gini coefficient of |map|"
    gamed = "One loud pixel raises it."
    citation = "Chalasani et al. 2020, sec. 4 (sparseness)"

    def of_shares(self, share: Floats) -> float:
        size = share.size
        # The mean-difference form, exact for any number of pixels.
        return float(((2 * np.arange(1, size + 1) - size - 1) * share).sum() / size)


class Entropy(SpreadMetric):
    name = "entropy"
    title = "Entropy"
    summary = "How widely the map's magnitude is spread: 1 evenly, towards 0 on a few pixels."
    formula = "−Σ p ln p / ln(H·W) with p = |map| / Σ |map|"
    gamed = "A faint haze everywhere raises it."
    citation = "Shannon 1948, divided by its maximum"

    def of_shares(self, share: Floats) -> float:
        some = share[share > 0]
        return float(-(some * np.log(some)).sum() / np.log(share.size)) if share.size > 1 else 0.0


class HalfArea(SpreadMetric):
    name = "half_area"
    title = "Half-mass area"
    summary = "The smallest share of the picture that holds half of the map's magnitude."
    formula = "min n/(H·W) with Σ of the n largest |map| ≥ ½ Σ |map|"
    range = "above 0 to 0.5"
    gamed = "Large segments raise it, whatever they mean."
    citation = "ours: the median of the Lorenz curve (Lorenz 1905)"

    def of_shares(self, share: Floats) -> float:
        return float((np.searchsorted(np.cumsum(share[::-1]), 0.5 - 1e-12) + 1) / share.size)


class TotalVariation(ConcentrationMetric):
    name = "total_variation"
    title = "Noise (total variation)"
    summary = "How much neighbouring pixels of the map differ, with the map scaled to a range of 1."
    formula = "Σ (|Δx| + |Δy|) / ((max − min) · H·W)"
    range = "0 to 2"
    gamed = "Blurring the map lowers it and makes no map truer."
    citation = "Rudin et al. 1992, anisotropic"

    def value(self, given: MetricInput) -> Value:
        heatmap = given.centred
        spread = float(heatmap.max()) - float(heatmap.min())
        values = heatmap.astype(np.float64)
        steps = np.abs(np.diff(values, axis=0)).sum() + np.abs(np.diff(values, axis=1)).sum()
        return float(steps / (spread * values.size)) if spread > 0 else None
