"""The contract of a segmenter, and how to add one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from perturb.core.colour import class_palette
from perturb.core.errors import SegmenterError
from perturb.segmenters.card import Card


class Frame(NamedTuple):
    """An image in the middle of its padding, in pixels.

    Attributes:
        top, left: padding above the image and on its left.
        height, width: of all of it.
    """

    top: int
    left: int
    height: int
    width: int


class Segmenter(ABC):
    """An image in, a logit for every class and pixel out.

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

    `register(…, card=lambda: Card(…))` tells the catalogue what it is and how good, see `perturb.segmenters.card.Card`.

    A torch module needs no class of its own: `TorchSegmenter(module, classes=[…])`. Weights for an architecture that the
    lab knows need no code at all: `perturb.load_weights(architecture, file, classes)`.

    The contract, checked on every call: finite float logits (not probabilities, not labels) of exactly
    `(N, K, H, W)` at the image's size; the same image gives the same logits whatever stands beside it in the
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
        options: the words that load it again on the command line, such as `("--segmenter", "model.onnx")`; empty for one of
            the registry, and where no command can.
    """

    abilities: ClassVar[frozenset[str]] = frozenset()
    recipe: str = ""
    options: tuple[str, ...] = ()

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
        if len(self.palette) == len(classes) < len(self.classes):
            self.palette = np.concatenate([np.full((1, 3), 128, np.uint8), self.palette])
        self.digest = digest
        self.device = torch.device(device)

    @abstractmethod
    def logits(self, batch: Tensor) -> Tensor:
        """Logits `(N, K, H, W)` of images `(N, 3, H, W)`, float32 RGB in [0, 1], on `self.device`."""

    def frame(self, height: int, width: int) -> Frame:
        """The area that the maps of its layers cover, for images of a size: the image, and padding around it."""
        return Frame(0, 0, height, width)

    @property
    def input_note(self) -> str:
        """What the network is given, such as the scaling of its values, for people to check; empty for nothing to say."""
        return ""

    def card(self) -> Card:
        """Facts about it, for people who choose one."""
        return Card(classes=self.classes, abilities=("logits", *sorted(self.abilities)))

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
            f"Segmenter '{name}' returned {logits.shape[3]} × {logits.shape[2]} px for an image of {width} × {height} px, "
            "expected the same size. Upsample the logits in `Segmenter.logits`, for instance with "
            "`torch.nn.functional.interpolate(…, mode='bilinear')`."
        )
    if not logits.is_floating_point() or not bool(torch.isfinite(logits.sum())):
        raise SegmenterError(
            f"Segmenter '{name}' returned values that are not finite numbers (NaN or infinity, dtype {logits.dtype}); "
            "expected finite float logits. Check its weights and its input normalisation."
        )
    return logits
