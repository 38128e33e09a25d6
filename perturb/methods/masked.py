"""The base class of methods that hide pixels."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np

from perturb.engine import runner
from perturb.methods.base import Maps, Method, Outcome, Page, Request
from perturb.perturbations.fills.base import Fill
from perturb.perturbations.fills.registry import make_fill
from perturb.perturbations.masks import Masks
from perturb.targets.readings import Readings


class MaskedMethod(Method):
    """A method that draws masks, replaces the pixels that each mask hides by a fill, and aggregates the readings.

    A subclass defines the masks (`masks`) and how to aggregate (`read`). Its settings include `FILL_SETTINGS`.
    """

    page: ClassVar[Page] = "perturbation"
    captions: ClassVar[Mapping[str, str]] = {
        "score": "How much the score drops when a pixel is hidden. Red supports the class, blue counts against it.",
        "lost": "How many pixels of the region stop being predicted as the class when a pixel is hidden.",
        "gained": "How many other pixels become predicted as the class when a pixel is hidden. A score over the region does "
        "not register these.",
    }

    @abstractmethod
    def masks(self, request: Request) -> Masks:
        """The masks, one for each forward pass. Also called just to count them, so a second call should be fast.

        Raises:
            SettingError: the settings do not fit this image.
        """

    @abstractmethod
    def read(self, request: Request, masks: Masks, readings: Readings) -> Outcome:
        """Aggregate the readings into maps.

        Args:
            request: the request, with the readings of the clean image.
            masks: the result of `masks`.
            readings: of each mask, in order.
        """

    def fill(self, request: Request) -> Fill:
        """The replacement for hidden pixels."""
        return make_fill(request.image, request.settings, request.seed)

    def forwards(self, request: Request) -> int:
        return len(self.masks(request))

    def run(self, request: Request) -> tuple[Readings, Outcome]:
        image, segmenter, frozen, show = request.image, request.segmenter, request.frozen, request.preview
        masks, fill = self.masks(request), self.fill(request)
        preview = None if show is None else lambda readings: show(self.read(request, masks, readings))
        chosen = runner.route(image, masks, segmenter, frozen, request.mode, request.logits)
        readings = runner.run(
            image, masks, fill, segmenter, frozen,
            batch=request.batch, progress=request.progress, preview=preview, chosen=chosen,
        )  # fmt: skip
        return readings, replace(self.read(request, masks, readings), execution=chosen.execution)


def drops(request: Request, masks: Masks, readings: Readings) -> Maps:
    """The maps `score`, `lost` and `gained`: a pixel's value is the mean change over the masks that hide it.

    Each is float32 `(H, W)`; `score` is in units of the target's score, the others are in pixels.
    """
    values = np.stack(
        [request.clean.score[0] - readings.score, readings.lost.astype(np.float64), readings.gained.astype(np.float64)],
        axis=1,
    )
    score, lost, gained = masks.spread(values)
    return {"score": score, "lost": lost, "gained": gained}
