"""Telea inpainting."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from perturb.core.settings import Setting, Value
from perturb.images.image import Image
from perturb.perturbations.fills.base import Fill, FillSpec, Patch

RADIUS = Setting(
    "radius",
    "int",
    3,
    "Radius of the neighbourhood from which a pixel is inpainted. Larger is smoother; the time grows with its square.",
    low=1,
    high=20,
    unit="px",
)


class Telea(Patch):
    """Telea's fast marching method, by OpenCV. It works on 256 grey levels, so values are rounded by up to half a
    level.

    A mask that hides everything gives the mean colour of the clean image.

    Args:
        radius: radius of the neighbourhood from which a pixel is inpainted, px.
    """

    def __init__(self, radius: float) -> None:
        self._radius = radius

    def patch(self, image: Tensor, hidden: Tensor, first: int) -> Tensor:  # noqa: ARG002 — nothing is drawn
        clean = image.permute(1, 2, 0).cpu().numpy()
        levels = np.ascontiguousarray(np.rint(clean * 255).astype(np.uint8))
        holes = (hidden > 0).cpu().numpy()
        painted = np.stack([self._inpaint(clean, levels, hole) for hole in holes])
        return torch.from_numpy(painted).permute(0, 3, 1, 2).to(image.device)

    def _inpaint(
        self, clean: npt.NDArray[np.float32], levels: npt.NDArray[np.uint8], hole: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float32]:
        if hole.all():
            return np.broadcast_to(clean.mean((0, 1), dtype=np.float64), clean.shape).astype(np.float32)
        painted = cv2.inpaint(levels, hole.astype(np.uint8), self._radius, cv2.INPAINT_TELEA)
        return np.asarray(painted / np.float32(255), dtype=np.float32)


def _make(image: Image, settings: Mapping[str, Value], seed: int) -> Fill:  # noqa: ARG001 — one signature for all
    return Telea(float(settings["radius"]))


TELEA = FillSpec(
    "telea",
    "Telea inpainting",
    "Continues the image into the hole, from up to 'radius' pixels away, on 256 grey levels.",
    "Telea 2004, as in OpenCV",
    _make,
    (RADIUS,),
)
