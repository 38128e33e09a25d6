"""Guided Grad-CAM: the guided gradient where Seg-Grad-CAM is positive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch

from perturb.core.settings import Setting, Value
from perturb.engine.autograd import finite, guide, trace
from perturb.images.image import Image
from perturb.methods.ablation_cam import LAYER, choose
from perturb.methods.base import Outcome
from perturb.methods.grad_cam import logit_note
from perturb.methods.gradient import CHANNELS, Asked, Gradient, arrays, magnitude
from perturb.methods.guided_backprop import GUIDED_CAPTIONS, guided_notes
from perturb.segmenters.base import Segmenter
from perturb.segmenters.layers import stretch
from perturb.targets.readings import Fact
from perturb.targets.target import Frozen


class GuidedGradCam(Gradient):
    """The guided gradient of the picture times ReLU(Σ α_k A_k) of a layer, stretched bilinearly; sizes as for saliency.

    One forward pass, one backward pass to the layer and one to the picture.
    """

    name: ClassVar[str] = "guided-grad-cam"
    title: ClassVar[str] = "Guided Grad-CAM"
    summary: ClassVar[str] = "Guided backpropagation, shown only where Seg-Grad-CAM speaks for the class."
    citation: ClassVar[str] = "Selvaraju et al. 2017, sec. 3.2"
    needs: ClassVar[tuple[str, ...]] = ("gradients", "layers")
    settings: ClassVar[tuple[Setting, ...]] = (LAYER, CHANNELS)
    captions: ClassVar[Mapping[str, str]] = GUIDED_CAPTIONS | {
        "score": "The size of the guided gradient, times Seg-Grad-CAM where that is positive. Bright pixels are edges in what "
        "speaks for the class.",
    }
    magnitudes: ClassVar[frozenset[str]] = frozenset({"score"})

    def passes(self, settings: Mapping[str, Value]) -> int:  # noqa: ARG002 — whatever they are
        return 3

    def forwards(self, image: Image, segmenter: Segmenter, frozen: Frozen, settings: Mapping[str, Value]) -> int:
        choose(segmenter, image, str(settings["layer"]))
        return super().forwards(image, segmenter, frozen, settings)

    def attribute(self, asked: Asked) -> Outcome:
        name = choose(asked.segmenter, asked.image, str(asked.settings["layer"]))
        traced = trace(asked.score(1), asked.segmenter, asked.image, name)
        assert traced.activation is not None
        # The plain slope first: what is guided stays guided.
        steep = finite(traced.slope(traced.activation, keep=True), asked.segmenter)[0].double()
        activation = traced.activation[0].detach().double()
        guided = guide(traced.score, asked.segmenter)
        slope = finite(traced.slope(traced.picture), asked.segmenter)[0].double()
        cells = torch.einsum("k,kyx->yx", steep.mean((1, 2)), activation).relu()
        product = slope * stretch(asked.segmenter, cells, asked.image.height, asked.image.width)
        facts: dict[str, Fact] = {
            "layer": name,
            "channels": len(activation),
            "relus": guided.relus,
            "unit": f"slope of the {asked.frozen.target.score} × Seg-Grad-CAM",
        }
        return Outcome(
            arrays(score=magnitude(product, str(asked.settings["channels"])), signed=product.sum(0)),
            facts,
            (*logit_note(asked, traced, steep, name), *guided_notes(guided)),
            passes=self.passes(asked.settings),
        )
