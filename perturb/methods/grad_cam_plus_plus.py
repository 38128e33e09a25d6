"""Grad-CAM++: as Seg-Grad-CAM, with a weight for each cell of a channel and nothing negative in them."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from perturb.methods.grad_cam import GradCam


class GradCamPlusPlus(GradCam):
    """w_k = Σ_cells α_k · ReLU(∂S/∂A_k), with α = g² / (2 g² + g³ Σ_cells A_k) and g = ∂S/∂A_k; the map is Σ w_k A_k.

    That is eq. 19 of the paper for Y = exp(S), whose derivatives in a network of piecewise linear parts are exp(S) g,
    exp(S) g² and exp(S) g³. The factor exp(S), the same for all channels, is left out. Where g = 0, α counts for nothing
    and is 0. Unlike Seg-Grad-CAM's, the map's shape depends on the scale of the score: logit and probability differ.
    """

    name: ClassVar[str] = "grad-cam-plus-plus"
    title: ClassVar[str] = "Grad-CAM++"
    summary: ClassVar[str] = (
        "As Seg-Grad-CAM, but only what raises the score counts, cell by cell: made for several objects of one class."
    )
    citation: ClassVar[str] = "Chattopadhay et al. 2018, sec. 3.2, eq. 10 and 19"

    def weights(self, activation: Tensor, gradient: Tensor) -> Tensor:
        below = 2 * gradient**2 + gradient**3 * activation.sum((1, 2), keepdim=True)
        alpha = torch.where(below != 0, gradient**2 / torch.where(below == 0, 1.0, below), 0.0)
        return (alpha * gradient.relu()).sum((1, 2))
