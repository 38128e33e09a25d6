"""Gradients of the target score with respect to the image or a layer. The score is the same as for perturbations.

Other threads may run the same network. So its modules get only a hook that acts in this thread and is removed
afterwards, and parameters get no `.grad`. Guided backpropagation (`perturb.engine.guided`) changes the recorded graph
of one pass, not the network.
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
from perturb.targets.reader import Reader
from perturb.targets.target import Frozen

T = TypeVar("T")

ACCELERATOR_BATCH = 8
"""Batch size on an accelerator. On a CPU it is 1: all activations are kept for the backward pass, and larger batches
are not faster."""


class Score:
    """The target score S as a differentiable function of images, with the values and units of `Reader`.

    Args:
        segmenter: the segmenter.
        frozen: the target on the clean image.
        total: number of images in the run, for the progress.
        progress: called before each batch with the fraction done.

    Raises:
        TargetError: the target's score has no gradient.
    """

    def __init__(
        self, segmenter: Segmenter, frozen: Frozen, *, total: int = 1, progress: Progress | None = None
    ) -> None:
        require(frozen)
        self._segmenter, self._total, self._progress = segmenter, total, progress
        self._reader = Reader(frozen, segmenter.device)
        self.done = 0

    def __call__(self, images: Tensor) -> Tensor:
        """S of each image, float64 `(N,)`.

        Args:
            images: float32 `(N, 3, H, W)`, on the segmenter's device; values may lie outside [0, 1].

        Raises:
            SegmenterError: the logits are not differentiable with respect to the images.
        """
        return self.of(self.logits(images))

    def logits(self, images: Tensor) -> Tensor:
        """Logits `(N, K, H, W)`, checked."""
        self.report(len(images))
        return self.silent_logits(images)

    def report(self, count: int) -> None:
        """Call progress before a batch of `count` images."""
        if self._progress is not None:
            self._progress(min(self.done / self._total, 1.0))
        self.done += count

    def silent_logits(self, images: Tensor) -> Tensor:
        """Logits `(N, K, H, W)`, checked; `report` must be called first."""
        # A copy, because a network may modify its input in place.
        logits = self._segmenter(images.clone())
        if torch.is_grad_enabled() and not logits.requires_grad:
            raise SegmenterError(_blocked(self._segmenter, "its logits carry no gradient"))
        return logits

    def of(self, logits: Tensor) -> Tensor:
        """S of logits, float64 `(N,)`."""
        return self._reader.mean(logits)


def require(frozen: Frozen) -> None:
    """Check that the target's score has a gradient.

    Raises:
        TargetError: the score is the IoU.
    """
    if frozen.target.score == "iou":
        raise TargetError(
            "An IoU counts pixels, so it has no gradient: got the score 'iou', expected 'logit' or 'probability'. Choose "
            "one of them, or a method that hides pixels."
        )


@contextmanager
def differentiable(segmenter: Segmenter) -> Iterator[None]:
    """Enable gradients, even if the caller is in inference mode.

    Raises:
        SegmenterError: instead of torch's error for a network that is not differentiable.
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
"""Parts of torch's messages for gradients that cannot be computed."""


def _blocked(segmenter: Segmenter, reason: str) -> str:
    return (
        f"No gradient can be taken of the segmenter '{segmenter.name}' ({reason}), expected logits computed from the image "
        "by differentiable torch operations. Choose a method that hides pixels."
    )


def in_batches(segmenter: Segmenter, batch: int | None, run: Callable[[int], T]) -> T:
    """Call a function with a batch size, and halve the size as long as memory runs out.

    Args:
        segmenter: its device determines the default.
        batch: batch size; None for the default of the device.
        run: function of the batch size.
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
    """The values, after a check that all are finite.

    Raises:
        SegmenterError: a gradient is NaN or infinite.
    """
    if not math.isfinite(float(values.abs().sum())):
        raise SegmenterError(
            f"The gradient of the segmenter '{segmenter.name}' holds values that are not finite (NaN or infinity), expected "
            "finite numbers. Choose a method that hides pixels."
        )
    return values


@dataclass(frozen=True, eq=False)
class Traced:
    """One forward pass with its autograd graph, for gradients within `differentiable`.

    Attributes:
        score: S, a float64 scalar.
        image: `(1, 3, H, W)`, a leaf of the graph.
        logits: `(1, K, H, W)`.
        activation: output of the layer, `(1, C, h, w)`; None without a layer.
    """

    score: Tensor
    image: Tensor
    logits: Tensor
    activation: Tensor | None

    def gradient(self, of: Tensor, *, keep: bool = False) -> Tensor:
        """∂S/∂`of`, zero if S does not depend on it. Takes one backward pass.

        Args:
            of: the image or the activation.
            keep: keep the graph for another gradient.
        """
        (gradient,) = torch.autograd.grad(self.score, of, retain_graph=keep, allow_unused=True)
        return torch.zeros_like(of) if gradient is None else gradient


def trace(score: Score, segmenter: Segmenter, image: Image, layer: str = "") -> Traced:
    """Run the network on the clean image, and keep the graph and the output of one layer. Takes one forward pass.

    The gradient at the layer is that of its own output: other uses of the layer's *input*, and later in-place changes
    of its output, do not contribute.

    Args:
        score: score of this segmenter.
        segmenter: the segmenter; with a layer, a `TorchSegmenter`.
        image: the clean image.
        layer: name of the layer; empty for none.

    Raises:
        SettingError: the layer does not exist, its output is not a map, or it is used several times.
        SegmenterError: the logits violate the contract, or are not differentiable.
    """
    clean = to_tensor(image, segmenter.device)[None].requires_grad_()
    outputs: list[Any] = []

    def keep(output: Any) -> Any:
        if not isinstance(output, Tensor):
            outputs.append(output)
            return None
        outputs.append(output.clone())  # so that its gradient is not that of an alias
        return outputs[-1].clone()  # so that an in-place operation cannot change the kept output

    score.report(len(clean))  # before the hook is set: other runs may pass in the callback
    with hooks((find_module(segmenter, layer), keep)) if layer else nullcontext():
        logits = score.silent_logits(clean)
    activation = sole_map(outputs, layer) if layer else None
    return Traced(score.of(logits)[0], clean, logits, activation)
