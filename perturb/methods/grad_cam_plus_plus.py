"""Grad-CAM++: Seg-Grad-CAM with a weight for each cell of a channel, and only positive gradients."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from perturb.methods.grad_cam import GradCam


class GradCamPlusPlus(GradCam):
    """w_k = Σ_cells α_k · ReLU(∂S/∂A_k), with α = g² / (2 g² + g³ Σ_cells A_k) and g = ∂S/∂A_k; the map is Σ w_k A_k.

    This is eq. 19 of the paper for Y = exp(S), whose derivatives in a piecewise linear network are exp(S) g, exp(S) g²
    and exp(S) g³. The factor exp(S) is the same for all channels and is left out. Where g = 0, α has no effect and is set
    to 0. Unlike in Seg-Grad-CAM, the shape of the map depends on the scale of the score: logit and probability differ.
    """

    name: ClassVar[str] = "grad-cam-plus-plus"
    title: ClassVar[str] = "Grad-CAM++"
    summary: ClassVar[str] = (
        "Seg-Grad-CAM with only the positive gradients, weighted cell by cell: meant for several objects of one class."
    )
    citation: ClassVar[str] = "Chattopadhay et al. 2018, sec. 3.2, eq. 10 and 19"

    def weights(self, activation: Tensor, gradient: Tensor) -> Tensor:
        denominator = 2 * gradient**2 + gradient**3 * activation.sum((1, 2), keepdim=True)
        alpha = torch.where(denominator != 0, gradient**2 / torch.where(denominator == 0, 1.0, denominator), 0.0)
        return (alpha * gradient.relu()).sum((1, 2))
