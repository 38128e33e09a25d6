"""Gradient SHAP: integrated gradients at random positions on the path, with random noise and baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from perturb.core.settings import Setting, Value
from perturb.engine.autograd import in_batches
from perturb.methods.base import Outcome, Request
from perturb.methods.gradient import NOISE, GradientMethod, arrays, path_facts
from perturb.methods.integrated_gradients import BASELINE, PATH_CAPTIONS


class GradientShap(GradientMethod):
    """The mean over draws of (x' − b) · ∂S/∂x (b + α (x' − b)), with x' = x + noise and α uniform in [0, 1].

    The baseline b is the image with every pixel hidden by the fill; with the fill `noise` each draw has its own. The
    values add up to S(x) − E S(b). The fact `gap` is the difference that sampling error and noise leave. On a linear
    score without noise the values are w · (x − b), with any number of samples.
    """

    name: ClassVar[str] = "gradient-shap"
    title: ClassVar[str] = "Gradient SHAP"
    summary: ClassVar[str] = (
        "Attributes the rise of the score from a baseline to this image, using gradients at random positions on the path."
    )
    citation: ClassVar[str] = "Lundberg & Lee 2017; as expected gradients Erion et al. 2021, eq. 2"
    libraries: ClassVar[tuple[str, ...]] = ("captum",)
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "samples",
            "int",
            32,
            "Random positions on the path, one forward and one backward pass each. Four times as many halve the sampling "
            "error. Compare several seeds to see how large it is.",
            low=1,
            high=1000,
            step=4,
        ),
        replace(
            NOISE,
            default=0.05,
            help="Standard deviation of the normal noise added to the image, where black is 0 and white is 1. It smooths "
            "the map. At 0 only the positions on the path are random.",
        ),
        *BASELINE,
    )
    captions: ClassVar[Mapping[str, str]] = PATH_CAPTIONS

    def passes(self, settings: Mapping[str, Value]) -> int:
        samples = int(settings["samples"])
        return 2 * samples + (samples if settings["fill"] == "noise" else 1)

    def attribute(self, request: Request) -> Outcome:
        samples = int(request.settings["samples"])
        several = request.settings["fill"] == "noise"
        same = self.baseline(request, request.seed)

        def run(size: int) -> tuple[Tensor, float]:
            score = self.score(request, 2 * samples if several else samples + 1)
            total = torch.zeros_like(same[0]).double()
            starts: list[float] = []
            for begin in range(0, samples, size):
                indices = range(begin, min(begin + size, samples))
                draws = [self.generator(request, index) for index in indices]
                positions = torch.tensor([draw.random() for draw in draws], device=same.device).float()
                noisy = request.input + torch.stack([self.noise(request, draw) for draw in draws])
                base = same
                if several:
                    base = torch.cat([self.baseline(request, request.seed + index) for index in indices])
                if several or not starts:
                    with torch.no_grad():
                        starts += score(base).tolist()
                step = noisy - base
                at = base + positions.view(-1, 1, 1, 1) * step
                total += (step * self.gradients(request, score, at)).double().sum(0)
            return total / samples, sum(starts) / len(starts)

        values, start = in_batches(request.segmenter, request.batch, run)
        facts, notes = path_facts(
            request, start, float(values.sum()), "Take more samples, less noise, or another baseline."
        )
        return Outcome(arrays(score=values.sum(0)), {"draws": samples, **facts}, notes)
