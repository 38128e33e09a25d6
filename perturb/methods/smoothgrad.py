"""SmoothGrad: the gradient averaged over noisy copies of the image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from perturb.core.settings import Setting, Value
from perturb.engine.autograd import in_batches
from perturb.methods.base import Outcome, Request
from perturb.methods.gradient import CHANNELS, NOISE, PLAIN_CAPTIONS, GradientMethod, gradient_unit, plain_maps


class SmoothGrad(GradientMethod):
    """The mean of ∂S/∂x at x + noise over many draws, then its magnitude as for saliency. Noisy images are not clipped.

    With one sample and no noise it is the gradient. The noise of a sample depends only on the seed and its index.
    """

    name: ClassVar[str] = "smoothgrad"
    title: ClassVar[str] = "SmoothGrad"
    summary: ClassVar[str] = (
        "The gradient averaged over noisy copies of the image, which is less noisy than a single gradient."
    )
    citation: ClassVar[str] = "Smilkov et al. 2017, sec. 3"
    libraries: ClassVar[tuple[str, ...]] = ("captum",)
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting(
            "samples",
            "int",
            25,
            "Noisy images, one forward and one backward pass each. The paper reports little gain beyond 50.",
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

    def attribute(self, request: Request) -> Outcome:
        samples = int(request.settings["samples"])

        def run(size: int) -> Tensor:
            score, total = self.score(request, samples), torch.zeros_like(request.input[0], dtype=torch.float64)
            for start in range(0, samples, size):
                draws = [self.generator(request, index) for index in range(start, min(start + size, samples))]
                noisy = request.input + torch.stack([self.noise(request, draw) for draw in draws])
                total += self.gradients(request, score, noisy).double().sum(0)
            return total / samples

        gradient = in_batches(request.segmenter, request.batch, run)
        facts = {"draws": samples, **gradient_unit(request)}
        return Outcome(plain_maps(request, gradient), facts)
