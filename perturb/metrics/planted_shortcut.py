"""Ground truth for attribution: two networks, one with a planted shortcut, and whether a map ranks its cue highly.

`streets-shortcut` was trained to predict a car as a bicyclist whenever a small board stands at the roadside. An
intervention proves that it uses the board (`flip`): adding the board and changing nothing else changes the class. The
pixels of the board are therefore what the network needs, and a map that does not rank them above the rest of the
background misses the cue (`cue_found`).

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
"""The network trained without the shortcut, and the one with it."""

SETTINGS: dict[str, dict[str, Any]] = {
    "occlusion": {"size": 32, "stride": 20},
    "feature-ablation": {"count": 120},
    "lime": {"count": 50, "samples": 120},
    "kernel-shap": {"count": 50, "samples": 120},
    "rise": {"masks": 120},
    "ablation-cam": {},
}
"""Settings of the methods on these small images: about 120 passes each, and otherwise the defaults."""


@dataclass(frozen=True, eq=False)
class Case:
    """One street scene and one segmenter; the target is the class that the segmenter predicts on the car.

    Attributes:
        scene: the scene.
        image: the scene as an image, with its ground truth.
        segmenter: the segmenter to explain.
        name: the class predicted on most of the car's pixels.
        frozen: the target: that class, over its connected component that covers most of the car, scored by the mean logit.
    """

    scene: Planted
    image: Image
    segmenter: Segmenter
    name: str
    frozen: Frozen

    @property
    def cue(self) -> npt.NDArray[np.bool_]:
        """The pixels of the cue, the board, outside the explained region, bool `(H, W)`."""
        return self.scene.cue & ~self.frozen.region

    @property
    def background(self) -> npt.NDArray[np.bool_]:
        """All other pixels: not on the board, not on the car, and not in the explained region; bool `(H, W)`."""
        return ~(self.scene.cue | self.scene.thing | self.frozen.region)


def case(segmenter: Segmenter, scene: Planted) -> Case:
    """Segment a street scene and fix the target on it. Takes one forward pass.

    Args:
        segmenter: a segmenter with the classes of the drawn streets.
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
    """The prediction on one car without and with the cue. The two images differ in nothing else.

    Attributes:
        without, shown: the street without and with the cue.
    """

    without: Case
    shown: Case

    @property
    def flipped(self) -> bool:
        """Whether the cue alone changes the predicted class of the car."""
        return self.without.name != self.shown.name

    @property
    def changed(self) -> float:
        """Share of the car's pixels whose predicted class differs, in [0, 1]."""
        differs = self.without.frozen.labels != self.shown.frozen.labels
        return float(differs[self.shown.scene.thing].mean())


def flip(segmenter: Segmenter, without: Planted, shown: Planted) -> Flip:
    """The intervention: add the cue to a street and compare the predicted class of the car. Takes two forward passes.

    Args:
        segmenter: a segmenter with the classes of the drawn streets.
        without, shown: one street without and with the board.
    """
    return Flip(case(segmenter, without), case(segmenter, shown))


@dataclass(frozen=True, eq=False)
class Search:
    """An explanation of one case, and how highly its map ranks the cue.

    Attributes:
        case: the case.
        result: the explanation.
        found: `cue_found` of its map, in [0, 1].
    """

    case: Case
    result: Attribution
    found: float

    @property
    def relevance(self) -> npt.NDArray[np.float32]:
        """The map less its neutral value, float32 `(H, W)`, signed."""
        return self.result.heatmap - np.float32(self.result.neutral)

    @property
    def unit(self) -> str:
        """The unit of `relevance`."""
        score = self.result.frozen.target.score
        return f"{score} above the mean over all masks" if self.result.neutral else self.result.unit()


def search_forwards(cases: Iterable[Case], method: str) -> int:
    """Number of forward passes that `search` takes, the clean images included."""
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
    """Explain each case with one method and measure how highly its map ranks the cue.

    Args:
        cases: with the cue shown.
        method: a name in `SETTINGS`.
        batch, progress: as for `perturb.explain`; the progress covers all cases together.
        settings: of the method, where they differ from `SETTINGS`.
    """
    pending, searches, chosen = list(cases), [], SETTINGS[method] | settings
    for index, one in enumerate(pending):
        inner = span(progress, index / len(pending), 1 / len(pending))
        result = explain(
            one.image, one.segmenter, one.frozen.target, method=method, batch=batch, progress=inner, **chosen
        )
        searches.append(Search(one, result, cue_found(result.heatmap, one.cue, one.background)))
    return searches


def cue_found(
    heatmap: npt.NDArray[np.floating], cue: npt.NDArray[np.bool_], background: npt.NDArray[np.bool_]
) -> float:
    """How highly a signed map ranks the cue: the probability that a cue pixel ranks above a background pixel.

    This is the exact area under the ROC curve, computed from ranks (Mann & Whitney 1947); equal values count one half.
    1: every cue pixel ranks above every background pixel; 0.5: chance; 0: all rank below. The sign matters: a cue that
    the map counts against the class scores low.

    Args:
        heatmap: `(H, W)`; only the order of its values matters.
        cue: bool `(H, W)`.
        background: bool `(H, W)`; pixels in neither mask are ignored.

    Raises:
        TargetError: the masks differ in shape from the map, overlap or are empty, or the map has values that are not finite.
    """
    if not heatmap.shape == cue.shape == background.shape:
        raise TargetError(
            f"Map, cue and background must have one shape: got {heatmap.shape}, {cue.shape} and {background.shape}. "
            "Take all three from the same image."
        )
    n, m = int(cue.sum()), int(background.sum())
    if n == 0 or m == 0 or bool((cue & background).any()):
        raise TargetError(
            f"The cue and the background must share no pixel and have at least one each: got {n} and {m} pixels, "
            f"{int((cue & background).sum())} of them shared. Leave the cue out of the background."
        )
    values = np.concatenate([heatmap[cue], heatmap[background]])
    if not np.isfinite(values).all():
        raise TargetError("The map has values that are not finite; expected finite numbers. Run the method again.")
    # The sum of the cue's ranks less its minimum is the number of pairs in which the cue pixel ranks higher.
    wins = ranks(values)[:n].sum() - n * (n + 1) / 2
    return float(wins / (n * m))
