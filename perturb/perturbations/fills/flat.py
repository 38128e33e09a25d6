"""Flat colours."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from perturb.core.settings import Value
from perturb.images.image import Image
from perturb.perturbations.fills.base import COLOUR, Backdrop, Fill, FillSpec, rgb_of

OCCLUSION = "Zeiler & Fergus 2014, sec. 3.2"
GIPISKIS = "Gipiškis & Kurasova 2023, occlusion for semantic segmentation"


def _flat(image: Image, rgb: tuple[float, float, float]) -> Fill:
    return Backdrop(np.broadcast_to(np.array(rgb, dtype=np.float32), image.pixels.shape))


def _constant(level: float) -> Callable[[Image, Mapping[str, Value], int], Fill]:
    return lambda image, settings, seed: _flat(image, (level,) * 3)


def _colour(image: Image, settings: Mapping[str, Value], seed: int) -> Fill:  # noqa: ARG001 — one signature for all
    return _flat(image, rgb_of(settings))


def _mean(image: Image, settings: Mapping[str, Value], seed: int) -> Fill:  # noqa: ARG001 — one signature for all
    red, green, blue = image.pixels.mean((0, 1), dtype=np.float64)
    return _flat(image, (red, green, blue))


GREY = FillSpec(
    "grey", "Grey", "A flat mid-grey, the occluder of the first occlusion study.", OCCLUSION, _constant(0.5)
)
BLACK = FillSpec("black", "Black", "Flat black; easily taken for a dark object.", GIPISKIS, _constant(0.0))
WHITE = FillSpec("white", "White", "Flat white; easily taken for sky or a bright wall.", GIPISKIS, _constant(1.0))
ANY = FillSpec("colour", "A colour", "Any flat colour, chosen with 'colour'.", GIPISKIS, _colour, (COLOUR,))
MEAN = FillSpec("mean", "Image mean", "The image's own mean colour: the least surprising flat one.", GIPISKIS, _mean)
