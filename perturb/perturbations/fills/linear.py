"""Noisy linear imputation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from perturb.core.settings import Setting, Value
from perturb.images.image import Image
from perturb.perturbations.fills.base import Fill, FillSpec, Patch
from perturb.perturbations.fills.imputation import impute

NOISE = Setting(
    "noise",
    "float",
    0.01,
    "Standard deviation of the noise on imputed pixels, on the scale from black 0 to white 1. Without it the "
    "surface is so smooth that it tells where the hole is.",
    low=0,
    high=0.5,
    step=0.01,
)


class Linear(Patch):
    """Noisy linear imputation: see `perturb.perturbations.fills.imputation`; then normal noise on the hidden pixels, clipped to [0, 1].

    The imputed values do not depend on what the hidden pixels were, and on a processor they do not depend on the
    batch either, to the last bit; elsewhere they do by no more than 1e-4.

    Args:
        noise: standard deviation, in units of the picture.
        seed: the noise of a mask depends on it and on the mask's index alone.
    """

    def __init__(self, noise: float, seed: int) -> None:
        self._noise = noise
        self._seed = seed

    def patch(self, picture: Tensor, hidden: Tensor, first: int) -> Tensor:
        smooth = impute(picture, hidden > 0)
        if self._noise == 0:
            return smooth
        for row, image in enumerate(smooth):
            draw = np.random.default_rng((self._seed, first + row)).standard_normal(
                tuple(image.shape), dtype=np.float32
            )
            image.add_(torch.from_numpy(draw).to(image.device), alpha=self._noise)
        return smooth.clamp_(0, 1)


def _make(image: Image, settings: Mapping[str, Value], seed: int) -> Fill:  # noqa: ARG001 — one signature for all
    return Linear(float(settings["noise"]), seed)


LINEAR = FillSpec(
    "linear",
    "Linear imputation",
    "A smooth surface from the rim of the hole, and a little 'noise': hardly tells the shape of the hole.",
    "Rong et al. 2022 (ROAD), sec. 4",
    _make,
    (NOISE,),
)
