"""Integrated gradients: the score's rise from a baseline to the image, attributed along the straight path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from perturb.core.settings import Setting, Value
from perturb.engine.autograd import finite, in_batches
from perturb.methods.base import Outcome, Request
from perturb.methods.gradient import GradientMethod, arrays, path_facts
from perturb.perturbations.fills.registry import FILL_SETTINGS

BASELINE = tuple(
    replace(
        setting,
        help="The baseline, the image that the path starts from: every pixel hidden by this fill. Pixels that equal the "
        "baseline are attributed 0.",
    )
    if setting.name == "fill"
    else setting
    for setting in FILL_SETTINGS
)
PATH_CAPTIONS = {
    "score": "How much each pixel adds to the score on the path from the baseline to the image, summed over the colour "
    "channels. Red raises the score, blue lowers it; the values add up to the whole rise.",
}


class IntegratedGradients(GradientMethod):
    """(x − b) · ∫ ∂S/∂x (b + α (x − b)) dα over α in [0, 1], by Gauss-Legendre quadrature; signed sum over the channels.

    The baseline b is the image with every pixel hidden by the fill. The values add up to S(x) − S(b) (completeness,
    proposition 1). The fact `gap` is the error of the quadrature. On a linear score the values are w · (x − b), with any
    number of steps.
    """

    name: ClassVar[str] = "integrated-gradients"
    title: ClassVar[str] = "Integrated gradients"
    summary: ClassVar[str] = (
        "Attributes the rise of the score from a baseline image to this one, using the gradients along the path."
    )
    citation: ClassVar[str] = "Sundararajan et al. 2017, sec. 3"
    libraries: ClassVar[tuple[str, ...]] = ("captum",)
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "steps",
            "int",
            32,
            "Positions on the path at which the gradient is computed, one forward and one backward pass each. A large "
            "reported gap means too few. The paper uses 20 to 300.",
            low=1,
            high=1000,
            step=4,
        ),
        *BASELINE,
    )
    captions: ClassVar[Mapping[str, str]] = PATH_CAPTIONS

    def passes(self, settings: Mapping[str, Value]) -> int:
        return 2 * int(settings["steps"]) + 1

    def attribute(self, request: Request) -> Outcome:
        from captum.attr import IntegratedGradients as Captum  # takes a second to import

        steps, baseline = int(request.settings["steps"]), self.baseline(request, request.seed)
        with torch.no_grad():
            start = float(self.score(request, 1)(baseline)[0])

        def run(size: int) -> Tensor:
            integrator = Captum(self.score(request, steps))
            values: Tensor = integrator.attribute(request.input, baseline, n_steps=steps, internal_batch_size=size)
            return values

        values = finite(in_batches(request.segmenter, request.batch, run), request.segmenter)[0]
        remedy = "Take more steps, or another baseline."
        facts, notes = path_facts(request, start, float(values.double().sum()), remedy)
        return Outcome(arrays(score=values.sum(0)), {"steps": steps, **facts}, notes)
