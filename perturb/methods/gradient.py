"""The base class of methods that use gradients of the score, and what they share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from perturb.core.settings import Setting, Value
from perturb.engine.autograd import Score, differentiable, finite, require
from perturb.methods.ablation_cam import LAYER, layer_of
from perturb.methods.base import Maps, Method, Outcome, Request
from perturb.perturbations.fills.registry import make_fill
from perturb.targets.readings import Fact, Readings

CHANNELS = Setting(
    "channels",
    "choice",
    "max",
    "How the gradients of red, green and blue become one value per pixel: the largest magnitude, the sum of the magnitudes, "
    "or the Euclidean norm.",
    choices=(("max", "Largest"), ("sum", "Sum"), ("length", "Length")),
)
NOISE = Setting(
    "noise_level",
    "float",
    0.15,
    "Standard deviation of the normal noise added to the image, where black is 0 and white is 1. The paper uses 0.1 to 0.2.",
    low=0,
    high=1,
    step=0.01,
)


class GradientMethod(Method):
    """A method that uses gradients of the score and perturbs nothing, so its results have no readings.

    S is the same score as for other methods. An IoU has no gradient and raises an error. A backward pass counts as one
    pass.
    """

    needs: ClassVar[tuple[str, ...]] = ("gradients",)

    def passes(self, settings: Mapping[str, Value]) -> int:  # noqa: ARG002 — for methods of several images
        """Number of forward and backward passes of one image that a run takes: by default one of each."""
        return 2

    @abstractmethod
    def attribute(self, request: Request) -> Outcome:
        """Compute the maps; called in a context in which gradients are enabled."""

    def forwards(self, request: Request) -> int:
        if LAYER in self.settings:
            layer_of(request)
        require(request.frozen)
        return self.passes(request.settings)

    def run(self, request: Request) -> tuple[Readings, Outcome]:
        with differentiable(request.segmenter):
            outcome = replace(self.attribute(request), passes=self.passes(request.settings))
        if request.progress is not None:
            request.progress(1.0)
        return Readings.none(), outcome

    def score(self, request: Request, total: int) -> Score:
        """S as a differentiable function, for a run that computes its gradient at `total` images."""
        return Score(request.segmenter, request.frozen, total=total, progress=request.progress)

    def gradients(self, request: Request, score: Score, images: Tensor) -> Tensor:
        """∂S/∂x at each of N images, `(N, 3, H, W)`."""
        from captum.attr import Saliency  # the import takes a second, and most runs do not need it

        return finite(Saliency(score).attribute(images.requires_grad_(), abs=False), request.segmenter)

    def generator(self, request: Request, index: int) -> np.random.Generator:
        """The random generator for one image of a run: it depends on the seed and the index, not on the batch size."""
        return np.random.default_rng((request.seed, index))

    def noise(self, request: Request, draw: np.random.Generator) -> Tensor:
        """Normal noise with the standard deviation of the settings, float32 `(3, H, W)`."""
        values = draw.standard_normal((3, request.image.height, request.image.width), dtype=np.float32)
        return torch.from_numpy(values).to(request.segmenter.device) * float(request.settings["noise_level"])

    def baseline(self, request: Request, seed: int) -> Tensor:
        """The image that a path starts from, `(1, 3, H, W)`: every pixel hidden by the fill."""
        clean = request.input
        everything = torch.ones((1, *clean.shape[2:]), dtype=torch.bool, device=clean.device)
        return make_fill(request.image, request.settings, seed).paint(clean[0], everything, 0).clone()


def arrays(**maps: Tensor) -> Maps:
    """Maps by name as float32 arrays `(H, W)`."""
    return {name: values.detach().float().cpu().numpy() for name, values in maps.items()}


def magnitude(gradient: Tensor, channels: str) -> Tensor:
    """The magnitude of a gradient, from `(3, H, W)` to `(H, W)`; see `CHANNELS`."""
    if channels == "max":  # Simonyan et al. 2014, sec. 3.1
        return gradient.abs().amax(0)
    return gradient.abs().sum(0) if channels == "sum" else gradient.square().sum(0).sqrt()


def plain_maps(request: Request, gradient: Tensor) -> Maps:
    """The maps of a gradient with respect to the image, `(3, H, W)`: magnitude, signed sum, and gradient × input."""
    return arrays(
        score=magnitude(gradient, str(request.settings["channels"])),
        signed=gradient.sum(0),
        input=(gradient * request.input[0]).sum(0),
    )


PLAIN_CAPTIONS = {
    "score": "How strongly the score responds to a small change of a pixel, in either direction. Bright pixels matter most. "
    "The map does not show whether they raise or lower the score.",
    "signed": "The gradient with its sign, summed over the colour channels. Red: making the pixel brighter raises the score; "
    "blue: it lowers it.",
    "input": "Gradient × input: the gradient times the value of the pixel, summed over the colour channels. Red supports the "
    "class, blue counts against it; black pixels are attributed 0.",
}


def gradient_unit(request: Request) -> dict[str, Any]:
    """The unit of a gradient with respect to the image, as a fact."""
    return {"unit": f"{request.frozen.target.score} for a step from black to white"}


def path_facts(request: Request, start: float, total: float, remedy: str) -> tuple[dict[str, Fact], tuple[str, ...]]:
    """How closely a map adds up to S(x) − S(b), as it should: facts, and a note if the gap is large.

    Args:
        request: the request; its clean readings hold S(x).
        start: S(b).
        total: the sum of the map.
        remedy: how to close the gap, in a sentence.
    """
    path = float(request.clean.score[0]) - start
    gap = total - path
    facts: dict[str, Fact] = {"path": path, "gap": gap}
    if abs(gap) <= 0.05 * abs(path):
        return facts, ()
    return facts, (
        f"The map adds up to {total:.3g}, and should to {path:.3g}, by which the score rises from the baseline to the "
        f"picture: do not believe details. {remedy}",
    )
