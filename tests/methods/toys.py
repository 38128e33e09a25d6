"""Two methods that are not built in: one that hides pixels and one that uses gradients."""

from typing import ClassVar

import numpy as np

from perturb.methods.base import Outcome
from perturb.methods.gradient import GradientMethod, arrays
from perturb.methods.masked import MaskedMethod, drops
from perturb.perturbations.fills.registry import FILL_SETTINGS
from perturb.perturbations.segments import Coalitions


class Quadrants(MaskedMethod):
    """Hides each quarter of the image in turn. Has no setting for segments, and yet a fact of that name."""

    name = "toy-quadrants"
    title = "Quadrants"
    summary = "Each quarter of the image is hidden alone."
    citation = "Toy 2024"
    settings = FILL_SETTINGS
    captions: ClassVar = {"score": "How much the score drops without a quarter."}

    def masks(self, request):
        image = request.image
        rows, columns = np.arange(image.height) >= image.height // 2, np.arange(image.width) >= image.width // 2
        return Coalitions((2 * rows[:, None] + columns).astype(np.int32), ~np.eye(4, dtype=bool))

    def read(self, request, masks, readings):
        return Outcome({"score": drops(request, masks, readings)["score"]}, {"segments": 4, "toy": 1.5})


class SignedGradient(GradientMethod):
    """The gradient of the score, colour channels added up."""

    name = "toy-gradient"
    title = "Signed gradient"
    summary = "The gradient of the score by each pixel."
    citation = "Toy 2024"
    settings = ()
    captions: ClassVar = {"score": "How much the score rises with a pixel."}

    def attribute(self, request):
        gradient = self.gradients(request, self.score(request, 1), request.input)[0]
        return Outcome(arrays(score=gradient.sum(0)), {"unit": "logit a step"})


TOYS = (Quadrants(), SignedGradient())
