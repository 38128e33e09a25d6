"""What the gradient methods share: the score whose slope they take, and how three colour channels become one map."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from perturb.core.settings import Setting, Value
from perturb.engine.autograd import Score, differentiable, finite, require
from perturb.engine.runner import Progress
from perturb.images.image import Image, to_tensor
from perturb.methods.base import Maps, Outcome, Unmasked
from perturb.perturbations.fills.registry import make_fill
from perturb.segmenters.base import Segmenter
from perturb.targets.readings import Fact, Readings
from perturb.targets.target import Frozen

CHANNELS = Setting(
    "channels",
    "choice",
    "max",
    "How red, green and blue become one number a pixel: the largest of their three sizes, the sum of the sizes, or the length "
    "of the three as a vector.",
    choices=(("max", "Largest"), ("sum", "Sum"), ("length", "Length")),
)
NOISE = Setting(
    "noise_level",
    "float",
    0.15,
    "Standard deviation of the normal noise on the picture, on the scale from black 0 to white 1. The paper takes 0.1 to 0.2.",
    low=0,
    high=1,
    step=0.01,
)


@dataclass(frozen=True, eq=False)
class Asked:
    """What a gradient method is asked for: the arguments of `Method.run`."""

    image: Image
    segmenter: Segmenter
    frozen: Frozen
    settings: Mapping[str, Value]
    seed: int
    clean: Readings
    batch: int | None
    progress: Progress | None

    @property
    def picture(self) -> Tensor:
        """The clean picture, `(1, 3, H, W)`, on the segmenter's device; a new tensor each time."""
        return to_tensor(self.image, self.segmenter.device)[None]

    def score(self, total: int) -> Score:
        """S, for a run that takes the gradient at so many pictures."""
        return Score(self.segmenter, self.frozen, total=total, progress=self.progress)

    def slopes(self, score: Score, pictures: Tensor) -> Tensor:
        """∂S/∂x at each of some pictures, `(N, 3, H, W)`."""
        from captum.attr import Saliency  # takes a second to import, and most visitors never need it

        slopes = Saliency(score).attribute(pictures.requires_grad_(), abs=False)
        return finite(slopes, self.segmenter)

    def draw(self, index: int) -> np.random.Generator:
        """What chance has for one picture of a run: it depends on the seed and the index, never on the batch."""
        return np.random.default_rng((self.seed, index))

    def noise(self, draw: np.random.Generator) -> Tensor:
        """Normal noise of the level that the settings ask for, `(3, H, W)`."""
        values = draw.standard_normal((3, self.image.height, self.image.width), dtype=np.float32)
        return torch.from_numpy(values).to(self.segmenter.device) * float(self.settings["noise_level"])

    def baseline(self, seed: int) -> Tensor:
        """The picture that a path starts from, `(1, 3, H, W)`: every pixel hidden by the fill."""
        fill = make_fill(self.image, self.settings, seed)
        everything = torch.ones(
            (1, self.image.height, self.image.width), dtype=torch.bool, device=self.segmenter.device
        )
        return fill.paint(self.picture[0], everything, 0).clone()


class Gradient(Unmasked):
    """A method that takes gradients of the score, and hides nothing. S is the number that the readings of other methods
    hold; an IoU has no gradient and is refused. There are no readings. A backward pass counts as one pass."""

    needs: ClassVar[tuple[str, ...]] = ("gradients",)

    @abstractmethod
    def passes(self, settings: Mapping[str, Value]) -> int:
        """Forward and backward passes of one picture that a run takes."""

    @abstractmethod
    def attribute(self, asked: Asked) -> Outcome:
        """The maps, while gradients can be taken."""

    def forwards(self, image: Image, segmenter: Segmenter, frozen: Frozen, settings: Mapping[str, Value]) -> int:  # noqa: ARG002 — the cost is the same everywhere
        require(frozen)
        return self.passes(settings)

    def run(
        self,
        image: Image,
        segmenter: Segmenter,
        frozen: Frozen,
        settings: Mapping[str, Value],
        seed: int,
        clean: Readings,
        *,
        batch: int | None = None,
        progress: Progress | None = None,
        preview: Callable[[Outcome], None] | None = None,  # noqa: ARG002 — its map is made at the end
    ) -> tuple[Readings, Outcome]:
        with differentiable(segmenter):
            outcome = self.attribute(Asked(image, segmenter, frozen, settings, seed, clean, batch, progress))
        if progress is not None:
            progress(1.0)
        return Readings.none(), outcome


def arrays(**maps: Tensor) -> Maps:
    """Maps by name as float32 arrays `(H, W)`."""
    return {name: values.detach().float().cpu().numpy() for name, values in maps.items()}


def magnitude(slope: Tensor, channels: str) -> Tensor:
    """The size of a slope, `(3, H, W)` to `(H, W)`; see `CHANNELS`."""
    if channels == "max":  # Simonyan et al. 2014, sec. 3.1
        return slope.abs().amax(0)
    return slope.abs().sum(0) if channels == "sum" else slope.square().sum(0).sqrt()


def plain_maps(asked: Asked, slope: Tensor) -> Maps:
    """The maps of a slope with respect to the picture, `(3, H, W)`: its size, its sign, and gradient × input."""
    return arrays(
        score=magnitude(slope, str(asked.settings["channels"])),
        signed=slope.sum(0),
        input=(slope * asked.picture[0]).sum(0),
    )


PLAIN_CAPTIONS = {
    "score": "How strongly the score answers to a small change of a pixel, whichever way. Bright pixels matter most; whether "
    "they help or hinder, this cannot say.",
    "signed": "The same with its sign, the colour channels added up. Red: a brighter pixel raises the score; blue: a brighter "
    "pixel lowers it.",
    "input": "Gradient × input: the slope times the pixel's own value, the colour channels added up. Red speaks for the class, "
    "blue against it; black pixels get nothing.",
}


def slope_unit(asked: Asked) -> dict[str, Any]:
    """The unit of a slope with respect to the picture, as a fact."""
    return {"unit": f"{asked.frozen.target.score} for a step from black to white"}


def path_facts(asked: Asked, start: float, total: float, words: str) -> tuple[dict[str, Fact], tuple[str, ...]]:
    """How well a map that should add up to S(x) − S(b) does so: facts, and a note where it does badly.

    Args:
        asked: with S(x) among its clean readings.
        start: S(b).
        total: what the map adds up to.
        words: what would close the gap.
    """
    path = float(asked.clean.score[0]) - start
    gap = total - path
    facts: dict[str, Fact] = {"path": path, "gap": gap}
    if abs(gap) <= 0.05 * abs(path):
        return facts, ()
    return facts, (
        f"The map adds up to {total:.3g}, and should to {path:.3g}, by which the score rises from the baseline to the "
        f"picture: do not believe details. {words}",
    )
