"""What stands where pixels were hidden: the registry of fills, and their settings.

Perturbations happen in pixel space [0, 1]: black is 0, not the mean of some data set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from perturb.fill_kinds import Backdrop, Fill, Linear, Patch, SoftWindow, Telea, WindowMean
from perturb.images.image import Image
from perturb.settings import Setting, Value, lookup

__all__ = ["FILLS", "SETTINGS", "Backdrop", "Fill", "FillSpec", "Patch", "make_fill"]


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
    return _flat(_rgb(settings))(image, settings, seed)


def _rgb(settings: Mapping[str, Value]) -> tuple[float, float, float]:
    red, green, blue = bytes.fromhex(str(settings["colour"])[1:])
    return red / 255, green / 255, blue / 255


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


def _window_mean(image: Image, settings: Mapping[str, Value], seed: int) -> Fill:  # noqa: ARG001 — one signature for all
    return WindowMean()


def _soft(image: Image, settings: Mapping[str, Value], seed: int) -> Fill:  # noqa: ARG001 — one signature for all
    return SoftWindow(_rgb(settings), float(settings["sigma"]))


def _linear(image: Image, settings: Mapping[str, Value], seed: int) -> Fill:  # noqa: ARG001 — one signature for all
    return Linear(float(settings["noise"]), seed)


def _telea(image: Image, settings: Mapping[str, Value], seed: int) -> Fill:  # noqa: ARG001 — one signature for all
    return Telea(float(settings["radius"]))


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
            "window-mean",
            "Window mean",
            "The mean colour of the very pixels that are hidden: takes their detail and leaves their colour.",
            "Ribeiro et al. 2016, the default of the lime package for pictures",
            _window_mean,
        ),
        FillSpec(
            "soft",
            "Soft window",
            "A flat 'colour' that fades in from the rim of the hole over 'sigma' pixels: no hard edge to be seen.",
            "Gipiškis & Kurasova 2023, Gaussian occluders; here with the soft edge inside the hole only",
            _soft,
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
        FillSpec(
            "linear",
            "Linear imputation",
            "A smooth surface from the rim of the hole, and a little 'noise': hardly tells the shape of the hole.",
            "Rong et al. 2022 (ROAD), sec. 4",
            _linear,
        ),
        FillSpec(
            "telea",
            "Telea inpainting",
            "Continues what reaches the rim of the hole, from up to 'radius' pixels away, on 256 grey levels.",
            "Telea 2004, as in OpenCV",
            _telea,
        ),
    )
}

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "fill",
        "choice",
        "grey",
        "What stands where pixels are hidden. Flat colours can be mistaken for something; blur and imputation disturb less. "
        "The soft edge is for windows and segments: scattered pixels are all rim, and only partly hidden.",
        choices=tuple((spec.name, spec.title) for spec in FILLS.values()),
    ),
    Setting(
        "colour", "colour", "#808080", "The colour of the occluder, as #rrggbb.", only=("fill", ("colour", "soft"))
    ),
    Setting(
        "sigma",
        "float",
        12.0,
        "Standard deviation of the Gaussian: how much detail the blur takes away, how far the soft edge reaches into the "
        "hole.",
        low=0.5,
        high=100,
        step=0.5,
        unit="px",
        only=("fill", ("blur", "soft")),
    ),
    Setting(
        "noise",
        "float",
        0.01,
        "Standard deviation of the noise on imputed pixels, on the scale from black 0 to white 1. Without it the "
        "surface is so smooth that it tells where the hole is.",
        low=0,
        high=0.5,
        step=0.01,
        only=("fill", ("linear",)),
    ),
    Setting(
        "radius",
        "int",
        3,
        "How far around it a pixel is inpainted from. Larger is smoother, and slower with its square.",
        low=1,
        high=20,
        unit="px",
        only=("fill", ("telea",)),
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
