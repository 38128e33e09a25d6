"""The base of all methods that hide pixels."""

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
    """A method that draws masks, hides what each of them covers behind a fill, and aggregates the readings.

    A subclass says which masks (`masks`) and how to aggregate (`read`). Its settings include `FILL_SETTINGS`.
    """

    page: ClassVar[Page] = "perturbation"
    captions: ClassVar[Mapping[str, str]] = {
        "score": "How much the score drops without a pixel. Red speaks for the class, blue stands in its way.",
        "lost": "How many pixels of the region stop being the class when a pixel is hidden.",
        "gained": "How many other pixels turn into the class when a pixel is hidden. A score inside the region cannot "
        "see these.",
    }

    @abstractmethod
    def masks(self, request: Request) -> Masks:
        """The masks, one for each forward pass. Also called only to count them, so it should be quick the second time.

        Raises:
            SettingError: settings that do not fit this image.
        """

    @abstractmethod
    def read(self, request: Request, masks: Masks, readings: Readings) -> Outcome:
        """Aggregate the readings into maps.

        Args:
            request: with the readings of the clean image.
            masks: as drawn by `masks`.
            readings: of each mask, in order.
        """

    def fill(self, request: Request) -> Fill:
        """What stands in place of hidden pixels."""
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
    """The maps `score`, `lost` and `gained`: a pixel's value is the mean change over the masks that hide it."""
    values = np.stack(
        [request.clean.score[0] - readings.score, readings.lost.astype(np.float64), readings.gained.astype(np.float64)],
        axis=1,
    )
    score, lost, gained = masks.spread(values)
    return {"score": score, "lost": lost, "gained": gained}
