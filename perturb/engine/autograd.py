"""Gradients of the target score, the number that perturbations read: with respect to the image, or to a layer.

The network belongs to someone else, and other visitors may be running it in other threads. So nothing is set on its
modules but a hook that acts in this thread alone and is gone afterwards; parameters get no `.grad`; and what guided
backpropagation (`guided`) changes is the recorded graph of this one pass, not the network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
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
"""Images at once on an accelerator; on a processor one: all activations are kept for the backward pass, and larger
batches are not faster there."""


class Score:
    """S as a differentiable function of images: the number that `Reader` reads, in the same units.

    Args:
        segmenter: whose logits are scored.
        frozen: the target on the clean image.
        total: images of the whole run, of which the progress is a fraction.
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

    def __call__(self, images: Tensor) -> Tensor:
        """S of each of them, float64 `(N,)`.

        Args:
            images: float32 `(N, 3, H, W)`, on the segmenter's device; the values may lie outside [0, 1].

        Raises:
            SegmenterError: the logits do not depend on the images in a way that can be differentiated.
        """
        return self.of(self.logits(images))

    def logits(self, images: Tensor) -> Tensor:
        """Logits `(N, K, H, W)`, checked."""
        if self._progress is not None:
            self._progress(min(self.done / self._total, 1.0))
        self.done += len(images)
        # A copy, so that a network that works in place on its input may do so.
        logits = self._segmenter(images.clone())
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
        "image by torch operations that can be differentiated. Choose a method that hides pixels."
    )


def in_batches(segmenter: Segmenter, batch: int | None, run: Callable[[int], T]) -> T:
    """Run something with a number of images at once, and with half as many as long as they do not fit the memory.

    Args:
        segmenter: tells the device.
        batch: images at once; None for what suits the device.
        run: takes the number of images at once.
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
        image: `(1, 3, H, W)`, a leaf.
        logits: `(1, K, H, W)`.
        activation: the output of the layer, `(1, C, h, w)`; None without a layer.
    """

    score: Tensor
    image: Tensor
    logits: Tensor
    activation: Tensor | None

    def gradient(self, of: Tensor, *, keep: bool = False) -> Tensor:
        """∂S/∂`of`, zero where S does not depend on it; one backward pass.

        Args:
            of: the image or the activation.
            keep: the graph, for another one.
        """
        (gradient,) = torch.autograd.grad(self.score, of, retain_graph=keep, allow_unused=True)
        return torch.zeros_like(of) if gradient is None else gradient


def trace(score: Score, segmenter: Segmenter, image: Image, layer: str = "") -> Traced:
    """Run the network on the clean image and keep the graph, and the output of one layer. One forward pass.

    The layer's gradient is that of its output alone: what uses the layer's *input* beside it, or changes its output in
    place later on, does not count.

    Args:
        score: of this segmenter.
        segmenter: what to run; with a layer a `TorchSegmenter`.
        image: the clean image.
        layer: its name; empty for none.

    Raises:
        SettingError: no such layer, it gives no map, or it is used several times.
        SegmenterError: the segmenter broke its contract, or cannot be differentiated.
    """
    clean = to_tensor(image, segmenter.device)[None].requires_grad_()
    outputs: list[Any] = []

    def keep(output: Any) -> Any:
        if not isinstance(output, Tensor):
            outputs.append(output)
            return None
        outputs.append(output.clone())  # so that its gradient is not that of its other names
        return outputs[-1].clone()  # so that an operation in place cannot change what is kept

    with hooks((find_module(segmenter, layer), keep)) if layer else nullcontext():
        logits = score.logits(clean)
    activation = sole_map(outputs, layer) if layer else None
    return Traced(score.of(logits)[0], clean, logits, activation)
