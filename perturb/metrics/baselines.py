"""Uninformative baselines: maps that do not depend on the segmenter, as controls for every attribution map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from perturb.images.image import Image

Heatmap = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Control:
    """An uninformative baseline.

    Attributes:
        name: the name in tables and records.
        summary: what it is, in one plain sentence.
        make: computes its map, float32 `(H, W)` and at least 0, from an image and a seed.
    """

    name: str
    summary: str
    make: Callable[[Image, int], Heatmap]


def _noise(image: Image, seed: int) -> Heatmap:
    return np.random.default_rng(seed).random((image.height, image.width), dtype=np.float32)


def _blurred(image: Image, seed: int) -> Heatmap:
    sigma = max(1.0, min(image.height, image.width) / 20)
    # Another seed than for `random`, so that the two controls are independent.
    return np.asarray(cv2.GaussianBlur(_noise(image, seed + 1), (0, 0), sigma), dtype=np.float32)


def _edges(image: Image, seed: int) -> Heatmap:  # noqa: ARG001 — one signature for all
    grey = cv2.cvtColor(np.array(image.pixels), cv2.COLOR_RGB2GRAY)
    across, down = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    return np.asarray(np.hypot(across, down), dtype=np.float32)


CONTROLS: dict[str, Control] = {
    control.name: control
    for control in (
        Control("random", "An independent random number for every pixel.", _noise),
        Control("blurred-random", "Random blobs, a twentieth of the shorter side of the image wide: as smooth as many maps.", _blurred),
        Control("edges", "The strength of the edges in the image (Sobel), independent of any segmenter.", _edges),
    )
}  # fmt: skip
"""The controls by name. None takes a forward pass."""
