"""The bundled pictures: drawn street scenes with exact ground truth, read from files so that their digests never change,
and photographs that come with scikit-image, for segmenters that know what is on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import PIL.Image
import skimage.data

from perturb.images import Image, image_from_pixels, load_image
from perturb.scenes import CLASSES
from perturb.scenes.samples import SAMPLES, Sample
from perturb.settings import lookup

BUNDLED = Path(__file__).parent / "scenes" / "bundled"
DEFAULT_SAMPLE = "quiet-street"
"""One parked car, well seen by the embedded segmenter: what a first visit explains."""


@dataclass(frozen=True)
class Photograph:
    """A photograph that lies in scikit-image's own folder; nothing is downloaded.

    Attributes:
        name, title: ours.
        sentence: what it shows, by whom, and under which terms.
        label: the class that makes it worth offering.
        file: scikit-image's name of it.
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
"""Everything that `sample` knows by name."""


def offered(classes: Sequence[str]) -> dict[str, Sample | Photograph]:
    """What suits a segmenter with these classes: the photographs that show one of them, then the drawn streets."""
    shown = {name: each for name, each in PHOTOGRAPHS.items() if each.label in classes}
    return {**shown, **SAMPLES}


def sample(name: str = DEFAULT_SAMPLE) -> Image:
    """A bundled picture by name; drawn ones with their ground truth.

    Raises:
        SettingError: no such sample.
    """
    lookup(EVERY, name, "sample")
    return _read(name)


@lru_cache(maxsize=32)  # beneath the public function: it would hide its types
def _read(name: str) -> Image:
    if name in PHOTOGRAPHS:
        return load_image(Path(skimage.data.__file__).parent / PHOTOGRAPHS[name].file, name=name)
    with PIL.Image.open(BUNDLED / f"{name}.png") as picture, PIL.Image.open(BUNDLED / f"{name}.classes.png") as labels:
        pixels = np.asarray(picture.convert("RGB")).astype(np.float32) / np.float32(255)
        truth = np.array(labels, dtype=np.uint8)
    return image_from_pixels(pixels, name=name, truth=truth, truth_classes=CLASSES)


def is_sample(image: Image) -> bool:
    """Whether a picture is one of these, and not another of the same name or with other ground truth."""
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
