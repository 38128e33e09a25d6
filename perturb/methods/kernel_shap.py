"""KernelSHAP: share the whole drop of the score among the segments by their Shapley values."""

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
    """A segment's value is its Shapley value φ in the game of which segments are kept; Σφ = S(x) − S(b), exactly.

    b is the image with everything filled. Where all coalitions fit into the samples they are run once each and φ is
    exact; otherwise coalitions are drawn by the Shapley kernel, each beside its complement (Covert & Lee 2021), which
    keeps the distribution and steadies the fit. On an additive model S = Σ w·x a segment's value is Σ_segment w·(x − b).
    """

    name: ClassVar[str] = "kernel-shap"
    title: ClassVar[str] = "KernelSHAP"
    summary: ClassVar[str] = (
        "A segment's value is its fair share of the drop when everything is hidden, over all orders of hiding."
    )
    citation: ClassVar[str] = "Lundberg & Lee 2017, sec. 4.1, theorem 2"
    settings: ClassVar[tuple[Setting, ...]] = (
        *SEGMENT_SETTINGS,
        Setting(
            "samples",
            "int",
            500,
            "Coalitions to run, one forward pass each, besides nothing and everything hidden. Take at least 10 a segment; "
            "few segments have fewer coalitions, which are then all run.",
            low=10,
            high=20_000,
            step=100,
        ),
        *FILL_SETTINGS,
    )
    captions: ClassVar[Mapping[str, str]] = {
        "score": "Each segment's Shapley value: its share of the drop of the score when everything is hidden, averaged over "
        "all orders of hiding. Red speaks for the class, blue stands in its way.",
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
        # Drawn coalitions are as frequent as the kernel says, so each counts once.
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
    """Coalitions with p(k) ∝ (M − 1)/(k(M − k)) for k of M kept, equally likely for one k; bool `(samples, M)`.

    Complements follow in the second half, so that a pair hides each segment exactly once.
    """
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    sizes = np.arange(1, segments)
    likely = 1.0 / (sizes * (segments - sizes))
    half = -(-samples // 2)
    chosen = generator.choice(sizes, half, p=likely / likely.sum())
    places = generator.random((half, segments)).argsort(1).argsort(1)
    kept = places < chosen[:, None]
    return np.concatenate([kept, ~kept])[:samples]


def kernel(kept: npt.NDArray[np.bool_]) -> Floats:
    """The Shapley kernel (M − 1)/(C(M, k)·k·(M − k)) of each coalition, float64 `(N,)`."""
    segments = kept.shape[1]
    by_size = [(segments - 1) / (comb(segments, k) * k * (segments - k)) for k in range(1, segments)]
    return np.asarray(np.array(by_size)[kept.sum(1) - 1])


def solve(kept: npt.NDArray[np.bool_], worth: Floats, weights: Floats, whole: float) -> Floats:
    """Weighted least squares of the coalitions' worth, with Σφ = whole as a constraint that always holds.

    Args:
        kept: bool `(N, M)`.
        worth: S(coalition) − S(b), float64 `(N,)`.
        weights: of the coalitions, float64 `(N,)`.
        whole: S(x) − S(b).

    Returns:
        φ, float64 `(M,)`; the one nearest to equal shares where the coalitions leave it open.
    """
    # φ = whole/M + ψ. Rows less their mean are orthogonal to 1, and so is the least-squares solution of smallest norm:
    # Σψ = 0 needs no large weight, which captum's version takes in its place.
    share = kept.mean(1)
    rows = kept - share[:, None]
    root = np.sqrt(weights)
    psi = np.linalg.lstsq(rows * root[:, None], (worth - share * whole) * root, rcond=None)[0]
    return np.asarray(whole / kept.shape[1] + psi - psi.mean())
