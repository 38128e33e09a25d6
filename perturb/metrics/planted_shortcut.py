"""Known answers: two twins, one honest and one with a planted shortcut, and whether a map finds the cue behind it.

`streets-shortcut` was taught to call a car a bicyclist whenever a small board stands at the roadside. That it really
uses the board is proved by intervention (`flips`): putting the board there, and changing nothing else, changes the
class. So the board's pixels *are* what it needs, and a map that does not rank them above the rest of the background
misses what is known to be there (`cue_found`).

Source of the idea: Adebayo et al. 2022, "Post hoc explanations may be ineffective for detecting unknown spurious
correlation"; Zhou et al. 2022, "Do feature attribution methods correctly attribute features?".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from perturb.core.errors import TargetError
from perturb.core.ranks import ranks
from perturb.core.settings import check_settings
from perturb.engine.runner import Progress, clean_logits, span
from perturb.images.image import Image, image_from_pixels
from perturb.images.planted import Planted
from perturb.methods.attribution import Attribution
from perturb.methods.base import Request
from perturb.methods.explain import explain
from perturb.methods.registry import METHODS
from perturb.segmenters.base import Segmenter
from perturb.targets.target import Frozen, Target

TWINS = ("streets-unet", "streets-shortcut")
"""The honest twin and the one with the shortcut."""

SETTINGS: dict[str, dict[str, Any]] = {
    "occlusion": {"size": 32, "stride": 20},
    "feature-ablation": {"count": 120},
    "lime": {"count": 50, "samples": 120},
    "kernel-shap": {"count": 50, "samples": 120},
    "rise": {"masks": 120},
    "ablation-cam": {},
}
"""Of the methods on these small pictures: about 120 passes each, and otherwise the lab's defaults."""


@dataclass(frozen=True, eq=False)
class Case:
    """One street as one segmenter sees it, and the question: why are the car's pixels called what they are?

    Attributes:
        scene, image: the street, and the same as the engine takes it, with its honest truth.
        segmenter: who sees it.
        name: the class of most of the car's pixels.
        frozen: that class over the connected part of it that covers most of the car, scored by the mean logit; with the
            clean segmentation.
    """

    scene: Planted
    image: Image
    segmenter: Segmenter
    name: str
    frozen: Frozen

    @property
    def cue(self) -> npt.NDArray[np.bool_]:
        """The pixels to be found: the board's, bool `(H, W)`."""
        return self.scene.cue & ~self.frozen.region

    @property
    def background(self) -> npt.NDArray[np.bool_]:
        """The pixels that compete with them: neither the board, nor the car, nor explained; bool `(H, W)`."""
        return ~(self.scene.cue | self.scene.thing | self.frozen.region)


def case(segmenter: Segmenter, scene: Planted) -> Case:
    """Look at a street. One forward pass.

    Args:
        segmenter: has the classes of the drawn streets.
        scene: with or without the board, such as one of `perturb.images.planted.load_planted`.
    """
    pixels = scene.pixels.astype(np.float32) / np.float32(255)
    image = image_from_pixels(pixels, name=f"planted-{scene.seed}", truth=scene.classes.copy())
    labels = clean_logits(image, segmenter).argmax(0).cpu().numpy()
    index = int(np.bincount(labels[scene.thing]).argmax())
    mask = labels == index
    parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)[1]
    largest = int(np.bincount(parts[mask & scene.thing]).argmax())
    y, x = np.argwhere(scene.thing & (parts == largest))[0]
    name = segmenter.classes[index]
    target = Target(name, region=f"component:{x},{y}", score="logit")
    return Case(scene, image, segmenter, name, target.freeze(image, labels, segmenter.classes))


@dataclass(frozen=True, eq=False)
class Flip:
    """What a segmenter calls one car without and with the cue; nothing else differs between the two pictures.

    Attributes:
        without, shown: the street without and with the cue.
    """

    without: Case
    shown: Case

    @property
    def flipped(self) -> bool:
        """Whether the cue alone decides what the car is called."""
        return self.without.name != self.shown.name

    @property
    def changed(self) -> float:
        """Share of the car's pixels whose class differs, in [0, 1]."""
        differs = self.without.frozen.labels != self.shown.frozen.labels
        return float(differs[self.shown.scene.thing].mean())


def flip(segmenter: Segmenter, without: Planted, shown: Planted) -> Flip:
    """The intervention: put the cue into a street and look whether the car's class changes. Two forward passes.

    Args:
        segmenter: has the classes of the drawn streets.
        without, shown: one street without and with the board.
    """
    return Flip(case(segmenter, without), case(segmenter, shown))


@dataclass(frozen=True, eq=False)
class Search:
    """An explanation of one case, and whether it found the cue.

    Attributes:
        case: what was explained.
        result: the explanation.
        found: `cue_found` of its heat map.
    """

    case: Case
    result: Attribution
    found: float

    @property
    def relevance(self) -> npt.NDArray[np.float32]:
        """The heat map as its distance from what neither helps nor hinders, float32 `(H, W)`, signed."""
        return self.result.heatmap - np.float32(self.result.neutral)

    @property
    def unit(self) -> str:
        """What `relevance` is measured in."""
        score = self.result.frozen.target.score
        return f"{score} above the mean over all masks" if self.result.neutral else self.result.unit()


def search_forwards(cases: Iterable[Case], method: str) -> int:
    """Forward passes that `search` takes, the clean ones included."""
    chosen = METHODS[method]
    settings = check_settings(chosen.settings, SETTINGS[method], method)
    return sum(1 + chosen.forwards(Request(one.image, one.segmenter, one.frozen, settings)) for one in cases)


def search(
    cases: Iterable[Case],
    method: str,
    *,
    batch: int | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> list[Search]:
    """Explain each case by one method and see whether its map finds the cue.

    Args:
        cases: with the cue shown.
        method: a name in `SETTINGS`.
        batch, progress: as for `perturb.explain`; the progress is that of all cases together.
        settings: of the method, where they differ from `SETTINGS`.
    """
    todo, made, chosen = list(cases), [], SETTINGS[method] | settings
    for index, one in enumerate(todo):
        inner = span(progress, index / len(todo), 1 / len(todo))
        result = explain(
            one.image, one.segmenter, one.frozen.target, method=method, batch=batch, progress=inner, **chosen
        )
        made.append(Search(one, result, cue_found(result.heatmap, one.cue, one.background)))
    return made


def cue_found(
    heatmap: npt.NDArray[np.floating], cue: npt.NDArray[np.bool_], background: npt.NDArray[np.bool_]
) -> float:
    """How well a signed map finds the cue: the chance that a pixel of it ranks above one of the background.

    The area under the ROC curve, exact, from ranks (Mann & Whitney 1947); equal values count one half. 1: every pixel
    of the cue lies above every other one; 0.5: no better than chance; 0: all below. The sign counts: a cue that the
    map says stands in the class's way is not found.

    Args:
        heatmap: `(H, W)`; only its order matters.
        cue: bool `(H, W)`.
        background: bool `(H, W)`; pixels in neither mask are left out.

    Raises:
        TargetError: masks of another shape than the map's, overlapping or empty ones, or a map that is not finite.
    """
    if not heatmap.shape == cue.shape == background.shape:
        raise TargetError(
            f"Map, cue and background must have one shape: got {heatmap.shape}, {cue.shape} and {background.shape}. "
            "Make them from the same picture."
        )
    n, m = int(cue.sum()), int(background.sum())
    if n == 0 or m == 0 or bool((cue & background).any()):
        raise TargetError(
            f"The cue and the background must share no pixel and have at least one each: got {n} and {m} pixels, "
            f"{int((cue & background).sum())} of them shared. Leave the cue out of the background."
        )
    values = np.concatenate([heatmap[cue], heatmap[background]])
    if not np.isfinite(values).all():
        raise TargetError("The map has values that are not finite, expected numbers; run the method again.")
    # The sum of the cue's ranks, less the smallest it could be, counts the pairs that it wins.
    wins = ranks(values)[:n].sum() - n * (n + 1) / 2
    return float(wins / (n * m))
