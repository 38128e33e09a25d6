"""The bundled pictures: drawn street scenes with exact ground truth, read from files so that their digests never change."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import PIL.Image

from perturb.images import Image, image_from_pixels
from perturb.scenes import CLASSES
from perturb.scenes.samples import SAMPLES, Sample
from perturb.settings import lookup

BUNDLED = Path(__file__).parent / "scenes" / "bundled"
DEFAULT_SAMPLE = "quiet-street"
"""One parked car, well seen by the embedded segmenter: what a first visit explains."""


@lru_cache(maxsize=32)
def sample(name: str = DEFAULT_SAMPLE) -> Image:
    """A bundled picture by name, with its ground truth.

    Raises:
        SettingError: no such sample.
    """
    lookup(SAMPLES, name, "sample")
    with PIL.Image.open(BUNDLED / f"{name}.png") as picture, PIL.Image.open(BUNDLED / f"{name}.classes.png") as labels:
        pixels = np.asarray(picture.convert("RGB")).astype(np.float32) / np.float32(255)
        truth = np.array(labels, dtype=np.uint8)
    return image_from_pixels(pixels, name=name, truth=truth, truth_classes=CLASSES)


__all__ = ["DEFAULT_SAMPLE", "SAMPLES", "Sample", "sample"]
