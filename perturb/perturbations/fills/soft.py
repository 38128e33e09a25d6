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
    """A flat colour whose edge is soft: its weight rises from the rim of the hole like an upturned Gaussian.

    A hidden pixel d px from the nearest pixel that is not hidden gets 1 − exp(−d²/2σ²), divided by the mask's largest
    such value. The soft edge lies *inside* the hole, so that pixels outside it stay as they are (a blurred mask would
    leak over them); the division hides the core of the widest hole wholly, whatever σ is. Made for windows and
    segments: of scattered pixels most are rim, and only partly hidden. The picture's border is no rim: nothing shows
    behind it. The distance is exact.

    Args:
        colour: RGB in [0, 1].
        sigma: of the Gaussian, px.
    """

    def __init__(self, colour: tuple[float, float, float], sigma: float) -> None:
        self._colour = torch.tensor(colour, dtype=torch.float32)[:, None, None]
        self._sigma = sigma

    def paint(self, picture: Tensor, hidden: Tensor, first: int) -> Tensor:  # noqa: ARG002 — nothing is drawn
        holes = (hidden > 0).cpu().numpy()
        weight = torch.from_numpy(np.stack([self._weight(hole) for hole in holes])).to(picture.device)
        shape = (len(hidden), *picture.shape)
        colour = self._colour.to(picture.device)
        return torch.lerp(picture.expand(shape), colour.expand(shape), (weight * hidden)[:, None])

    def _weight(self, hole: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
        if hole.all():  # no rim to be near to
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
    "A flat 'colour' that fades in from the rim of the hole over 'sigma' pixels: no hard edge to be seen.",
    "Gipiškis & Kurasova 2023, Gaussian occluders; here with the soft edge inside the hole only",
    _make,
    (COLOUR, SIGMA),
)
