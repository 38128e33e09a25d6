"""The bundled images: rendered street scenes with exact ground truth, and photographs from scikit-image.

The scenes are read from files, so that their digests never change. The photographs are for segmenters with other
classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import PIL.Image
import skimage.data

from perturb.core.settings import lookup
from perturb.images.class_names import STREET_CLASSES
from perturb.images.image import Image, image_from_pixels, load_image

BUNDLED = Path(__file__).parent / "bundled"
DEFAULT_SAMPLE = "quiet-street"
"""The default sample: one parked car, which the embedded segmenter segments well."""


@dataclass(frozen=True)
class Sample:
    """A rendered street scene with exact ground truth.

    Attributes:
        name: on the command line and in links.
        title: for display.
        sentence: what to look for in it.
    """

    name: str
    title: str
    sentence: str


SAMPLES = {
    sample.name: sample
    for sample in (
        Sample(
            "dark-car-bright-wall",
            "Dark car, bright wall",
            "A near-black car in front of a sunlit wall: is a black patch on the wall mistaken for a car?",
        ),
        Sample(
            "bright-car-bright-wall",
            "Bright car, bright wall",
            "The same street with a white car: now the car and the wall share a colour and only its outline tells them apart.",
        ),
        Sample(
            "pedestrian-behind-pole",
            "Behind a pole",
            "A lamp post hides the middle of a walking person: is what remains still enough to be a pedestrian?",
        ),
        Sample(
            "crowded-crossing",
            "Crowded crossing",
            "People overlap on a zebra crossing: which of them does the segmenter need in order to see any of them?",
        ),
        Sample(
            "bicyclist-close",
            "Bicyclist close by",
            "A bicyclist fills the view: is it the rider, the wheels or the road below that carries the label?",
        ),
        Sample(
            "quiet-street",
            "Quiet street",
            "Autumn trees and one parked car: a calm scene in which a single object can be followed.",
        ),
        Sample(
            "signs-and-poles",
            "Signs and poles",
            "Thin posts and small plates against the sky and houses: how small may an object be before it is lost?",
        ),
        Sample(
            "dusk",
            "Dusk",
            "Lit windows, street lamps and head lamps: the brightest spots are no longer the sky.",
        ),
        Sample(
            "rain",
            "Rain",
            "The wet road mirrors cars and houses: does a reflection count as a car?",
        ),
        Sample(
            "fog",
            "Fog",
            "Contrast fades with distance: the same object close by and far away in the mist.",
        ),
        Sample(
            "lone-pedestrian",
            "Lone pedestrian",
            "One small person far from everything else: how much of the empty street helps to find a pedestrian?",
        ),
        Sample(
            "car-in-shadow",
            "Car in shadow",
            "One car stands in deep shade and one in the sun: does darkness alone change the answer?",
        ),
    )
}


@dataclass(frozen=True)
class Photograph:
    """A photograph that is installed with scikit-image; nothing is downloaded.

    Attributes:
        name: on the command line and in links.
        title: for display.
        sentence: content, photographer and licence.
        label: offered for segmenters that have this class.
        file: its file name in scikit-image.
    """

    name: str
    title: str
    sentence: str
    label: str
    file: str


PHOTOGRAPHS = {
    photograph.name: photograph
    for photograph in (
        Photograph(
            "cat",
            "A cat",
            "Chelsea, photographed by Stéfan van der Walt; CC0, from scikit-image.",
            "cat",
            "chelsea.png",
        ),
        Photograph(
            "astronaut",
            "An astronaut",
            "Eileen Collins, a photograph by NASA; public domain, from scikit-image.",
            "person",
            "astronaut.png",
        ),
    )
}

EVERY: Mapping[str, Sample | Photograph] = {**SAMPLES, **PHOTOGRAPHS}
"""All bundled images by name."""


def offered(classes: Sequence[str]) -> dict[str, Sample | Photograph]:
    """Samples for a segmenter with these classes: the photographs that show one of them, then the rendered streets."""
    shown = {name: each for name, each in PHOTOGRAPHS.items() if each.label in classes}
    return {**shown, **SAMPLES}


def sample(name: str = DEFAULT_SAMPLE) -> Image:
    """A bundled image by name; rendered ones come with their ground truth.

    Raises:
        SettingError: no such sample.
    """
    lookup(EVERY, name, "sample")
    return _read(name)


@lru_cache(maxsize=32)  # not on the public function, whose type annotations it would hide
def _read(name: str) -> Image:
    if name in PHOTOGRAPHS:
        return load_image(Path(skimage.data.__file__).parent / PHOTOGRAPHS[name].file, name=name)
    with PIL.Image.open(BUNDLED / f"{name}.png") as file, PIL.Image.open(BUNDLED / f"{name}.classes.png") as labels:
        pixels = np.asarray(file.convert("RGB")).astype(np.float32) / np.float32(255)
        truth = np.array(labels, dtype=np.uint8)
    return image_from_pixels(pixels, name=name, truth=truth, truth_classes=STREET_CLASSES)


def is_sample(image: Image) -> bool:
    """Whether an image is a bundled one, not just another of the same name or with other ground truth."""
    return image.name in EVERY and sample(image.name).key == image.key


__all__ = [
    "DEFAULT_SAMPLE",
    "EVERY",
    "PHOTOGRAPHS",
    "SAMPLES",
    "Photograph",
    "Sample",
    "is_sample",
    "offered",
    "sample",
]
