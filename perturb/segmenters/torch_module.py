"""Any torch module as a segmenter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from perturb.core.errors import SegmenterError
from perturb.images.image import Image
from perturb.segmenters.base import Frame, two_channels
from perturb.segmenters.downstream import TorchDownstream
from perturb.segmenters.identity import network_digest, operations_mark, weights_mark
from perturb.segmenters.padding import own_padding
from perturb.segmenters.torch_layers import TorchLayers


class TorchSegmenter(TorchLayers):
    """A segmenter from a torch module that takes `(N, 3, H, W)` and returns logits of that size.

    Args:
        module: the network; it is set to evaluation mode and moved to the device. A binary segmenter may return a
            single channel.
        classes: K class names; for a single channel, the name of its class, or of background and class.
        name: name in results and links; by default the module's class name.
        mean, std: three values each, for the normalisation of images in [0, 1]; none by default.
        palette: colours of the classes, uint8 `(K, 3)`.
        digest: digest of the module; by default computed from its weights and operations, `mean` and `std`.
        device: device of the segmenter.
        pads_to: images are padded at the bottom and right with copies of their edge, to sides that are multiples of
            this, and the logits are cropped. If the module fails on a size, the smallest power of two that works is
            found automatically.

    Raises:
        SegmenterError: mean or std does not have three values, class names are not distinct, or `pads_to` is below 1.
    """

    abilities: ClassVar[frozenset[str]] = frozenset({"layers", "gradients", "weights"})

    def __init__(
        self,
        module: nn.Module,
        *,
        classes: Sequence[str],
        name: str = "",
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        palette: npt.NDArray[np.uint8] | None = None,
        digest: str = "",
        device: str | torch.device = "cpu",
        pads_to: int = 1,
    ) -> None:
        name = name or type(module).__name__
        for what, values in (("mean", mean), ("std", std)):
            if values is not None and len(values) != 3:
                raise SegmenterError(
                    f"The {what} of segmenter '{name}' has {len(values)} values, expected 3: red, green and blue. A network "
                    "with another number of channels needs a wrapper module that computes them from RGB."
                )
        if pads_to < 1:
            raise SegmenterError(f"Segmenter '{name}' got pads_to={pads_to}, expected a whole number from 1 up.")
        # channels_last makes convolutions on a CPU up to twice as fast, and gives the same numbers.
        self.module = module.eval().to(torch.device(device)).to(memory_format=torch.channels_last)
        self.pads_to = pads_to
        self._normalization = tuple(None if values is None else tuple(map(float, values)) for values in (mean, std))
        super().__init__(
            name,
            classes=classes,
            palette=palette,
            digest=digest or network_digest(self.module, *self._normalization),
            device=device,
        )
        self._mean, self._std = (
            None if values is None else torch.tensor(values, device=self.device).view(1, -1, 1, 1)
            for values in self._normalization
        )
        self._fits: dict[tuple[int, int], int] = {}  # for each image size, the multiple that it is padded to
        self._frames: dict[tuple[int, int], Frame] = {}
        self._marked = (self.digest, self.marks())

    def marks(self) -> tuple[object, ...]:
        """A value that changes whenever the module or the normalisation does. Valid in this process only; some ms."""
        return (weights_mark(self.module), operations_mark(self.module), *self._normalization)

    def refresh(self) -> None:
        """Update `digest` after the module was changed in place, such as by `load_state_dict`."""
        known, marks = self._marked, self.marks()
        if marks != known[1]:
            if self.digest == known[0]:  # otherwise the caller has set a new digest
                self.digest = network_digest(self.module, *self._normalization)
            self._fits.clear()
            self._frames.clear()
        self._marked = (self.digest, marks)

    def normalise(self, batch: Tensor) -> Tensor:
        """Normalise images `(N, 3, H, W)` in [0, 1] by the module's mean and standard deviation."""
        if self._mean is not None:
            batch = batch - self._mean
        if self._std is not None:
            batch = batch / self._std
        return batch.contiguous(memory_format=torch.channels_last)

    def prepare(self, batch: Tensor) -> Tensor:
        return padded(self.normalise(batch), self._multiple(*batch.shape[2:]))

    def finish(self, output: Any, height: int, width: int) -> Any:
        if _size(output) == _multiples(height, width, self._multiple(height, width)):
            output = output[..., :height, :width]
        return two_channels(output, len(self.classes))

    def logits(self, batch: Tensor) -> Tensor:
        height, width = batch.shape[2:]
        if (height, width) in self._fits:
            output = self._run(self.prepare(batch))
        else:
            output, self._fits[height, width] = self._first(self.normalise(batch))
        logits: Tensor = self.finish(output, height, width)
        return logits

    def fit(self, height: int, width: int) -> None:
        """Determine how images of this size must be padded. Takes one pass for each new size.

        Raises:
            SegmenterError: the module fails on this size.
        """
        if (height, width) not in self._fits:
            with torch.inference_mode():
                self(torch.zeros((1, 3, height, width), device=self.device))

    def frame(self, height: int, width: int) -> Frame:
        if (height, width) not in self._frames:
            self.fit(height, width)
            given = self.prepare(torch.zeros((1, 3, height, width), device=self.device))
            left, right, top, bottom = own_padding(self.module, given)
            self._frames[height, width] = Frame(top, left, given.shape[2] + top + bottom, given.shape[3] + left + right)
        return self._frames[height, width]

    def downstream(self, image: Image, name: str) -> TorchDownstream:
        return TorchDownstream(self, image, name)

    def _multiple(self, height: int, width: int) -> int:
        return self._fits.get((height, width), self.pads_to)

    def _run(self, given: Tensor) -> Any:
        try:
            return self.module(given)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # third-party code
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise SegmenterError(
                f"The network of segmenter '{self.name}' failed on an input of shape {tuple(given.shape)} "
                f"({type(error).__name__}: {reason}); expected a module that takes float32 (N, 3, H, W) and returns logits. "
                "Check its number of input channels, and whether it needs sides of a certain multiple (`pads_to`)."
            ) from error

    def _first(self, given: Tensor) -> tuple[Any, int]:
        """The module's output for a new size, and the multiple that this size must be padded to."""
        size = (given.shape[2], given.shape[3])
        output: Any = None
        failed: SegmenterError | None = None
        try:
            output = self._run(padded(given, self.pads_to))
        except SegmenterError as error:
            failed = error
        got = _size(output)
        asked = _multiples(*size, self.pads_to)
        if failed is None and (got is None or got in (size, asked) or _far(got, asked)):
            return output, self.pads_to
        for multiple in MULTIPLES:
            asked = _multiples(*size, multiple)
            if multiple > self.pads_to and asked != _multiples(*size, self.pads_to):
                try:
                    other = self._run(padded(given, multiple))
                except SegmenterError:
                    continue
                if _size(other) == asked:
                    return other, multiple
        if failed is not None:
            raise failed
        return output, self.pads_to


MULTIPLES = (2, 4, 8, 16, 32, 64, 128)
"""Multiples that are tried for the sides of the input; a network that halves its maps n times needs 2ⁿ."""


def padded(given: Tensor, multiple: int) -> Tensor:
    """Pad maps `(N, C, H, W)` at the bottom and right with copies of their edge, to multiples; channels last."""
    high, wide = _multiples(given.shape[2], given.shape[3], multiple)
    if (high, wide) == tuple(given.shape[2:]):
        return given
    amounts = (0, wide - given.shape[3], 0, high - given.shape[2])
    return pad(given, amounts, mode="replicate").contiguous(memory_format=torch.channels_last)


def _multiples(height: int, width: int, multiple: int) -> tuple[int, int]:
    return -(-height // multiple) * multiple, -(-width // multiple) * multiple


def _size(output: Any) -> tuple[int, int] | None:
    return (output.shape[2], output.shape[3]) if isinstance(output, Tensor) and output.ndim == 4 else None


def _far(got: tuple[int, int], asked: tuple[int, int]) -> bool:
    """Whether two sizes differ by more than any padding."""
    return max(abs(one - other) for one, other in zip(got, asked, strict=True)) >= MULTIPLES[-1]
