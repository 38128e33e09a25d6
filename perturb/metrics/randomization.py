"""Sanity checks: the model parameter randomization test (Adebayo et al. 2018), and stability under other seeds."""

from __future__ import annotations

import copy
from collections.abc import Callable
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
    """One map of a sanity check, compared with the original map.

    Attributes:
        name: what was changed: the deepest layer with randomized weights, or the seed.
        layers: number of layers with randomized weights.
        heatmap: float32 `(H, W)`.
        spearman: rank correlation with the original map, in [−1, 1]; None if one of them is constant.
        ssim: structural similarity with it, both scaled to [0, 1]; None if one of them is constant.
    """

    name: str
    layers: int
    heatmap: npt.NDArray[np.float32]
    spearman: float | None
    ssim: float | None


def randomise(
    result: Attribution, *, stages: int = STAGES, seed: int = 0, progress: Progress | None = None
) -> tuple[Stage, ...]:
    """The parameter randomization test: explain again while weights are randomized, from the logits to the input.

    A map that stays the same does not depend on what the segmenter has learned. The weights and biases of a layer are
    drawn from a normal distribution with their own mean and standard deviation, so that activations keep their scale. The
    explained region stays that of the trained segmenter. Only a copy of the segmenter is changed.

    Source: Adebayo et al. 2018, sec. 3.1 (cascading randomization).

    Args:
        result: from `explain`, with a torch segmenter.
        stages: number of steps to the input; the layers are split evenly among them.
        seed: of the weights.
        progress: called with the fraction done in [0, 1].

    Returns:
        The stages, from the logits to the input; in the last one all weights are randomized.

    Raises:
        SegmenterError: the segmenter is not a torch network, has no weights, or has changed since the map was computed.
        SettingError: there is less than one stage.
    """
    if stages < 1:
        raise SettingError(f"The parameter randomization test needs at least one stage: got {stages}.")
    copied = copy.deepcopy(_network(result.unchanged()))
    names = _trained(copied, result)[::-1]
    if not names:
        raise SegmenterError(f"Segmenter '{copied.name}' has no weights to randomize; expected a trained network.")
    modules = dict(copied.module.named_modules())
    generator = torch.Generator().manual_seed(seed)
    groups = [part.tolist() for part in np.array_split(np.array(names), min(stages, len(names)))]
    done, results = 0, []
    for index, group in enumerate(groups):
        for name in group:
            _redraw(modules[name], generator)
        done += len(group)
        copied.digest = f"{result.segmenter_digest}+{done}"
        heatmap = _again(result, copied, result.seed, span(progress, index / len(groups), 1 / len(groups)))
        results.append(_stage(result, group[-1], done, heatmap))
    return tuple(results)


def reseed(result: Attribution, *, seeds: int = SEEDS, progress: Progress | None = None) -> tuple[Stage, ...]:
    """Stability: repeat the explanation with other seeds. Differences are due to chance, not to the segmenter.

    Args:
        result: from `explain`.
        seeds: number of other seeds.
        progress: called with the fraction done in [0, 1].

    Raises:
        SettingError: there is less than one seed.
        SegmenterError: the network has changed since the map was computed.
    """
    if seeds < 1:
        raise SettingError(f"The stability check needs at least one other seed: got {seeds}.")
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
            f"Segmenter '{segmenter.name}' is not a torch network, so its weights cannot be randomized; expected a "
            "TorchSegmenter. Choose another segmenter for this check."
        )
    return segmenter


def _trained(segmenter: TorchSegmenter, result: Attribution) -> list[str]:
    """Names of the modules with weights of their own, in the order in which the forward pass calls them."""
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
