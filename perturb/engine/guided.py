"""Guided backpropagation: rewrite the recorded graph of one pass so that every ReLU passes only positive gradients."""

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
    """The operations that guided backpropagation met in a graph.

    Attributes:
        relus: ReLUs that are guided.
        others: other activation functions by name, and how many there are; the gradient passes them as it is.
        parts: changes of parts of tensors in place; a ReLU among them would not be guided.
    """

    relus: int
    others: Counter[str]
    parts: int


def guide(score: Tensor, segmenter: Segmenter) -> Guided:
    """Let every ReLU in a score's graph pass only positive gradients on the backward pass (Springenberg et al. 2015, sec. 3.4).

    Works on the recorded graph, so it reaches ReLUs as modules, as functions and in place alike, each use on its own.

    Args:
        score: a scalar with its graph.
        segmenter: whose it is, for the error.

    Raises:
        SegmenterError: a part of the network keeps its operations to itself, so that ReLUs in it cannot be reached.
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
    """Every operation that a score was computed by, once."""
    stack, seen = [score.grad_fn], set()
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        stack.extend(before for before, _ in node.next_functions)
        yield node


_CLOSED = ("DifferentiableGraph", "CompiledFunction", "Checkpoint")
"""In the names of operations that hold others: TorchScript, torch.compile, recomputed activations."""
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
