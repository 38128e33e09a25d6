"""Sanity checks: does a map change when the segmenter forgets what it learned, and stay when only the seed changes?"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from perturb.core.errors import SegmenterError, SettingError
from perturb.core.ranks import spearman
from perturb.engine import runner
from perturb.engine.runner import Progress, span
from perturb.methods.attribution import Attribution
from perturb.methods.explain import explain
from perturb.metrics.measures import ssim
from perturb.segmenters.base import Segmenter
from perturb.segmenters.torch_module import TorchSegmenter

STAGES = 6
SEEDS = 3


@dataclass(frozen=True, eq=False)
class Stage:
    """One map of a sanity check beside the original.

    Attributes:
        name: what was changed: the deepest layer whose weights were drawn anew, or the seed.
        layers: how many layers were drawn anew.
        heatmap: float32 `(H, W)`.
        spearman: rank correlation with the original map; None where one is constant.
        ssim: structural similarity with it, both scaled to [0, 1]; None where one is constant.
    """

    name: str
    layers: int
    heatmap: npt.NDArray[np.float32]
    spearman: float | None
    ssim: float | None


def randomise(
    result: Attribution, *, stages: int = STAGES, seed: int = 0, progress: Progress | None = None
) -> tuple[Stage, ...]:
    """The same explanation of a segmenter whose weights are drawn anew, from the logits back to the input.

    A map that stays the same explains the picture, not the segmenter. Weights and biases of a layer are drawn from a
    normal distribution of their own mean and standard deviation, so that activations keep their scale; the explained
    region stays the one of the trained segmenter. The segmenter itself is not touched: a copy is.

    Source: Adebayo et al. 2018, sec. 3.1 (cascading randomisation).

    Args:
        result: from `explain`, of a torch segmenter.
        stages: in how many steps to reach the input; as many layers each as go round.
        seed: of the weights.
        progress: called with the fraction done.

    Returns:
        The stages, first the one nearest the logits; the last has no trained weight left.

    Raises:
        SegmenterError: the segmenter is no torch network, or has no weights.
        SettingError: fewer than one stage.
    """
    if stages < 1:
        raise SettingError(f"Randomisation needs at least one stage: got {stages}.")
    copied = copy.deepcopy(_network(result.unchanged()))
    names = _trained(copied, result)[::-1]
    if not names:
        raise SegmenterError(f"Segmenter '{copied.name}' has no weights to draw anew; expected a trained network.")
    modules = dict(copied.module.named_modules())
    generator = torch.Generator().manual_seed(seed)
    groups = [part.tolist() for part in np.array_split(np.array(names), min(stages, len(names)))]
    done, made = 0, []
    for index, group in enumerate(groups):
        for name in group:
            _redraw(modules[name], generator)
        done += len(group)
        copied.digest = f"{result.segmenter_digest}+{done}"
        heatmap = _again(result, copied, result.seed, span(progress, index / len(groups), 1 / len(groups)))
        made.append(_stage(result, group[-1], done, heatmap))
    return tuple(made)


def reseed(result: Attribution, *, seeds: int = SEEDS, progress: Progress | None = None) -> tuple[Stage, ...]:
    """The same explanation under other seeds: what differs is chance, not the segmenter.

    Args:
        result: from `explain`.
        seeds: how many others.
        progress: called with the fraction done.

    Raises:
        SettingError: fewer than one seed.
    """
    if seeds < 1:
        raise SettingError(f"Stability needs at least one other seed: got {seeds}.")
    others = [result.seed + 1 + index for index in range(seeds)]
    return tuple(
        _stage(
            result,
            f"seed {other}",
            0,
            _again(result, result.unchanged(), other, span(progress, index / seeds, 1 / seeds)),
        )
        for index, other in enumerate(others)
    )


def _network(segmenter: Segmenter) -> TorchSegmenter:
    if not isinstance(segmenter, TorchSegmenter):
        raise SegmenterError(
            f"Segmenter '{segmenter.name}' is not a torch network, so its weights cannot be drawn anew; expected a "
            "TorchSegmenter. Choose another segmenter for this check."
        )
    return segmenter


def _trained(segmenter: TorchSegmenter, result: Attribution) -> list[str]:
    """Names of the modules that hold weights of their own, in the order in which the picture passes them."""
    seen: dict[str, None] = {}

    def note(name: str) -> Callable[..., None]:
        return lambda *_: seen.setdefault(name)

    handles = []
    try:
        for name, module in segmenter.module.named_modules():
            if next(module.parameters(recurse=False), None) is not None:
                handles.append(module.register_forward_hook(note(name)))
        runner.clean_logits(result.image, segmenter)
    finally:
        for handle in handles:
            handle.remove()
    return list(seen)


@torch.no_grad()
def _redraw(module: nn.Module, generator: torch.Generator) -> None:
    for parameter in module.parameters(recurse=False):
        drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float32).to(parameter)
        spread = parameter.std() if parameter.numel() > 1 else parameter.abs().mean()
        parameter.copy_(drawn * spread + parameter.mean())


def _again(result: Attribution, segmenter: Segmenter, seed: int, progress: Progress | None) -> npt.NDArray[np.float32]:
    settings: dict[str, Any] = result.settings
    again = explain(
        result.image, segmenter, result.frozen.target, method=result.method, seed=seed, progress=progress,
        frozen=result.frozen, **settings,
    )  # fmt: skip
    return again.heatmap


def _stage(result: Attribution, name: str, layers: int, heatmap: npt.NDArray[np.float32]) -> Stage:
    rank = float(spearman([result.heatmap, heatmap])[0, 1])
    return Stage(name, layers, heatmap, rank if np.isfinite(rank) else None, ssim(result.heatmap, heatmap))


def mean_similarity(stages: Sequence[Stage]) -> float | None:
    """Mean rank correlation over the stages; None if none is defined."""
    known = [stage.spearman for stage in stages if stage.spearman is not None]
    return float(np.mean(known)) if known else None
