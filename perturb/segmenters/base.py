"""The contract of a segmenter, and how to add one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from perturb.colour import class_palette
from perturb.errors import SegmenterError
from perturb.segmenters.identity import network_digest, operations_mark, weights_mark
from perturb.segmenters.padding import own_padding


class Frame(NamedTuple):
    """A picture in the middle of its padding, in pixels.

    Attributes:
        top, left: padding above the picture and on its left.
        height, width: of all of it.
    """

    top: int
    left: int
    height: int
    width: int


class Segmenter(ABC):
    """A picture in, a logit for every class and pixel out.

    To add one, subclass it and write `logits`; everything else has a default:

        class Mine(perturb.Segmenter):
            def logits(self, batch):              # float32 (N, 3, H, W), RGB in [0, 1]
                return my_network(batch * 2 - 1)  # float logits (N, K, H, W), same H and W

        segmenter = Mine("mine", classes=["road", "car"])
        result = perturb.explain(image, segmenter, perturb.Target("car"))

    To offer it by name: `perturb.register("mine", lambda device: Mine("mine", classes=[…]))`, or from an installed
    package, without a line of its own at run time, by an entry point in the group `perturb.segmenters`:

        [project.entry-points."perturb.segmenters"]
        mine = "my_package:mine"                  # def mine(device): return Mine("mine", classes=[…])

    `register(…, card=lambda: Card(…))` tells the catalogue what it is and how good, see `perturb.segmenters.Card`.

    A torch module needs no class of its own: `TorchSegmenter(module, classes=[…])`. Weights for an architecture that the
    lab knows need no code at all: `perturb.load_weights(architecture, file, classes)`.

    The contract, checked on every call: finite float logits (not probabilities, not labels) of exactly
    `(N, K, H, W)` at the picture's size; the same picture gives the same logits whatever stands beside it in the
    batch; normalisation happens inside.

    A binary segmenter may give one channel z in place of two: the logit of a sigmoid. Its classes are then background and
    the one that is named, with the logits (0, z), whose softmax is that sigmoid.

    Attributes:
        name: what it is called in results and links.
        classes: its K class names; at least two, see above.
        palette: their colours, uint8 `(K, 3)`.
        digest: of its weights, so that a result says which ones made it; empty when unknown.
        device: where its input is expected.
        abilities: what it can do besides giving logits: "layers" (its inner maps can be read and changed),
            "gradients" and "weights" (which can be drawn anew). What needs one that is missing is offered with the reason
            why not.
        recipe: the Python expression that loads it again, for a result's record; empty for one of the registry.
        pace: how it is run many times: "exact" (less of it where that gives the same numbers), "plain" (all of it every
            time), or "bfloat16" (quicker, and rougher).
    """

    abilities: ClassVar[frozenset[str]] = frozenset()
    recipe: str = ""
    pace: str = "exact"

    def __init__(
        self,
        name: str,
        *,
        classes: Sequence[str],
        palette: npt.NDArray[np.uint8] | None = None,
        digest: str = "",
        device: str | torch.device = "cpu",
    ) -> None:
        if len(classes) < 1 or len(set(classes)) != len(classes):
            raise SegmenterError(f"Segmenter '{name}' needs class names that differ; got {list(classes)}.")
        self.name = name
        self.classes = two_classes(classes)
        self.palette = class_palette(self.classes) if palette is None else palette
        if len(self.palette) < len(self.classes):
            self.palette = np.concatenate([np.full((1, 3), 128, np.uint8), self.palette])
        self.digest = digest
        self.device = torch.device(device)

    @abstractmethod
    def logits(self, batch: Tensor) -> Tensor:
        """Logits `(N, K, H, W)` of pictures `(N, 3, H, W)`, float32 RGB in [0, 1], on `self.device`."""

    def frame(self, height: int, width: int) -> Frame:
        """The area that the maps of its layers cover, for pictures of a size: the picture, and padding around it."""
        return Frame(0, 0, height, width)

    def refresh(self) -> None:  # noqa: B027 — most segmenters cannot tell
        """Bring `digest` up to date if what it stands for was changed."""

    def __call__(self, batch: Tensor) -> Tensor:
        """`logits`, checked against the contract.

        Raises:
            SegmenterError: the contract was broken; the message says how.
        """
        return check_logits(two_channels(self.logits(batch), len(self.classes)), batch, len(self.classes), self.name)


def two_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """The class names of a segmenter; a single one stands for a binary segmentation, so it gets its opposite."""
    if len(classes) > 1:
        return tuple(classes)
    return ("other" if classes[0] == "background" else "background", classes[0])


def two_channels(logits: Any, classes: int) -> Any:
    """Logits `(N, 2, H, W)` of a binary segmenter that gave one channel z `(N, 1, H, W)`: 0 and z. Others as they are."""
    if classes != 2 or not isinstance(logits, Tensor) or logits.ndim != 4 or logits.shape[1] != 1:
        return logits
    return torch.cat([torch.zeros_like(logits), logits], 1)


class TorchSegmenter(Segmenter):
    """Any torch module that takes `(N, 3, H, W)` and returns logits at that size, or one logit of a binary segmentation.

    Args:
        module: is put in evaluation mode and moved to the device.
        classes: names of its K classes; for one logit its name, or those of background and class.
        name: the module's class name by default.
        mean, std: per-channel normalisation applied to pictures in [0, 1] first; none by default. Three values each.
        palette: uint8 `(K, 3)`.
        digest: of the module as it is; by default of its weights and operations, and `mean` and `std`.
        device: where to run it.
        pads_to: pictures are padded, below and on the right, with copies of their edge, to sides that are multiples of
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
        self._fits: dict[tuple[int, int], int] = {}  # the multiple that pictures of a size are padded to
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
        """Pictures `(N, 3, H, W)` in [0, 1] with the module's mean and standard deviation; the same for every pixel."""
        if self._mean is not None:
            batch = batch - self._mean
        if self._std is not None:
            batch = batch / self._std
        return batch.contiguous(memory_format=torch.channels_last)

    def prepare(self, batch: Tensor) -> Tensor:
        """What the module itself is given for pictures `(N, 3, H, W)` in [0, 1]: normalised, padded, channels last."""
        return padded(self.normalise(batch), self._multiple(*batch.shape[2:]))

    def finish(self, output: Any, height: int, width: int) -> Any:
        """Logits `(N, K, H, W)` from what the module gives for `prepare`d pictures of a size, not checked yet."""
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
        """Find out how pictures of a size must be padded: one pass, unless a picture of that size was run before.

        To be called before hooks are set, which would see passes that fail as well.

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


def lacking(segmenter: Segmenter, needs: Sequence[str], what: str) -> str:
    """Why something cannot be done with a segmenter, in words; an empty string if it can.

    Args:
        segmenter: with its `abilities`.
        needs: the abilities that it takes, such as `("layers",)`.
        what: would be done, as the subject of a sentence, such as "Seg-Ablation-CAM".
    """
    missing = [need for need in needs if need not in segmenter.abilities]
    if not missing:
        return ""
    return (
        f"The segmenter '{segmenter.name}' is no torch network, so {what} cannot reach its {' and '.join(missing)}; expected "
        "a `TorchSegmenter`, such as streets-unet. Choose one, or a method that hides pixels."
    )


def check_logits(logits: Any, batch: Tensor, classes: int | None, name: str) -> Tensor:
    """The segmenter's contract: finite float logits `(N, K, H, W)` at the batch's size.

    Raises:
        SegmenterError: anything else, with what came and what was expected.
    """
    n, _, height, width = batch.shape
    expected = f"(N={n}, K={classes or 'classes'}, H={height}, W={width})"
    if not isinstance(logits, Tensor):
        raise SegmenterError(
            f"Segmenter '{name}' returned a {type(logits).__name__}, expected one tensor of logits {expected}. "
            "Return the logits alone, for instance `module(batch)['out']` or the first element of the tuple."
        )
    if logits.ndim != 4 or logits.shape[0] != n or (classes is not None and logits.shape[1] != classes):
        raise SegmenterError(f"Segmenter '{name}' returned shape {tuple(logits.shape)}, expected logits {expected}.")
    if tuple(logits.shape[2:]) != (height, width):
        raise SegmenterError(
            f"Segmenter '{name}' returned {logits.shape[3]} × {logits.shape[2]} px for a picture of {width} × {height} px, "
            "expected the same size. Upsample the logits in `Segmenter.logits`, for instance with "
            "`torch.nn.functional.interpolate(…, mode='bilinear')`."
        )
    if not logits.is_floating_point() or not bool(torch.isfinite(logits.sum())):
        raise SegmenterError(
            f"Segmenter '{name}' returned values that are not finite numbers (NaN or infinity, dtype {logits.dtype}); "
            "expected finite float logits. Check its weights and its input normalisation."
        )
    return logits
