"""LIME: a linear model of the segmenter around one image, fitted to random coalitions of its segments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from perturb.core.settings import Setting
from perturb.methods.base import Outcome, Request
from perturb.methods.masked import MaskedMethod
from perturb.perturbations.fills.registry import FILL_SETTINGS
from perturb.perturbations.masks import Masks
from perturb.perturbations.segments import SEGMENT_SETTINGS, Coalitions, all_coalitions, few_samples, partition, several
from perturb.targets.readings import Fact, Readings

KERNEL_WIDTH = 0.25
"""Kernel width on cosine distances, as in the image explainer of the `lime` package."""
POOR_FIT = 0.3
"""Weighted R² below which a note warns about the fit."""


class Lime(MaskedMethod):
    """A segment's value is its coefficient in a ridge regression of S on which segments are kept.

    As in the `lime` package, the first sample is the clean image and the others are Bernoulli(½) coalitions; the fit is
    the package's own. On an additive model S = Σ w·x with fill b and a vanishing penalty, a segment's value is
    Σ_segment w·(x − b).
    """

    name: ClassVar[str] = "lime"
    title: ClassVar[str] = "LIME"
    summary: ClassVar[str] = (
        "Random subsets of the segments are hidden; a segment's value is its weight in a linear model fitted to the scores."
    )
    citation: ClassVar[str] = "Ribeiro et al. 2016, sec. 3; package lime 0.2, lime_image and lime_base"
    libraries: ClassVar[tuple[str, ...]] = ("lime", "scikit-learn")
    settings: ClassVar[tuple[Setting, ...]] = (
        *SEGMENT_SETTINGS,
        Setting(
            "samples",
            "int",
            500,
            "Coalitions to fit, the clean image included; one forward pass each. Use at least 10 per segment.",
            low=10,
            high=20_000,
            step=100,
        ),
        Setting(
            "alpha",
            "float",
            1.0,
            "Strength of the ridge penalty; the lime package uses 1. Larger values shrink all weights, most where samples are "
            "few. With fewer coalitions than samples the penalty is scaled by their ratio; the result reports the value used.",
            low=1e-6,
            high=100,
            step=0.5,
        ),
        *FILL_SETTINGS,
    )
    captions: ClassVar[Mapping[str, str]] = {
        "score": "Each segment's weight in a linear model fitted to the scores: how much the score drops, according to that "
        "model, when the segment is hidden. Red supports the class, blue counts against it.",
    }

    def masks(self, request: Request) -> Masks:
        labels = partition(request.image, request.frozen, request.settings)
        count, samples = several(labels, self.title), int(request.settings["samples"])
        # The first sample is the clean image, which every run computes anyway; the masks are the other samples.
        if 2**count <= samples:
            return Coalitions(labels, np.vstack([np.zeros((1, count), dtype=np.bool_), all_coalitions(count)]))
        draw = np.random.default_rng(np.random.SeedSequence(request.seed, spawn_key=(0,)))
        return Coalitions(labels, draw.integers(0, 2, (samples - 1, count)).astype(np.bool_))

    def read(self, request: Request, masks: Masks, readings: Readings) -> Outcome:
        assert isinstance(masks, Coalitions)
        kept = np.vstack([np.ones_like(masks.kept[:1]), masks.kept]).astype(np.float64)
        # Relative to the clean score: the weights stay the same, and a constant score gives exact zeros.
        change = np.concatenate([[0.0], readings.score - request.clean.score[0]])
        (rows, count), samples = kept.shape, int(request.settings["samples"])
        # With fewer coalitions than samples, the penalty keeps its weight relative to the data.
        setting = float(request.settings["alpha"])
        alpha = setting * rows / samples
        weights, r2 = fit(kept, change, alpha)
        facts: dict[str, Fact] = {"segments": count, "samples": rows, "alpha": alpha}
        notes = few_samples(samples, count)
        if rows < samples:
            notes += (
                f"{samples} samples are more than the {rows} coalitions of {count} segments: each was run once, and the ridge "
                f"penalty was scaled accordingly: alpha {alpha:.4g} instead of {setting:g}.",
            )
        if np.any(change):
            facts["r2"] = r2
            if rows <= count + 1:
                notes += ("A linear model fits so few samples in any case: R² is no evidence here.",)
            if r2 < POOR_FIT:
                notes += (
                    f"The linear model fits poorly (weighted R² {r2:.2f}, below {POOR_FIT}): the effects of the segments are "
                    "not additive, so do not rely on single weights.",
                )
        return Outcome({"score": masks.paint(weights)}, facts, notes, masks.labels)


def fit(
    kept: npt.NDArray[np.float64], scores: npt.NDArray[np.float64], alpha: float
) -> tuple[npt.NDArray[np.float64], float]:
    """Ridge regression by `LimeBase` of the `lime` package, on all segments.

    As in the package, a sample has the weight √exp(−d²/0.25²), where d is its cosine distance to the clean image.

    Args:
        kept: 1 for kept and 0 for hidden segments, float64 `(N, M)`; the first row is the clean image.
        scores: of the samples, float64 `(N,)`.
        alpha: the penalty, above 0.

    Returns:
        The weights, float64 `(M,)` in units of the scores, and the weighted R².
    """
    # Imported only when needed: importing scikit-learn takes longer than importing this whole library.
    from lime.lime_base import LimeBase
    from sklearn.linear_model import Ridge

    # Cosine distance of a coalition of k of M segments to the full one; 1 for the empty one, as in scikit-learn.
    distances = 1.0 - np.sqrt(kept.mean(1))
    base = LimeBase(lambda d: np.sqrt(np.exp(-(d**2) / KERNEL_WIDTH**2)), random_state=0)
    _, pairs, r2, _ = base.explain_instance_with_data(
        kept,
        scores[:, None],
        distances,
        0,
        kept.shape[1],
        feature_selection="none",
        model_regressor=Ridge(alpha=alpha, fit_intercept=True),
    )
    weights = np.zeros(kept.shape[1])
    for segment, weight in pairs:
        weights[segment] = weight
    return weights, float(r2)
