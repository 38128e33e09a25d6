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
    "Standard deviation of the noise on imputed pixels, on the scale from black 0 to white 1. Without noise the "
    "surface is so smooth that it reveals the shape of the hole.",
    low=0,
    high=0.5,
    step=0.01,
)


class Linear(Patch):
    """Noisy linear imputation: `perturb.perturbations.fills.imputation`, then Gaussian noise on the hidden pixels.

    The result is clipped to [0, 1]. The imputed values are bit for bit independent of the hidden values, and on a CPU
    of the batch. On an accelerator they depend on the batch by no more than 1e-4.

    Args:
        noise: standard deviation, in the image's units.
        seed: the noise of a mask depends only on the seed and the mask's index.
    """

    def __init__(self, noise: float, seed: int) -> None:
        self._noise = noise
        self._seed = seed

    def patch(self, image: Tensor, hidden: Tensor, first: int) -> Tensor:
        smooth = impute(image, hidden > 0)
        if self._noise == 0:
            return smooth
        for row, surface in enumerate(smooth):
            draw = np.random.default_rng((self._seed, first + row)).standard_normal(
                tuple(surface.shape), dtype=np.float32
            )
            surface.add_(torch.from_numpy(draw).to(surface.device), alpha=self._noise)
        return smooth.clamp_(0, 1)


def _make(image: Image, settings: Mapping[str, Value], seed: int) -> Fill:  # noqa: ARG001 — one signature for all
    return Linear(float(settings["noise"]), seed)


LINEAR = FillSpec(
    "linear",
    "Linear imputation",
    "A smooth surface from the boundary of the hole, with a little 'noise': hardly reveals the shape of the hole.",
    "Rong et al. 2022 (ROAD), sec. 4",
    _make,
    (NOISE,),
)
