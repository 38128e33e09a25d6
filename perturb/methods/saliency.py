"""Saliency: the gradient of the score with respect to the image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from perturb.core.settings import Setting
from perturb.methods.base import Outcome, Request
from perturb.methods.gradient import CHANNELS, PLAIN_CAPTIONS, GradientMethod, gradient_unit, plain_maps


class Saliency(GradientMethod):
    """|∂S/∂x|, reduced over the colour channels by `channels`; `signed` is Σ_c ∂S/∂x_c, `input` is Σ_c x_c ∂S/∂x_c.

    On a linear score S = Σ w·x the map is |w|, and `input` adds up to S. One forward and one backward pass.
    """

    name: ClassVar[str] = "saliency"
    title: ClassVar[str] = "Saliency"
    summary: ClassVar[str] = (
        "How strongly the score responds to a small change of each pixel: the magnitude of its gradient."
    )
    citation: ClassVar[str] = "Simonyan et al. 2014, sec. 3.1; gradient × input: Shrikumar et al. 2016"
    libraries: ClassVar[tuple[str, ...]] = ("captum",)
    settings: ClassVar[tuple[Setting, ...]] = (CHANNELS,)
    captions: ClassVar[Mapping[str, str]] = PLAIN_CAPTIONS
    magnitudes: ClassVar[frozenset[str]] = frozenset({"score"})

    def attribute(self, request: Request) -> Outcome:
        gradient = self.gradients(request, self.score(request, 1), request.input)[0]
        return Outcome(plain_maps(request, gradient), gradient_unit(request))
