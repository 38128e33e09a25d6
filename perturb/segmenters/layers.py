"""Access to the layers of a network: which there are, what they give for an image, and where their cells lie on it."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from perturb.core.errors import SegmenterError
from perturb.images.image import Image
from perturb.segmenters.base import Segmenter
from perturb.segmenters.summary import Part


@dataclass(frozen=True)
class Layer:
    """A layer that gives one map for each channel.

    Attributes:
        name: its dotted path in the network, such as `decoder3.mix`.
        kind: the module's class name, or the operator of a graph.
        shape: C, h, w of its output for one image.
        parameters: number of weights in it and in all it contains.
        depth: its place in the order in which these layers finish, from 0 for the first.
    """

    name: str
    kind: str
    shape: tuple[int, int, int]
    parameters: int
    depth: int


class Downstream(Protocol):
    """The sub-network downstream of a layer, on one image.

    Attributes:
        activation: clean output of the layer, `(1, C, h, w)`, on the segmenter's device. Not to be written to.
        clean: clean logits of the whole network, `(1, K, H, W)`.
        note: what a result should say about how it was run, in a sentence; empty for nothing.
    """

    activation: Tensor
    clean: Tensor
    note: str

    def __call__(self, activation: Tensor) -> Tensor:
        """Logits `(N, K, H, W)` when the layer gives `activation`, `(N, C, h, w)`, which may be overwritten.

        Raises:
            SegmenterError: the segmenter broke its contract.
        """


class LayerAccess(Segmenter):
    """A segmenter whose layers can be read and changed: what methods that look at layers need of it.

    `TorchSegmenter` and ONNX files implement it. To offer the layers of another framework, subclass this and write
    the abstract methods. They may raise `SegmenterError` where the segmenter breaks its contract.

    Attributes:
        part_noun: what the innermost parts of its summary are called, in the plural.
        summary_note: a sentence on what its summary holds and what not.
    """

    abilities: ClassVar[frozenset[str]] = frozenset({"layers"})
    part_noun: ClassVar[str] = "innermost parts"
    summary_note: ClassVar[str] = ""

    @abstractmethod
    def find_layers(self, image: Image) -> tuple[Layer, ...]:
        """`layers`, worked out anew."""

    @abstractmethod
    def check_layer(self, image: Image, name: str) -> None:
        """Check that there is a layer of that name.

        Raises:
            SettingError: there is none.
        """

    @abstractmethod
    def observe(self, image: Image, name: str) -> tuple[Tensor, Tensor]:
        """Run the whole network and record one layer.

        Returns:
            The logits `(1, K, H, W)`, and a copy of the layer's output, `(1, C, h, w)`.

        Raises:
            SettingError: no such layer, it gives no map, or it is used several times.
        """

    @abstractmethod
    def downstream(self, image: Image, name: str) -> Downstream:
        """The sub-network downstream of a layer; arguments and errors as in `observe`."""

    @abstractmethod
    def summary(self, image: Image) -> Part:
        """The parts of the network as a tree, with the shapes that they give for the image. A forward pass or two."""

    def layers(self, image: Image) -> tuple[Layer, ...]:
        """The layers whose channels can be ablated, in the order in which they finish; a block finishes after its parts.

        Left out are the network itself, identity operations, what gives no float map of more than one cell, and what is
        used several times in one pass. One forward pass, the first time a segmenter is asked for a size.

        Args:
            image: shapes depend on its size.
        """
        known = _KNOWN.setdefault(self, {})
        key = (self.digest, image.height, image.width)
        if key not in known:
            known[key] = self.find_layers(image)
        return known[key]

    def activations(self, image: Image, name: str) -> npt.NDArray[np.float32]:
        """Output of a layer for an image, float32 `(C, h, w)`, in the network's own units; errors as in `observe`."""
        return np.ascontiguousarray(self.observe(image, name)[1][0].float().cpu().numpy())


_KNOWN: WeakKeyDictionary[Segmenter, dict[tuple[str, int, int], tuple[Layer, ...]]] = WeakKeyDictionary()
"""The layers found so far, because a page asks for them at every click."""


def layer_access(segmenter: Segmenter) -> LayerAccess:
    """The segmenter, as one whose layers can be reached.

    Raises:
        SegmenterError: they cannot.
    """
    if isinstance(segmenter, LayerAccess):
        return segmenter
    raise SegmenterError(
        f"The segmenter '{segmenter.name}' is no torch network, so its layers cannot be reached; expected a "
        "`TorchSegmenter`, such as streets-unet. Choose one, or a method that hides pixels."
    )


def stretch(segmenter: Segmenter, cells: Tensor, height: int, width: int) -> Tensor:
    """Upsample values of a layer's cells to the image, bilinearly (corners not aligned).

    The cells are taken to cover evenly what the network saw: the image with its padding (`Segmenter.frame`), which is
    then cropped.

    Args:
        segmenter: whose layer it is.
        cells: float `(h, w)`.
        height, width: H and W of the image.

    Returns:
        `(H, W)`, of the same dtype.
    """
    top, left, *seen = segmenter.frame(height, width)
    large = interpolate(cells[None, None], tuple(seen), mode="bilinear", align_corners=False)[0, 0]
    return large[top : top + height, left : left + width]


def inside(segmenter: Segmenter, region: npt.NDArray[np.bool_], height: int, width: int) -> npt.NDArray[np.bool_]:
    """The cells of a layer that belong to a region: more than half of the cell lies in it.

    A region that fills no cell by half, such as one pixel, gets the cells of which it fills most. At padded borders the
    region is continued into the padding.

    Args:
        segmenter: whose layer it is.
        region: bool `(H, W)`, not empty.
        height, width: h and w of the layer.

    Returns:
        bool `(h, w)`, at least one of them True.
    """
    frame = segmenter.frame(*region.shape)
    padding = [
        (before, whole - before - side) for before, whole, side in zip(frame[:2], frame[2:], region.shape, strict=True)
    ]
    padded = torch.from_numpy(np.pad(region, padding, mode="edge").astype(np.float32))
    part = interpolate(padded[None, None], (height, width), mode="area")[0, 0]
    cells = part > 0.5 if bool((part > 0.5).any()) else part == part.max()
    return np.asarray(cells.numpy())
