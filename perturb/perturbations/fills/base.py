"""The contract of a fill, and how to add one.

Perturbations happen in pixel space [0, 1]: black is 0, not the mean of some data set.
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
    """Paints over hidden pixels."""

    @abstractmethod
    def paint(self, picture: Tensor, hidden: Tensor, first: int) -> Tensor:
        """Perturbed pictures.

        Args:
            picture: the clean one, float32 `(3, H, W)` in [0, 1].
            hidden: `(N, H, W)`, bool, or float32 in [0, 1] for masks with soft edges.
            first: index of the first mask in its stream: what a fill draws by chance must depend on the mask's index
                and the seed, never on the batch it came in.

        Returns:
            float32 `(N, 3, H, W)`; pixels that are not hidden are bit-identical.
        """


class Backdrop(Fill):
    """A fill that does not depend on the mask: one picture b shows through every hole.

    Attributes:
        pixels: b, float32 `(H, W, 3)` in [0, 1].
    """

    def __init__(self, pixels: npt.NDArray[np.float32]) -> None:
        self.pixels = pixels
        self._tensor = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))

    def paint(self, picture: Tensor, hidden: Tensor, first: int) -> Tensor:  # noqa: ARG002 — b is the same for all masks
        backdrop = self._tensor = self._tensor.to(picture.device)
        if hidden.dtype == torch.bool:
            return torch.where(hidden[:, None], backdrop, picture)
        weight = hidden[:, None]
        return picture + weight * (backdrop - picture)


class Patch(Fill):
    """A fill that depends on the mask: each hole gets a picture of its own.

    Of a mask with soft edges, every pixel hidden in part is part of the hole: what is half hidden is no evidence of
    itself. Its weight then blends the patch with the clean picture.
    """

    def paint(self, picture: Tensor, hidden: Tensor, first: int) -> Tensor:
        patch = self.patch(picture, hidden, first)
        if hidden.dtype == torch.bool:
            return torch.where(hidden[:, None], patch, picture)
        return torch.lerp(picture.expand_as(patch), patch, hidden[:, None])

    @abstractmethod
    def patch(self, picture: Tensor, hidden: Tensor, first: int) -> Tensor:
        """What shows through each hole, given what `paint` is given.

        Returns:
            finite float32 `(N, 3, H, W)` in [0, 1], or of a shape that broadcasts to it; only hidden pixels are used.
        """


@dataclass(frozen=True)
class FillSpec:
    """A fill in the registry. To add one, write a module with a `FillSpec` and name it in `perturb.perturbations.fills.registry`.

    Attributes:
        name: as on the command line.
        title: for a widget.
        summary: one plain sentence.
        citation: where it comes from.
        make: from the image, the checked settings and the seed to the fill.
        settings: what `make` reads. Fills may share one: it is then the same object.
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
