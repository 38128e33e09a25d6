"""Guided Grad-CAM: the guided gradient times the positive part of Seg-Grad-CAM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch

from perturb.core.settings import Setting, Value
from perturb.engine.autograd import finite, trace
from perturb.engine.guided import guide
from perturb.methods.ablation_cam import LAYER, layer_of
from perturb.methods.base import Outcome, Request
from perturb.methods.grad_cam import logit_note
from perturb.methods.gradient import CHANNELS, GradientMethod, arrays, magnitude
from perturb.methods.guided_backprop import GUIDED_CAPTIONS, guided_notes
from perturb.segmenters.layers import stretch
from perturb.targets.readings import Fact


class GuidedGradCam(GradientMethod):
    """The guided gradient of the image times ReLU(Σ α_k A_k) of a layer, resized bilinearly; magnitude as for saliency.

    One forward pass, one backward pass to the layer and one to the image.
    """

    name: ClassVar[str] = "guided-grad-cam"
    title: ClassVar[str] = "Guided Grad-CAM"
    summary: ClassVar[str] = "Guided backpropagation, shown only where Seg-Grad-CAM supports the class."
    citation: ClassVar[str] = "Selvaraju et al. 2017, sec. 3.2"
    needs: ClassVar[tuple[str, ...]] = ("gradients", "layers")
    settings: ClassVar[tuple[Setting, ...]] = (LAYER, CHANNELS)
    captions: ClassVar[Mapping[str, str]] = GUIDED_CAPTIONS | {
        "score": "The magnitude of the guided gradient times Seg-Grad-CAM where that is positive. Bright pixels are edges in "
        "the parts that support the class.",
    }
    magnitudes: ClassVar[frozenset[str]] = frozenset({"score"})

    def passes(self, settings: Mapping[str, Value]) -> int:  # noqa: ARG002 — the same for all settings
        return 3

    def attribute(self, request: Request) -> Outcome:
        name = layer_of(request)
        traced = trace(self.score(request, 1), request.segmenter, request.image, name)
        assert traced.activation is not None
        # The plain gradient comes first, since `guide` modifies the graph.
        of_layer = finite(traced.gradient(traced.activation, keep=True), request.segmenter)[0].double()
        activation = traced.activation[0].detach().double()
        guided = guide(traced.score, request.segmenter)
        gradient = finite(traced.gradient(traced.image), request.segmenter)[0].double()
        cells = torch.einsum("k,kyx->yx", of_layer.mean((1, 2)), activation).relu()
        product = gradient * stretch(request.segmenter, cells, request.image.height, request.image.width)
        facts: dict[str, Fact] = {
            "layer": name,
            "channels": len(activation),
            "relus": guided.relus,
            "unit": f"slope of the {request.frozen.target.score} × Seg-Grad-CAM",
        }
        return Outcome(
            arrays(score=magnitude(product, str(request.settings["channels"])), signed=product.sum(0)),
            facts,
            (*logit_note(request, traced, of_layer, name), *guided_notes(guided)),
        )
