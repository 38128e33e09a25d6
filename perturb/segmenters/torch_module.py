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
    """Any torch module that takes `(N, 3, H, W)` and returns logits at that size, or one logit of a binary segmentation.

    Args:
        module: is put in evaluation mode and moved to the device.
        classes: names of its K classes; for one logit its name, or those of background and class.
        name: the module's class name by default.
        mean, std: per-channel normalisation applied to images in [0, 1] first; none by default. Three values each.
        palette: uint8 `(K, 3)`.
        digest: of the module as it is; by default of its weights and operations, and `mean` and `std`.
        device: where to run it.
        pads_to: images are padded, below and on the right, with copies of their edge, to sides that are multiples of
            this; the logits are cropped again. A size that the module cannot be run on is padded to multiples of the
            smallest power of two with which it can, so this need not be known.

    Raises:
        SegmenterError: a mean or a standard deviation that does not have three values, or class names that do not differ.
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
                    "of another number of channels needs a module around it that makes them of RGB."
                )
        if pads_to < 1:
            raise SegmenterError(f"Segmenter '{name}' got pads_to={pads_to}, expected a whole number from 1 up.")
        # channels_last is up to twice as fast for convolutions on a processor, and gives the same numbers.
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
        self._fits: dict[tuple[int, int], int] = {}  # the multiple that images of a size are padded to
        self._frames: dict[tuple[int, int], Frame] = {}
        self._marked = (self.digest, self.marks())

    def marks(self) -> tuple[object, ...]:
        """Changes whenever the module or the normalisation does. Some milliseconds; valid in this process only."""
        return (weights_mark(self.module), operations_mark(self.module), *self._normalization)

    def refresh(self) -> None:
        """Bring `digest` up to date with a module that was changed in place, such as by `load_state_dict`."""
        known, marks = self._marked, self.marks()
        if marks != known[1]:
            if self.digest == known[0]:  # else somebody has said what the change is called
                self.digest = network_digest(self.module, *self._normalization)
            self._fits.clear()
            self._frames.clear()
        self._marked = (self.digest, marks)

    def normalise(self, batch: Tensor) -> Tensor:
        """Images `(N, 3, H, W)` in [0, 1] with the module's mean and standard deviation; the same for every pixel."""
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
        """Find out how images of a size must be padded: one pass, unless an image of that size was run before.

        Raises:
            SegmenterError: the module cannot be run on that size.
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
        except Exception as error:  # somebody else's code
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise SegmenterError(
                f"The network of segmenter '{self.name}' failed on an input of shape {tuple(given.shape)} "
                f"({type(error).__name__}: {reason}); expected a module that takes float32 (N, 3, H, W) and returns logits. "
                "Check its number of input channels, and whether it needs sides of a certain multiple (`pads_to`)."
            ) from error

    def _first(self, given: Tensor) -> tuple[Any, int]:
        """The module's output for a size that is new, and the multiple that it must be padded to."""
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
"""What a module's sides may have to be multiples of: it halves its maps so many times."""


def padded(given: Tensor, multiple: int) -> Tensor:
    """Maps `(N, C, H, W)` with copies of their edge below and on the right, to sides that are multiples; channels last."""
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
    """Whether no padding explains the difference of two sizes."""
    return max(abs(one - other) for one, other in zip(got, asked, strict=True)) >= MULTIPLES[-1]
