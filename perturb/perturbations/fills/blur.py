"""Gaussian blur of the image."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from perturb.core.settings import Value
from perturb.images.image import Image
from perturb.perturbations.fills.base import SIGMA, Backdrop, Fill, FillSpec


def _make(image: Image, settings: Mapping[str, Value], seed: int) -> Fill:  # noqa: ARG001 — one signature for all
    sigma = float(settings["sigma"])
    blurred = cv2.GaussianBlur(np.array(image.pixels), (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
    return Backdrop(np.clip(blurred, 0.0, 1.0))


BLUR = FillSpec(
    "blur",
    "Gaussian blur",
    "The image itself, blurred by 'sigma': removes the detail and keeps the colour.",
    "Fong & Vedaldi 2017, sec. 4.2",
    _make,
    (SIGMA,),
)
