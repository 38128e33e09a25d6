"""Guided backpropagation: the gradient, with negative values set to zero at every ReLU on the backward pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from perturb.core.settings import Setting
from perturb.engine.autograd import finite, trace
from perturb.engine.guided import Guided, guide
from perturb.methods.base import Outcome, Request
from perturb.methods.gradient import CHANNELS, GradientMethod, arrays, gradient_unit, magnitude

EDGES = (
    "Guided maps act much like edge detectors: they hardly change when the network's weights are drawn anew (Adebayo et al. "
    "2018). A sharp edge is no evidence that the network uses it; try the sanity check of the Faithfulness page."
)
GUIDED_CAPTIONS = {
    "score": "The magnitude of the guided gradient. Bright pixels are edges that the network responds to. The map does not "
    "show whether they raise or lower the score.",
    "signed": "The guided gradient with its sign, summed over the colour channels. Red: making the pixel brighter raises the "
    "score along this path; blue: it lowers it.",
}


class GuidedBackprop(GradientMethod):
    """∂S/∂x, where each ReLU passes back only positive gradients at positive inputs; magnitudes as for saliency.

    ReLUs are detected in the recorded autograd graph, so they may be modules or functions, in place, or used several
    times. Other activation functions pass the gradient unchanged, and a note says so. A compiled or scripted network
    raises a `SegmenterError`.
    """

    name: ClassVar[str] = "guided-backprop"
    title: ClassVar[str] = "Guided backpropagation"
    summary: ClassVar[str] = (
        "The gradient with negative values set to zero at each ReLU on the backward pass: sharp, much like an edge detector."
    )
    citation: ClassVar[str] = "Springenberg et al. 2015, sec. 3.4; as a warning Adebayo et al. 2018"
    settings: ClassVar[tuple[Setting, ...]] = (CHANNELS,)
    captions: ClassVar[Mapping[str, str]] = GUIDED_CAPTIONS
    magnitudes: ClassVar[frozenset[str]] = frozenset({"score"})

    def attribute(self, request: Request) -> Outcome:
        traced = trace(self.score(request, 1), request.segmenter, request.image)
        guided = guide(traced.score, request.segmenter)
        gradient = finite(traced.gradient(traced.image), request.segmenter)[0]
        return Outcome(
            arrays(score=magnitude(gradient, str(request.settings["channels"])), signed=gradient.sum(0)),
            {"relus": guided.relus, **gradient_unit(request)},
            guided_notes(guided),
        )


def guided_notes(guided: Guided) -> tuple[str, ...]:
    """Notes for the reader of a guided map."""
    notes = []
    if not guided.relus:
        notes.append("The network has no ReLU, so guided backpropagation equals the plain gradient.")
    if guided.others:
        kinds = ", ".join(f"{count} × {name}" for name, count in guided.others.items())
        notes.append(f"Only ReLUs are guided. The gradient passes other activation functions unchanged: {kinds}.")
    if guided.parts:
        notes.append(
            f"The network modifies parts of tensors in place ({guided.parts} times); a ReLU among these is not guided."
        )
    return (*notes, EDGES)
