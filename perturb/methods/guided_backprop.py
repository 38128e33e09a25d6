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
    "score": "The size of the guided gradient. Bright pixels are edges that the network answers to; whether they help or "
    "hinder, this cannot say.",
    "signed": "The same with its sign, the colour channels added up. Red: a brighter pixel raises the score by this path; "
    "blue: it lowers it.",
}


class GuidedBackprop(GradientMethod):
    """∂S/∂x with each ReLU passing back only what is positive and came from a positive input; sizes as for saliency.

    ReLUs are found in the recorded graph of the pass, so it does not matter whether they are modules, functions, in place
    or used several times. Other activation functions pass the gradient as it is, and a note says so; a compiled or
    scripted network is refused.
    """

    name: ClassVar[str] = "guided-backprop"
    title: ClassVar[str] = "Guided backpropagation"
    summary: ClassVar[str] = (
        "The gradient with everything negative dropped at each ReLU on the way back: sharp, and close to an edge detector."
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
    """What a reader of a guided map should know."""
    notes = []
    if not guided.relus:
        notes.append("The network has no ReLU, so there was nothing to guide: the gradient is the plain one.")
    if guided.others:
        kinds = ", ".join(f"{count} × {name}" for name, count in guided.others.items())
        notes.append(f"Only ReLUs are guided. The gradient passes other activation functions as it is: {kinds}.")
    if guided.parts:
        notes.append(
            f"The network changes parts of tensors in place ({guided.parts} times); a ReLU among these would not be guided."
        )
    return (*notes, EDGES)
