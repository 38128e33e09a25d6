"""Uniform noise."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from perturb.core.settings import Value
from perturb.images.image import Image
from perturb.perturbations.fills.base import Backdrop, Fill, FillSpec


def _make(image: Image, settings: Mapping[str, Value], seed: int) -> Fill:  # noqa: ARG001 — one signature for all
    # One draw for the whole image: overlapping windows show the same noise, whatever the batch.
    return Backdrop(np.random.default_rng(seed).random(image.pixels.shape, dtype=np.float32))


NOISE = FillSpec(
    "noise", "Noise", "Uniform random colour in every pixel, seeded.", "Fong & Vedaldi 2017, sec. 4.2", _make
)
