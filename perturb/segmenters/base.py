"""The contract of a segmenter, and how to add one."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from perturb.colour import class_palette
from perturb.errors import SegmenterError


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

    Attributes:
        name: what it is called in results and links.
        classes: its K class names.
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
        self.classes = tuple(classes)
        self.palette = class_palette(classes) if palette is None else palette
        self.digest = digest
        self.device = torch.device(device)

    @abstractmethod
    def logits(self, batch: Tensor) -> Tensor:
        """Logits `(N, K, H, W)` of pictures `(N, 3, H, W)`, float32 RGB in [0, 1], on `self.device`."""

    def __call__(self, batch: Tensor) -> Tensor:
        """`logits`, checked against the contract.

        Raises:
            SegmenterError: the contract was broken; the message says how.
        """
        return check_logits(self.logits(batch), batch, len(self.classes), self.name)


class TorchSegmenter(Segmenter):
    """Any torch module that takes `(N, 3, H, W)` and returns logits at that size.

    Args:
        module: is put in evaluation mode and moved to the device.
        classes: names of its K classes.
        name: the module's class name by default.
        mean, std: per-channel normalisation applied to pictures in [0, 1] first; none by default.
        palette: uint8 `(K, 3)`.
        device: where to run it.
        pads_to: the module pads pictures, below and on the right, to sides that are multiples of this; the maps of its
            layers then cover the padded picture.
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
        super().__init__(
            name or type(module).__name__,
            classes=classes,
            palette=palette,
            digest=digest or weights_digest(module),
            device=device,
        )
        # channels_last is up to twice as fast for convolutions on a processor, and gives the same numbers.
        self.module = module.eval().to(self.device).to(memory_format=torch.channels_last)
        self.pads_to = pads_to
        self._mean = None if mean is None else torch.tensor(mean, device=self.device).view(1, -1, 1, 1)
        self._std = None if std is None else torch.tensor(std, device=self.device).view(1, -1, 1, 1)

    def prepare(self, batch: Tensor) -> Tensor:
        """What the module itself is given for pictures `(N, 3, H, W)` in [0, 1]: normalised, channels last."""
        if self._mean is not None:
            batch = batch - self._mean
        if self._std is not None:
            batch = batch / self._std
        return batch.contiguous(memory_format=torch.channels_last)

    def logits(self, batch: Tensor) -> Tensor:
        output: Tensor = self.module(self.prepare(batch))
        return output


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


def weights_digest(module: nn.Module) -> str:
    """32 hexadecimal digits of blake2b over the names and bytes of a module's state."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).data)
    return digest.hexdigest()


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
