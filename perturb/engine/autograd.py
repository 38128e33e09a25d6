"""The slope of the very score that perturbations read: with respect to the picture, or to a layer of the network.

The network belongs to someone else, and other visitors may be running it in other threads. So nothing is set on its
modules but a hook that acts in this thread alone and is gone afterwards; parameters get no `.grad`; and what guided
backpropagation changes is the recorded graph of this one pass, not the network.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from perturb.core.errors import SegmenterError, TargetError
from perturb.engine.runner import Progress
from perturb.images.image import Image, to_tensor
from perturb.segmenters.base import Segmenter
from perturb.segmenters.torch_layers import find_module, hooks, sole_map
from perturb.targets.target import Frozen

T = TypeVar("T")

ACCELERATOR_BATCH = 8
"""Pictures at once on an accelerator; on a processor one: all activations are kept for the way back, and larger batches
are not faster there."""


class Score:
    """S as a function of pictures, for whoever takes its gradient: the number that `Reader` reads, in the same units.

    Args:
        segmenter: whose logits are scored.
        frozen: the target on the clean picture.
        total: pictures of the whole run, which the progress is a part of.
        progress: called before each batch with the fraction done.

    Raises:
        TargetError: the target's score has no gradient.
    """

    def __init__(
        self, segmenter: Segmenter, frozen: Frozen, *, total: int = 1, progress: Progress | None = None
    ) -> None:
        require(frozen)
        self._segmenter, self._total, self._progress = segmenter, total, progress
        self._reader = frozen.reader(segmenter.device)
        self.done = 0

    def __call__(self, pictures: Tensor) -> Tensor:
        """S of each of them, float64 `(N,)`.

        Args:
            pictures: float32 `(N, 3, H, W)`, on the segmenter's device; the values may lie outside [0, 1].

        Raises:
            SegmenterError: the logits do not depend on the pictures in a way that can be differentiated.
        """
        return self.of(self.logits(pictures))

    def logits(self, pictures: Tensor) -> Tensor:
        """Logits `(N, K, H, W)`, checked."""
        if self._progress is not None:
            self._progress(min(self.done / self._total, 1.0))
        self.done += len(pictures)
        # A copy, so that a network that works in place on its input may do so.
        logits = self._segmenter(pictures.clone())
        if torch.is_grad_enabled() and not logits.requires_grad:
            raise SegmenterError(_blocked(self._segmenter, "its logits carry no gradient"))
        return logits

    def of(self, logits: Tensor) -> Tensor:
        """S of logits, float64 `(N,)`."""
        return self._reader.mean(logits)


def require(frozen: Frozen) -> None:
    """Whether the target's score has a gradient.

    Raises:
        TargetError: it is an IoU.
    """
    if frozen.target.score == "iou":
        raise TargetError(
            "An IoU counts pixels, so it has no gradient: got the score 'iou', expected 'logit' or 'probability'. Choose "
            "one of them, or a method that hides pixels."
        )


@contextmanager
def differentiable(segmenter: Segmenter) -> Iterator[None]:
    """Gradients can be taken in here, also where the caller is in inference mode.

    Raises:
        SegmenterError: in place of torch's own words for a network that cannot be differentiated.
    """
    with torch.inference_mode(False), torch.enable_grad():
        try:
            yield
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, SegmenterError) as error:
            text = str(error.__cause__ or error)
            if any(words in text for words in _UNDIFFERENTIABLE):
                raise SegmenterError(_blocked(segmenter, text.strip().splitlines()[0][:200])) from error
            raise


_UNDIFFERENTIABLE = (
    "in-place",
    "inplace",
    "does not require grad",
    "not have been used in the graph",
    "nference tensor",
    "derivative for",
    "is not implemented",
    "does not have a grad_fn",
)
"""How torch says that a gradient cannot be taken."""


def _blocked(segmenter: Segmenter, reason: str) -> str:
    return (
        f"No gradient can be taken of the segmenter '{segmenter.name}' ({reason}), expected logits that follow from the "
        "picture by torch operations that can be differentiated. Choose a method that hides pixels."
    )


def in_batches(segmenter: Segmenter, batch: int | None, run: Callable[[int], T]) -> T:
    """Run something with so many pictures at once, and with half as many as long as they do not fit the memory.

    Args:
        segmenter: tells the device.
        batch: pictures at once; None for what suits the device.
        run: takes the number of pictures at once.
    """
    size = batch if batch is not None else (1 if segmenter.device.type == "cpu" else ACCELERATOR_BATCH)
    size = max(1, size)
    while True:
        try:
            return run(size)
        except torch.OutOfMemoryError:
            if size == 1:
                raise
            size //= 2


def finite(values: Tensor, segmenter: Segmenter) -> Tensor:
    """The same, if all are numbers.

    Raises:
        SegmenterError: a gradient is NaN or infinite.
    """
    if not math.isfinite(float(values.abs().sum())):
        raise SegmenterError(
            f"The gradient of the segmenter '{segmenter.name}' holds values that are not finite (NaN or infinity), expected "
            "numbers. Choose a method that hides pixels."
        )
    return values


@dataclass(frozen=True, eq=False)
class Traced:
    """One forward pass with its graph kept; gradients are taken of it while `differentiable`.

    Attributes:
        score: S, a float64 scalar.
        picture: `(1, 3, H, W)`, a leaf.
        logits: `(1, K, H, W)`.
        activation: what the layer gave, `(1, C, h, w)`; None without a layer.
    """

    score: Tensor
    picture: Tensor
    logits: Tensor
    activation: Tensor | None

    def slope(self, of: Tensor, *, keep: bool = False) -> Tensor:
        """∂S/∂`of`, zero where S does not depend on it; one backward pass.

        Args:
            of: the picture or the activation.
            keep: the graph, for another one.
        """
        (gradient,) = torch.autograd.grad(self.score, of, retain_graph=keep, allow_unused=True)
        return torch.zeros_like(of) if gradient is None else gradient


def trace(score: Score, segmenter: Segmenter, image: Image, layer: str = "") -> Traced:
    """Run the network on the clean picture and keep the graph, and what one layer gave. One forward pass.

    The layer's gradient is that of its output alone: what uses the layer's *input* beside it, or changes its output in
    place later on, does not count.

    Args:
        score: of this segmenter.
        segmenter: what to run; with a layer a `TorchSegmenter`.
        image: the picture.
        layer: its name; empty for none.

    Raises:
        SettingError: no such layer, it gives no map, or it is used several times.
        SegmenterError: the segmenter broke its contract, or cannot be differentiated.
    """
    picture = to_tensor(image, segmenter.device)[None].requires_grad_()
    outputs: list[Any] = []

    def keep(output: Any) -> Any:
        if not isinstance(output, Tensor):
            outputs.append(output)
            return None
        outputs.append(output.clone())  # so that its gradient is not that of its other names
        return outputs[-1].clone()  # so that an operation in place cannot change what is kept

    with hooks((find_module(segmenter, layer), keep)) if layer else nullcontext():
        logits = score.logits(picture)
    activation = sole_map(outputs, layer) if layer else None
    return Traced(score.of(logits)[0], picture, logits, activation)


@dataclass(frozen=True)
class Guided:
    """What guided backpropagation found in a graph.

    Attributes:
        relus: ReLUs that are guided.
        others: other activation functions by name, and how many there are; the gradient passes them as it is.
        parts: changes of parts of tensors in place; a ReLU among them would not be guided.
    """

    relus: int
    others: Counter[str]
    parts: int


def guide(score: Tensor, segmenter: Segmenter) -> Guided:
    """Let every ReLU in a score's graph pass only what is positive on the way back (Springenberg et al. 2015, sec. 3.4).

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
    """Every operation that a score followed from, once."""
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
