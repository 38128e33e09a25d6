"""What stands where pixels were hidden.

Perturbations happen in pixel space [0, 1]: black is 0, not the mean of some data set.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from perturb.images import Image
from perturb.settings import Setting, Value, lookup


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


@dataclass(frozen=True)
class FillSpec:
    """A fill in the registry.

    Attributes:
        name: as on the command line.
        title: for a widget.
        summary: one plain sentence.
        citation: where it comes from.
        make: from the image, the checked settings and the seed to the fill.
    """

    name: str
    title: str
    summary: str
    citation: str
    make: Callable[[Image, Mapping[str, Value], int], Fill]


def _flat(rgb: tuple[float, float, float]) -> Callable[[Image, Mapping[str, Value], int], Fill]:
    def make(image: Image, settings: Mapping[str, Value], seed: int) -> Fill:  # noqa: ARG001 — one signature for all
        return Backdrop(np.broadcast_to(np.array(rgb, dtype=np.float32), image.pixels.shape))

    return make


def _colour(image: Image, settings: Mapping[str, Value], seed: int) -> Fill:
    text = str(settings["colour"])
    red, green, blue = (int(text[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return _flat((red, green, blue))(image, settings, seed)


def _mean(image: Image, settings: Mapping[str, Value], seed: int) -> Fill:
    red, green, blue = image.pixels.mean((0, 1), dtype=np.float64)
    return _flat((red, green, blue))(image, settings, seed)


def _blur(image: Image, settings: Mapping[str, Value], seed: int) -> Fill:  # noqa: ARG001 — one signature for all
    sigma = float(settings["sigma"])
    blurred = cv2.GaussianBlur(np.array(image.pixels), (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    return Backdrop(np.clip(blurred, 0.0, 1.0))


def _noise(image: Image, settings: Mapping[str, Value], seed: int) -> Fill:  # noqa: ARG001 — one signature for all
    # One draw for the whole picture: overlapping windows show the same noise, and a batch cannot change it.
    return Backdrop(np.random.default_rng(seed).random(image.pixels.shape, dtype=np.float32))


_OCCLUSION = "Zeiler & Fergus 2014, sec. 3.2"
_GIPISKIS = "Gipiškis & Kurasova 2023, occlusion for semantic segmentation"

FILLS: dict[str, FillSpec] = {
    spec.name: spec
    for spec in (
        FillSpec(
            "grey", "Grey", "A flat mid-grey, the occluder of the first occlusion study.", _OCCLUSION, _flat((0.5,) * 3)
        ),
        FillSpec("black", "Black", "Flat black; easily taken for a dark object.", _GIPISKIS, _flat((0.0,) * 3)),
        FillSpec("white", "White", "Flat white; easily taken for sky or a bright wall.", _GIPISKIS, _flat((1.0,) * 3)),
        FillSpec("colour", "A colour", "Any flat colour, chosen with 'colour'.", _GIPISKIS, _colour),
        FillSpec(
            "mean", "Picture mean", "The picture's own mean colour: the least surprising flat one.", _GIPISKIS, _mean
        ),
        FillSpec(
            "blur",
            "Gaussian blur",
            "The picture itself, blurred by 'sigma': takes the detail and leaves the colour.",
            "Fong & Vedaldi 2017, sec. 4.2",
            _blur,
        ),
        FillSpec(
            "noise", "Noise", "Uniform random colour in every pixel, seeded.", "Fong & Vedaldi 2017, sec. 4.2", _noise
        ),
    )
}

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "fill",
        "choice",
        "grey",
        "What stands where pixels are hidden. Flat colours can be mistaken for something; blur disturbs least.",
        choices=tuple((spec.name, spec.title) for spec in FILLS.values()),
    ),
    Setting("colour", "colour", "#808080", "The colour of the occluder, as #rrggbb.", only=("fill", ("colour",))),
    Setting(
        "sigma",
        "float",
        12.0,
        "Standard deviation of the Gaussian blur: how much detail it takes away.",
        low=0.5,
        high=100,
        step=0.5,
        unit="px",
        only=("fill", ("blur",)),
    ),
)
"""The settings every method shares, so that a fill works the same everywhere."""


def make_fill(image: Image, settings: Mapping[str, Value], seed: int) -> Fill:
    """The fill that checked settings ask for.

    Raises:
        SettingError: no such fill.
    """
    spec: FillSpec = lookup(FILLS, str(settings["fill"]), "fill")
    return spec.make(image, settings, seed)
