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
    """The padded area of an image, in pixels.

    Attributes:
        top, left: padding above the image and at its left.
        height, width: size of the image with its padding.
    """

    top: int
    left: int
    height: int
    width: int


class Segmenter(ABC):
    """A semantic segmenter: computes a logit for each class and pixel of an image.

    To add one, subclass it and implement `logits`; everything else has a default:

        class Mine(perturb.Segmenter):
            def logits(self, batch):              # float32 (N, 3, H, W), RGB in [0, 1]
                return my_network(batch * 2 - 1)  # float logits (N, K, H, W), same H and W

        segmenter = Mine("mine", classes=["road", "car"])
        result = perturb.explain(image, segmenter, perturb.Target("car"))

    To register it by name: `perturb.register("mine", lambda device: Mine("mine", classes=[…]))`. An installed package
    can register one without any call, by an entry point in the group `perturb.segmenters`:

        [project.entry-points."perturb.segmenters"]
        mine = "my_package:mine"                  # def mine(device): return Mine("mine", classes=[…])

    `register(…, card=lambda: Card(…))` adds facts for the catalogue, see `perturb.segmenters.card.Card`.

    A torch module needs no class of its own: `TorchSegmenter(module, classes=[…])`. Weights for a known architecture
    need no code at all: `perturb.load_weights(architecture, file, classes)`.

    The contract, checked on every call: finite float logits (not probabilities, not labels) of exactly `(N, K, H, W)`
    at the size of the image. The logits of an image do not depend on the rest of the batch. Any normalisation is part
    of the segmenter.

    A binary segmenter may return one channel z instead of two: the logit of a sigmoid. Its classes are then background
    and the named class, with the logits (0, z), whose softmax is that sigmoid.

    Attributes:
        name: name in results and links.
        classes: K class names; at least two, see above.
        palette: colours of the classes, uint8 `(K, 3)`.
        digest: digest of the weights, which identifies them in results; empty if unknown.
        device: device of its input.
        abilities: what is available besides logits: "layers" (activations can be read and changed), "gradients" and
            "weights" (which can be randomized). Functions that need a missing ability are shown as unavailable, with
            the reason.
        recipe: Python expression that loads it again, for results; empty for a registered segmenter.
        options: command line words that load it again, such as `("--segmenter", "model.onnx")`; empty for a registered
            segmenter, and if no command can load it.
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
        """Compute logits.

        Args:
            batch: images `(N, 3, H, W)`, float32 RGB in [0, 1], on `self.device`.

        Returns:
            Float logits `(N, K, H, W)`.
        """

    def frame(self, height: int, width: int) -> Frame:
        """The area covered by the layers' activations, for images of this size: the image with its padding."""
        return Frame(0, 0, height, width)

    @property
    def input_note(self) -> str:
        """Description of the network's input, such as its scaling, for users to check; may be empty."""
        return ""

    def card(self) -> Card:
        """Facts about the segmenter, for the catalogue."""
        return Card(classes=self.classes, abilities=("logits", *sorted(self.abilities)))

    def refresh(self) -> None:  # noqa: B027 — most segmenters cannot change
        """Update `digest` if the weights or operations were changed in place."""

    def __call__(self, batch: Tensor) -> Tensor:
        """`logits`, checked against the contract.

        Raises:
            SegmenterError: the logits violate the contract; the message says how.
        """
        return check_logits(two_channels(self.logits(batch), len(self.classes)), batch, len(self.classes), self.name)


def two_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """The class names of a segmenter. A single name means binary segmentation, so a background class is added."""
    if len(classes) > 1:
        return tuple(classes)
    return ("other" if classes[0] == "background" else "background", classes[0])


def two_channels(logits: Any, classes: int) -> Any:
    """Logits (0, z), `(N, 2, H, W)`, from the single channel z of a binary segmenter; others are returned unchanged."""
    if classes != 2 or not isinstance(logits, Tensor) or logits.ndim != 4 or logits.shape[1] != 1:
        return logits
    return torch.cat([torch.zeros_like(logits), logits], 1)


def lacking(segmenter: Segmenter, needs: Sequence[str], what: str) -> str:
    """Why a segmenter lacks an ability that is needed, as a sentence; empty if it has all of them.

    Args:
        segmenter: the segmenter.
        needs: the abilities needed, such as `("layers",)`.
        what: what needs them, as the subject of the sentence, such as "Seg-Ablation-CAM".
    """
    missing = [need for need in needs if need not in segmenter.abilities]
    if not missing:
        return ""
    return (
        f"The segmenter '{segmenter.name}' is no torch network, so {what} cannot reach its {' and '.join(missing)}; expected "
        "a `TorchSegmenter`, such as streets-unet. Choose one, or a method that hides pixels."
    )


def check_logits(logits: Any, batch: Tensor, classes: int | None, name: str) -> Tensor:
    """Check the contract of segmenters: finite float logits `(N, K, H, W)` at the size of the images.

    Args:
        logits: output of the segmenter.
        batch: its input, `(N, 3, H, W)`.
        classes: K; None if unknown.
        name: of the segmenter, for the message.

    Returns:
        The logits, unchanged.

    Raises:
        SegmenterError: the logits violate the contract; the message says what was returned and what was expected.
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
