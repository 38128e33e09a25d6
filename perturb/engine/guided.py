"""Guided backpropagation: change the autograd graph of one pass so that every ReLU passes only positive gradients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from perturb.core.errors import SegmenterError
from perturb.segmenters.base import Segmenter


@dataclass(frozen=True)
class Guided:
    """The operations of a graph, as far as guided backpropagation depends on them.

    Attributes:
        relus: number of guided ReLUs.
        others: number of other activation functions, by name; their gradients are not changed.
        parts: number of in-place changes of parts of tensors; a ReLU among them is not guided.
    """

    relus: int
    others: Counter[str]
    parts: int


def guide(score: Tensor, segmenter: Segmenter) -> Guided:
    """Make every ReLU in the graph of a score pass only positive gradients (Springenberg et al. 2015, sec. 3.4).

    This changes the recorded graph, so it covers ReLUs as modules, as functions and in place, each use separately.

    Args:
        score: a scalar with its autograd graph.
        segmenter: the segmenter, for error messages.

    Raises:
        SegmenterError: a part of the network is compiled or scripted, so its ReLUs cannot be reached.
    """
    names: Counter[str] = Counter()
    for node in nodes(score):
        name = node.name()
        if any(word in name for word in _CLOSED) or isinstance(node, torch.autograd.function.BackwardCFunction):
            raise SegmenterError(
                f"Guided backpropagation cannot see into a part of the segmenter '{segmenter.name}' ({name}), so a ReLU in "
                "it could not be guided; expected a network of plain torch operations, neither compiled nor scripted. Choose "
                "another method, such as saliency."
            )
        if name == "ReluBackward0":
            node.register_hook(_positive)
        names[name.split("Backward")[0]] += 1
    others: Counter[str] = Counter()
    for name, count in sorted(names.items()):
        if name in _OTHERS:
            others[_OTHERS[name]] += count
    return Guided(names["Relu"], others, names["torch::autograd::CopySlices"])


def nodes(score: Tensor) -> Iterator[Any]:
    """All nodes of the autograd graph of a score, each once."""
    stack, seen = [score.grad_fn], set()
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        stack.extend(before for before, _ in node.next_functions)
        yield node


_CLOSED = ("DifferentiableGraph", "CompiledFunction", "Checkpoint")
"""Parts of the names of opaque nodes: TorchScript, torch.compile, activation checkpointing."""
_OTHERS = {
    "LeakyRelu": "leaky ReLU",
    "PreluKernel": "PReLU",
    "Hardtanh": "ReLU6 or hardtanh",
    "Hardswish": "hardswish",
    "Elu": "ELU",
    "Gelu": "GELU",
    "Silu": "SiLU",
    "Softplus": "softplus",
    "Mish": "Mish",
    "Threshold": "threshold",
    "Clamp": "clamp",
    "ClampMin": "clamp",
}


def _positive(before: Sequence[Tensor | None], _: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
    return tuple(None if gradient is None else gradient.clamp(min=0) for gradient in before)
