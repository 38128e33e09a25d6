"""Occlusion: slide a window over the image and measure how much the score drops when its pixels are hidden."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from perturb.core.settings import Setting, Value
from perturb.images.image import Image
from perturb.methods.base import Outcome, Page, Request
from perturb.methods.masked import MaskedMethod, drops
from perturb.perturbations.fills.registry import FILL_SETTINGS
from perturb.perturbations.masks import Masks, Windows
from perturb.targets.readings import Readings


class Occlusion(MaskedMethod):
    """A pixel's value is the mean of S(x) − S(x') over the windows that cover it; x' is the image with a window hidden.

    On an additive model S = Σ w·x with fill b it is the mean over the covering windows of Σ_window w·(x − b).
    """

    name: ClassVar[str] = "occlusion"
    title: ClassVar[str] = "Occlusion"
    summary: ClassVar[str] = (
        "A window slides over the image; a pixel's value is how much the score drops when it is hidden."
    )
    citation: ClassVar[str] = "Zeiler & Fergus 2014, sec. 3.2; for segmenters Gipiškis & Kurasova 2023"
    page: ClassVar[Page] = "occlusion"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "size",
            "int",
            64,
            "Width of the window in pixels. Larger windows hide whole objects and cost fewer forward passes; smaller ones "
            "show more detail.",
            low=1,
            high=1024,
            step=8,
            unit="px",
        ),
        Setting(
            "stride",
            "int",
            32,
            "Pixels from one window to the next, at most the window's size. Half the stride costs four times the forward "
            "passes.",
            low=1,
            high=1024,
            step=4,
            unit="px",
        ),
        Setting(
            "shape",
            "choice",
            "square",
            "Shape of the window. The shape of the hidden area can itself act as a cue.",
            choices=(("square", "Square"), ("rectangle", "Rectangle"), ("disc", "Disc")),
        ),
        Setting(
            "height",
            "int",
            32,
            "Height of a rectangular window in pixels.",
            low=1,
            high=1024,
            step=8,
            unit="px",
            only=("shape", ("rectangle",)),
        ),
        *FILL_SETTINGS,
    )

    def masks(self, request: Request) -> Masks:
        return windows(request.image, request.settings)

    def read(self, request: Request, masks: Masks, readings: Readings) -> Outcome:
        return Outcome(drops(request, masks, readings))


def windows(image: Image, settings: Mapping[str, Value]) -> Windows:
    """The windows on an image for validated settings.

    Raises:
        SettingError: the window does not fit the image, or the stride is larger than the window.
    """
    return Windows(
        image.height,
        image.width,
        size=int(settings["size"]),
        stride=int(settings["stride"]),
        shape=str(settings["shape"]),
        rectangle_height=int(settings["height"]),
    )
