"""SmoothGrad: the gradient averaged over noisy copies of the picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from perturb.core.settings import Setting, Value
from perturb.engine.autograd import in_batches
from perturb.methods.base import Outcome
from perturb.methods.gradient import CHANNELS, NOISE, PLAIN_CAPTIONS, Asked, Gradient, plain_maps, slope_unit


class SmoothGrad(Gradient):
    """The mean of ∂S/∂x at x + noise over many draws; then its size, as for saliency. The noisy pictures are not clipped.

    With one sample and no noise it is the gradient. The noise of a sample depends on the seed and its number alone.
    """

    name: ClassVar[str] = "smoothgrad"
    title: ClassVar[str] = "SmoothGrad"
    summary: ClassVar[str] = (
        "The gradient averaged over noisy copies of the picture: what stays is less speckled than one gradient alone."
    )
    citation: ClassVar[str] = "Smilkov et al. 2017, sec. 3"
    libraries: ClassVar[tuple[str, ...]] = ("captum",)
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "samples",
            "int",
            25,
            "Noisy pictures, one forward and one backward pass each. The paper finds little gain beyond 50.",
            low=1,
            high=1000,
            step=5,
        ),
        NOISE,
        CHANNELS,
    )
    captions: ClassVar[Mapping[str, str]] = PLAIN_CAPTIONS
    magnitudes: ClassVar[frozenset[str]] = frozenset({"score"})

    def passes(self, settings: Mapping[str, Value]) -> int:
        return 2 * int(settings["samples"])

    def attribute(self, asked: Asked) -> Outcome:
        samples = int(asked.settings["samples"])

        def run(size: int) -> Tensor:
            score, total = asked.score(samples), torch.zeros_like(asked.picture[0], dtype=torch.float64)
            for start in range(0, samples, size):
                noise = [asked.noise(asked.draw(index)) for index in range(start, min(start + size, samples))]
                total += asked.slopes(score, asked.picture + torch.stack(noise)).double().sum(0)
            return total / samples

        slope = in_batches(asked.segmenter, asked.batch, run)
        facts = {"draws": samples, **slope_unit(asked)}
        return Outcome(plain_maps(asked, slope), facts, passes=self.passes(asked.settings))
