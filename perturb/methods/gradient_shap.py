"""Gradient SHAP: integrated gradients with places on the way, noise and baselines drawn by chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from perturb.core.settings import Setting, Value
from perturb.engine.autograd import in_batches
from perturb.methods.base import Outcome
from perturb.methods.gradient import NOISE, Asked, Gradient, arrays, path_facts
from perturb.methods.integrated_gradients import BASELINE, PATH_CAPTIONS


class GradientShap(Gradient):
    """The mean over draws of (x' − b) · ∂S/∂x (b + α (x' − b)), with x' = x + noise and α uniform in [0, 1].

    b is the picture that the fill puts behind everything; with the fill `noise` every draw has its own. The values add up
    to S(x) − E S(b) but for chance and what the noise changes, the fact `gap`. On a linear score without noise they are
    w · (x − b), with any number of samples.
    """

    name: ClassVar[str] = "gradient-shap"
    title: ClassVar[str] = "Gradient SHAP"
    summary: ClassVar[str] = (
        "The rise of the score from a baseline to this picture, shared out by gradients at random places on the way."
    )
    citation: ClassVar[str] = "Lundberg & Lee 2017; as expected gradients Erion et al. 2021, eq. 2"
    libraries: ClassVar[tuple[str, ...]] = ("captum",)
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "samples",
            "int",
            32,
            "Random places, one forward and one backward pass each. Chance halves with four times as many; compare seeds.",
            low=1,
            high=1000,
            step=4,
        ),
        replace(
            NOISE,
            default=0.05,
            help="Standard deviation of the normal noise on the picture, on the scale from black 0 to white 1. It smooths "
            "the map; without it only the places on the way are drawn by chance.",
        ),
        *BASELINE,
    )
    captions: ClassVar[Mapping[str, str]] = PATH_CAPTIONS

    def passes(self, settings: Mapping[str, Value]) -> int:
        samples = int(settings["samples"])
        return 2 * samples + (samples if settings["fill"] == "noise" else 1)

    def attribute(self, asked: Asked) -> Outcome:
        samples = int(asked.settings["samples"])
        several = asked.settings["fill"] == "noise"
        same = asked.baseline(asked.seed)

        def run(size: int) -> tuple[Tensor, float]:
            score, total = asked.score(2 * samples if several else samples + 1), torch.zeros_like(same[0]).double()
            starts: list[float] = []
            for begin in range(0, samples, size):
                indices = range(begin, min(begin + size, samples))
                draws = [asked.draw(index) for index in indices]
                places = torch.tensor([draw.random() for draw in draws], device=same.device).float().view(-1, 1, 1, 1)
                noisy = asked.picture + torch.stack([asked.noise(draw) for draw in draws])
                base = torch.cat([asked.baseline(asked.seed + index) for index in indices]) if several else same
                if several or not starts:
                    with torch.no_grad():
                        starts += score(base).tolist()
                way = noisy - base
                total += (way * asked.slopes(score, base + places * way)).double().sum(0)
            return total / samples, sum(starts) / len(starts)

        values, start = in_batches(asked.segmenter, asked.batch, run)
        facts, notes = path_facts(
            asked, start, float(values.sum()), "Take more samples, less noise, or another baseline."
        )
        return Outcome(
            arrays(score=values.sum(0)), {"draws": samples, **facts}, notes, passes=self.passes(asked.settings)
        )
