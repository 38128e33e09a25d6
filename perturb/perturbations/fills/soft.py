"""A flat colour with a soft edge."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from perturb.core.settings import Value
from perturb.images.image import Image
from perturb.perturbations.fills.base import COLOUR, SIGMA, Fill, FillSpec, rgb_of


class SoftWindow(Fill):
    """A flat colour with a soft edge: its weight rises from the edge of the hole as one minus a Gaussian.

    A hidden pixel at a distance of d px from the nearest pixel that is not hidden has the weight 1 − exp(−d²/2σ²),
    divided by the largest such value of the mask. The soft edge lies *inside* the hole, so pixels outside do not change
    (a blurred mask would spread over them). The division hides the centre of the widest hole completely, whatever σ is.
    This fill is for windows and segments: scattered pixels are mostly edge, and only partly hidden. The image border is
    not an edge of the hole. The Euclidean distance is exact.

    Args:
        colour: RGB in [0, 1].
        sigma: standard deviation σ, px.
    """

    def __init__(self, colour: tuple[float, float, float], sigma: float) -> None:
        self._colour = torch.tensor(colour, dtype=torch.float32)[:, None, None]
        self._sigma = sigma

    def paint(self, image: Tensor, hidden: Tensor, first: int) -> Tensor:  # noqa: ARG002 — nothing is drawn
        holes = (hidden > 0).cpu().numpy()
        weight = torch.from_numpy(np.stack([self._weight(hole) for hole in holes])).to(image.device)
        shape = (len(hidden), *image.shape)
        colour = self._colour.to(image.device)
        return torch.lerp(image.expand(shape), colour.expand(shape), (weight * hidden)[:, None])

    def _weight(self, hole: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
        if hole.all():  # there is no edge
            return np.ones(hole.shape, dtype=np.float32)
        distance = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE).astype(np.float64)
        # OpenCV's distances differ in their last bits from call to call; a squared distance between pixels is a whole number.
        weight = -np.expm1(-np.rint(distance**2) / (2 * self._sigma**2))
        return np.asarray(weight / max(weight.max(), 1e-12), dtype=np.float32)


def _make(image: Image, settings: Mapping[str, Value], seed: int) -> Fill:  # noqa: ARG001 — one signature for all
    return SoftWindow(rgb_of(settings), float(settings["sigma"]))


SOFT = FillSpec(
    "soft",
    "Soft window",
    "A flat 'colour' that fades in from the edge of the hole over 'sigma' pixels, without a hard edge.",
    "Gipiškis & Kurasova 2023, Gaussian occluders; here with the soft edge inside the hole only",
    _make,
    (COLOUR, SIGMA),
)
