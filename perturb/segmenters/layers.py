"""Access to the layers of a network: their names, their activations, and the positions of their cells in the image."""

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
    """A layer whose output is a map for each channel.

    Attributes:
        name: its dotted path in the network, such as `decoder3.mix`.
        kind: the module's class name, or the graph node's operator.
        shape: C, h, w of its output for one image.
        parameters: number of its weights, including submodules.
        depth: its index in execution order, from 0.
    """

    name: str
    kind: str
    shape: tuple[int, int, int]
    parameters: int
    depth: int


class Downstream(Protocol):
    """The sub-network downstream of a layer, on one image.

    Attributes:
        activation: clean output of the layer, `(1, C, h, w)`, on the segmenter's device; read-only.
        clean: clean logits of the whole network, `(1, K, H, W)`.
        note: a sentence for results about how it was run; may be empty.
    """

    activation: Tensor
    clean: Tensor
    note: str

    def __call__(self, activation: Tensor) -> Tensor:
        """Logits `(N, K, H, W)` for the layer's activation `(N, C, h, w)`, which may be overwritten.

        Raises:
            SegmenterError: the logits violate the contract.
        """


class LayerAccess(Segmenter):
    """A segmenter whose layers can be read and changed, as layer methods require.

    `TorchSegmenter` and `OnnxSegmenter` implement it. To support the layers of another framework, subclass this and
    implement the abstract methods. They may raise `SegmenterError` if the logits violate the contract.

    Attributes:
        part_noun: plural noun for the innermost parts of its summary.
        summary_note: a sentence about the contents of its summary.
    """

    abilities: ClassVar[frozenset[str]] = frozenset({"layers"})
    part_noun: ClassVar[str] = "innermost parts"
    summary_note: ClassVar[str] = ""

    @abstractmethod
    def find_layers(self, image: Image) -> tuple[Layer, ...]:
        """Compute `layers` without the cache."""

    @abstractmethod
    def check_layer(self, image: Image, name: str) -> None:
        """Check that a layer exists.

        Raises:
            SettingError: there is no layer of that name.
        """

    @abstractmethod
    def observe(self, image: Image, name: str) -> tuple[Tensor, Tensor]:
        """Run the whole network and record one layer.

        Returns:
            The logits `(1, K, H, W)`, and a copy of the layer's output, `(1, C, h, w)`.

        Raises:
            SettingError: the layer does not exist, its output is not a map, or it is used several times.
        """

    @abstractmethod
    def downstream(self, image: Image, name: str) -> Downstream:
        """The sub-network downstream of a layer; arguments and errors as in `observe`."""

    @abstractmethod
    def summary(self, image: Image) -> Part:
        """The parts of the network as a tree, with their output shapes for the image. Takes one or two forward
        passes."""

    def layers(self, image: Image) -> tuple[Layer, ...]:
        """The layers whose channels can be ablated, in execution order; a block follows its parts.

        Excluded are the network itself, identity operations, modules used several times in one pass, and modules whose
        output is not a float map of more than one cell. Takes one forward pass for each new image size.

        Args:
            image: its size determines the shapes.
        """
        known = _KNOWN.setdefault(self, {})
        key = (self.digest, image.height, image.width)
        if key not in known:
            known[key] = self.find_layers(image)
        return known[key]

    def activations(self, image: Image, name: str) -> npt.NDArray[np.float32]:
        """Activations of a layer for an image, float32 `(C, h, w)`, in the network's own units; errors as in
        `observe`."""
        return np.ascontiguousarray(self.observe(image, name)[1][0].float().cpu().numpy())


_KNOWN: WeakKeyDictionary[Segmenter, dict[tuple[str, int, int], tuple[Layer, ...]]] = WeakKeyDictionary()
"""Cached layers, because a page needs them at every interaction."""


def layer_access(segmenter: Segmenter) -> LayerAccess:
    """The segmenter, typed as one with access to its layers.

    Raises:
        SegmenterError: the segmenter has no access to its layers.
    """
    if isinstance(segmenter, LayerAccess):
        return segmenter
    raise SegmenterError(
        f"The segmenter '{segmenter.name}' is no torch network, so its layers cannot be reached; expected a "
        "`TorchSegmenter`, such as streets-unet. Choose one, or a method that hides pixels."
    )


def stretch(segmenter: Segmenter, cells: Tensor, height: int, width: int) -> Tensor:
    """Upsample a map of a layer's cells to the image, bilinearly (corners not aligned).

    The cells are assumed to cover evenly the image with its padding (`Segmenter.frame`). The padding is then cropped.

    Args:
        segmenter: the segmenter.
        cells: float `(h, w)`.
        height, width: H and W of the image.

    Returns:
        `(H, W)`, of the same dtype.
    """
    top, left, *seen = segmenter.frame(height, width)
    large = interpolate(cells[None, None], tuple(seen), mode="bilinear", align_corners=False)[0, 0]
    return large[top : top + height, left : left + width]


def inside(segmenter: Segmenter, region: npt.NDArray[np.bool_], height: int, width: int) -> npt.NDArray[np.bool_]:
    """The cells of a layer that belong to a region: cells of which more than half lies in the region.

    If there are none, as for a single pixel, these are the cells with the largest overlap. The region is extended into
    the padding at the image borders.

    Args:
        segmenter: the segmenter.
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
