"""The mean colour of the hidden pixels."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from perturb.core.settings import Value
from perturb.images.image import Image
from perturb.perturbations.fills.base import Fill, FillSpec, Patch


class WindowMean(Patch):
    """The mean colour of a mask's hidden pixels in the clean image, weighted by how far each is hidden."""

    def patch(self, image: Tensor, hidden: Tensor, first: int) -> Tensor:  # noqa: ARG002 — nothing is drawn
        pixels = image.double()
        # One mask at a time: a batched product would sum in another order for another batch size.
        means = [(pixels * mask).sum((1, 2)) / mask.double().sum().clamp(min=1e-12) for mask in hidden]
        return torch.stack(means).float()[..., None, None].expand(-1, -1, *image.shape[1:])


def _make(image: Image, settings: Mapping[str, Value], seed: int) -> Fill:  # noqa: ARG001 — one signature for all
    return WindowMean()


WINDOW_MEAN = FillSpec(
    "window-mean",
    "Window mean",
    "The mean colour of the hidden pixels themselves: removes their detail and keeps their colour.",
    "Ribeiro et al. 2016, the default of the lime package for images",
    _make,
)
