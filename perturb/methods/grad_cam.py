"""Seg-Grad-CAM: the channels of a layer, weighted by the gradient of the score and summed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from perturb.core.settings import Setting
from perturb.engine.autograd import Traced, finite, trace
from perturb.methods.ablation_cam import LAYER, layer_of
from perturb.methods.base import Outcome, Request
from perturb.methods.gradient import GradientMethod, arrays
from perturb.segmenters.layers import stretch
from perturb.targets.readings import Fact


class GradCam(GradientMethod):
    """α_k = mean over the cells of ∂S/∂A_k; the map is Σ α_k A_k, resized to the image.

    `score` is that sum with its sign; `positive` is ReLU(Σ α_k A_k), the map of the paper. Both are resized bilinearly.
    They are in units of the activation A times the gradient of the score with respect to it. S is the mean over the
    region, as in all methods here. The paper uses the sum, which multiplies the map by the number of pixels of the region.
    """

    name: ClassVar[str] = "grad-cam"
    title: ClassVar[str] = "Seg-Grad-CAM"
    summary: ClassVar[str] = (
        "The channels of a layer, summed with the gradient of the score as their weights: where the layer supports the class."
    )
    citation: ClassVar[str] = "Vinogradova et al. 2020 (Seg-Grad-CAM), eq. 2; for classifiers Selvaraju et al. 2017"
    needs: ClassVar[tuple[str, ...]] = ("gradients", "layers")
    settings: ClassVar[tuple[Setting, ...]] = (LAYER,)
    captions: ClassVar[Mapping[str, str]] = {
        "score": "The channels of the layer, summed with the gradient of the score as their weights. Red: the activations here "
        "support the class; blue: they count against it.",
        "positive": "Only the support for the class, as in the paper: the same sum where it is above zero.",
    }

    def weights(self, activation: Tensor, gradient: Tensor) -> Tensor:  # noqa: ARG002 — for methods that weight cells
        """The weight of each channel, float64 `(C,)`.

        Args:
            activation: A, float64 `(C, h, w)`.
            gradient: ∂S/∂A, of the same shape.
        """
        return gradient.mean((1, 2))

    def attribute(self, request: Request) -> Outcome:
        name = layer_of(request)
        traced = trace(self.score(request, 1), request.segmenter, request.image, name)
        assert traced.activation is not None
        gradient = finite(traced.gradient(traced.activation), request.segmenter)[0].double()
        activation = traced.activation[0].detach().double()
        total = torch.einsum("k,kyx->yx", self.weights(activation, gradient), activation)
        facts: dict[str, Fact] = {
            "layer": name,
            "channels": len(activation),
            "unit": f"activation × slope of the {request.frozen.target.score}",
        }
        return Outcome(
            arrays(
                score=stretch(request.segmenter, total, request.image.height, request.image.width),
                positive=stretch(request.segmenter, total.relu(), request.image.height, request.image.width),
            ),
            facts,
            logit_note(request, traced, gradient, name),
        )


def logit_note(request: Request, traced: Traced, gradient: Tensor, name: str) -> tuple[str, ...]:
    """A note if the layer's output is the logits themselves, so that the map only repeats the score map of the class.

    This holds if the layer has as many channels as there are classes, and either the score depends on the channel of the
    class alone, or that channel, resized to the image, equals the logit of the class.
    """
    assert traced.activation is not None
    index, own = request.frozen.index, traced.activation[0].detach()
    if len(own) != len(request.segmenter.classes):
        return ()
    others = gradient.abs().amax((1, 2))
    alone = bool(others[index] > 0) and int((others > 0).sum()) == 1
    logit = traced.logits[0, index].detach()
    off = (stretch(request.segmenter, own[index], request.image.height, request.image.width) - logit).abs().max()
    if not alone and float(off) > 0.01 * float(logit.max() - logit.min()):
        return ()
    what = (
        f"the score map of '{request.frozen.name}' again, scaled" if alone else "the classes' score maps again, mixed"
    )
    return (
        f"The output of layer '{name}' is the logits themselves, so its channels add up to {what}, and do not show where the "
        "logits come from. Choose an earlier layer.",
    )
