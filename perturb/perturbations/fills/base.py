"""The contract of a fill, and how to add one.

Fills work in pixel space [0, 1], before any normalisation: black is 0, not the mean of a data set.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from perturb.core.settings import Setting, Value
from perturb.images.image import Image


class Fill(ABC):
    """Replaces the values of hidden pixels."""

    @abstractmethod
    def paint(self, image: Tensor, hidden: Tensor, first: int) -> Tensor:
        """Apply N masks to an image.

        Args:
            image: the clean image, float32 `(3, H, W)` in [0, 1].
            hidden: masks `(N, H, W)`: bool, or float32 in [0, 1] for masks with soft edges.
            first: index of the first mask in its stream. Random values must depend only on a mask's index and the seed,
                never on the batch.

        Returns:
            The perturbed images, float32 `(N, 3, H, W)` in [0, 1]. Pixels that are not hidden are bit-identical.
        """


class Backdrop(Fill):
    """A fill that does not depend on the mask: hidden pixels show one fixed image b.

    Attributes:
        pixels: b, float32 `(H, W, 3)` in [0, 1].
    """

    def __init__(self, pixels: npt.NDArray[np.float32]) -> None:
        self.pixels = pixels
        self._tensor = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))

    def paint(self, image: Tensor, hidden: Tensor, first: int) -> Tensor:  # noqa: ARG002 — b is the same for all masks
        backdrop = self._tensor = self._tensor.to(image.device)
        if hidden.dtype == torch.bool:
            return torch.where(hidden[:, None], backdrop, image)
        weight = hidden[:, None]
        return image + weight * (backdrop - image)


class Patch(Fill):
    """A fill that depends on the mask.

    In a mask with soft edges, every partly hidden pixel belongs to the hole, so that no fill is computed from it. The
    mask's weight then blends the fill with the clean image.
    """

    def paint(self, image: Tensor, hidden: Tensor, first: int) -> Tensor:
        patch = self.patch(image, hidden, first)
        if hidden.dtype == torch.bool:
            return torch.where(hidden[:, None], patch, image)
        return torch.lerp(image.expand_as(patch), patch, hidden[:, None])

    @abstractmethod
    def patch(self, image: Tensor, hidden: Tensor, first: int) -> Tensor:
        """The fill of each mask; arguments as in `paint`.

        Returns:
            Finite float32 `(N, 3, H, W)` in [0, 1], or of a shape that broadcasts to it. Only hidden pixels are used.
        """


@dataclass(frozen=True)
class FillSpec:
    """A fill in the registry.

    To add one, write a module with a `FillSpec` and list it in `perturb.perturbations.fills.registry`.

    Attributes:
        name: on the command line.
        title: for widgets.
        summary: one sentence.
        citation: its source.
        make: returns the fill for an image, checked settings and a seed.
        settings: the settings that `make` reads. Fills that share a setting use the same object.
    """

    name: str
    title: str
    summary: str
    citation: str
    make: Callable[[Image, Mapping[str, Value], int], Fill]
    settings: tuple[Setting, ...] = ()


COLOUR = Setting("colour", "colour", "#808080", "The colour of the occluder, as #rrggbb.")
SIGMA = Setting(
    "sigma",
    "float",
    12.0,
    "Standard deviation of the Gaussian: how much detail the blur takes away, how far the soft edge reaches into the "
    "hole.",
    low=0.5,
    high=100,
    step=0.5,
    unit="px",
)


def rgb_of(settings: Mapping[str, Value]) -> tuple[float, float, float]:
    """The setting `colour` as RGB in [0, 1]."""
    red, green, blue = bytes.fromhex(str(settings["colour"])[1:])
    return red / 255, green / 255, blue / 255
