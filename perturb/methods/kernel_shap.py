"""KernelSHAP: distribute the whole drop of the score over the segments by their Shapley values."""

from __future__ import annotations

from collections.abc import Mapping
from math import comb
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

Floats = npt.NDArray[np.float64]


class KernelShap(MaskedMethod):
    """A segment's value is its Shapley value φ; the players are the segments, and Σφ = S(x) − S(b) holds exactly.

    b is the image with every pixel hidden. If there are no more coalitions than samples, each is run once and φ is exact.
    Otherwise coalitions are drawn from the Shapley kernel, paired with their complements (Covert & Lee 2021), which keeps
    the distribution and lowers the variance. On an additive model S = Σ w·x a segment's value is Σ_segment w·(x − b).
    """

    name: ClassVar[str] = "kernel-shap"
    title: ClassVar[str] = "KernelSHAP"
    summary: ClassVar[str] = (
        "A segment's value is its Shapley value: its share of the total drop, averaged over all orders of hiding."
    )
    citation: ClassVar[str] = "Lundberg & Lee 2017, sec. 4.1, theorem 2"
    settings: ClassVar[tuple[Setting, ...]] = (
        *SEGMENT_SETTINGS,
        Setting(
            "samples",
            "int",
            500,
            "Coalitions to run, one forward pass each, besides the clean image and the one with everything hidden. Use at "
            "least 10 per segment. If there are fewer coalitions than this, all of them are run.",
            low=10,
            high=20_000,
            step=100,
        ),
        *FILL_SETTINGS,
    )
    captions: ClassVar[Mapping[str, str]] = {
        "score": "Each segment's Shapley value: its share of the drop of the score when everything is hidden, averaged over "
        "all orders of hiding. Red supports the class, blue counts against it.",
    }

    def masks(self, request: Request) -> Masks:
        labels = partition(request.image, request.frozen, request.settings)
        count, samples = several(labels, self.title), int(request.settings["samples"])
        kept = all_coalitions(count) if 2**count - 2 <= samples else draw(count, samples, request.seed)
        # Everything hidden comes first; nothing hidden is the clean image.
        return Coalitions(labels, np.vstack([np.zeros((1, count), dtype=np.bool_), kept]))

    def read(self, request: Request, masks: Masks, readings: Readings) -> Outcome:
        assert isinstance(masks, Coalitions)
        kept, samples = masks.kept[1:], int(request.settings["samples"])
        rows, count = kept.shape
        exact = 2**count - 2 <= samples
        # Coalitions are drawn from the kernel's distribution, so all have the same weight.
        weights = kernel(kept) if exact else np.ones(rows)
        worth = readings.score - readings.score[0]
        whole = float(request.clean.score[0] - readings.score[0])
        values = solve(kept, worth[1:], weights, whole)
        facts: dict[str, Fact] = {"segments": count, "samples": rows, "whole": whole}
        notes = () if exact else few_samples(samples, count)
        if exact:
            notes = (
                f"{samples} samples cover all {rows} coalitions of {count} segments: each was run once, and the Shapley "
                "values are exact.",
            )
        return Outcome({"score": masks.paint(values)}, facts, notes, masks.labels)


def draw(segments: int, samples: int, seed: int) -> npt.NDArray[np.bool_]:
    """Random coalitions: k of M segments kept with p(k) ∝ (M − 1)/(k(M − k)), uniform for a given k.

    Args:
        segments: M, at least 2.
        samples: number of coalitions.
        seed: of the draws, 0 or more.

    Returns:
        True for kept segments, bool `(samples, M)`. The second half holds the complements of the first.
    """
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    sizes = np.arange(1, segments)
    probability = 1.0 / (sizes * (segments - sizes))
    half = -(-samples // 2)
    chosen = generator.choice(sizes, half, p=probability / probability.sum())
    places = generator.random((half, segments)).argsort(1).argsort(1)
    kept = places < chosen[:, None]
    return np.concatenate([kept, ~kept])[:samples]


def kernel(kept: npt.NDArray[np.bool_]) -> Floats:
    """The Shapley kernel (M − 1)/(C(M, k)·k·(M − k)) of each coalition, float64 `(N,)`."""
    segments = kept.shape[1]
    by_size = [(segments - 1) / (comb(segments, k) * k * (segments - k)) for k in range(1, segments)]
    return np.asarray(np.array(by_size)[kept.sum(1) - 1])


def solve(kept: npt.NDArray[np.bool_], worth: Floats, weights: Floats, whole: float) -> Floats:
    """Weighted least squares fit to the coalitions, under the exact constraint Σφ = whole.

    Args:
        kept: True for kept segments, bool `(N, M)`.
        worth: S(coalition) − S(b), float64 `(N,)`.
        weights: of the coalitions, float64 `(N,)`.
        whole: S(x) − S(b).

    Returns:
        φ, float64 `(M,)`; of several solutions the one nearest to equal shares.
    """
    # φ = whole/M + ψ. The rows less their mean are orthogonal to 1, and so is the minimum-norm solution, so Σψ = 0 holds
    # exactly. Captum enforces it approximately, by a large weight.
    share = kept.mean(1)
    rows = kept - share[:, None]
    root = np.sqrt(weights)
    psi = np.linalg.lstsq(rows * root[:, None], (worth - share * whole) * root, rcond=None)[0]
    return np.asarray(whole / kept.shape[1] + psi - psi.mean())
