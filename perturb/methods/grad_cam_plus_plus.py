"""Grad-CAM++: as Seg-Grad-CAM, with a weight for each cell of a channel and nothing negative in them."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from perturb.methods.grad_cam import GradCam

HALF = 0.01
"""All weights of cells within this much of ½ are called ½."""


class GradCamPlusPlus(GradCam):
    """w_k = Σ_cells α_k · ReLU(∂S/∂A_k), with α = g² / (2 g² + Σ_cells A_k · g³) and g = ∂S/∂A; the map is Σ w_k A_k.

    That is eq. 19 of the paper for Y = exp(S), whose derivatives in a network of piecewise linear parts are exp(S) g,
    exp(S) g² and exp(S) g³. The factor exp(S), the same for all channels, is left out. Where g = 0, α counts for nothing
    and is 0.

    Unlike Grad-CAM's, its weights depend on how the score is scaled: with a mean over a large region g is small, α is
    close to ½ everywhere, and the map is that of ReLU(g) alone. A note says so where it is the case.
    """

    name: ClassVar[str] = "grad-cam-plus-plus"
    title: ClassVar[str] = "Grad-CAM++"
    summary: ClassVar[str] = (
        "As Seg-Grad-CAM, but only what raises the score counts, cell by cell: made for several objects of one class."
    )
    citation: ClassVar[str] = "Chattopadhay et al. 2018, sec. 3.2, eq. 10 and 19"

    def weights(self, activation: Tensor, slope: Tensor) -> Tensor:
        return (_alpha(activation, slope) * slope.relu()).sum((1, 2))

    def notes(self, activation: Tensor, slope: Tensor) -> tuple[str, ...]:
        alpha = _alpha(activation, slope)[slope != 0]
        if not len(alpha) or float((alpha - 0.5).abs().max()) > HALF:
            return ()
        return (
            f"Grad-CAM++ weighs the cells by their curvature, and here all these weights are ½ to within {HALF:g}, since the "
            "mean over many pixels has small slopes: the map is Seg-Grad-CAM's with the negative slopes left out.",
        )


def _alpha(activation: Tensor, slope: Tensor) -> Tensor:
    below = 2 * slope**2 + (activation * slope**3).sum((1, 2), keepdim=True)
    return torch.where((slope != 0) & (below != 0), slope**2 / torch.where(below == 0, 1.0, below), 0.0)
