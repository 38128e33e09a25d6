"""The contract of a method, and how to add one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from perturb.core.errors import SettingError
from perturb.core.settings import Setting, Value
from perturb.engine import runner
from perturb.engine.runner import Progress
from perturb.images.image import Image
from perturb.perturbations.fills.registry import make_fill
from perturb.perturbations.masks import Masks
from perturb.perturbations.segments import segment_libraries
from perturb.segmenters.base import Segmenter, lacking
from perturb.targets.readings import Execution, Fact, Readings
from perturb.targets.target import Frozen

Maps = dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a method makes of its readings.

    Attributes:
        maps: by name, float32 `(H, W)` each; `score` is among them: signed, in units of the target's score.
        facts: numbers about the run that belong beside the map, by name, such as a fit's `r2`.
        notes: what a reader should know, in sentences.
        segments: the parts that were hidden as one, int32 `(H, W)` in 0 … M − 1; None for methods without.
        neutral: the value of `score` that neither helps nor hinders, in its units: 0 for a drop. Views colour by the
            distance from it.
        passes: what the run took in passes of one picture, where that is not one for each reading; a backward pass
            counts as one.
        execution: how the perturbations were run; None for a method without perturbations.
    """

    maps: Maps
    facts: dict[str, Fact] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    segments: npt.NDArray[np.int32] | None = None
    neutral: float = 0.0
    passes: int | None = None
    execution: Execution | None = None


class Method(ABC):
    """Masks to draw, and a way to turn their readings into signed maps.

    To add one: a file in `perturb/methods/`, a subclass with the attributes below and the two functions, and its name in
    `METHODS`. The engine, the command line and the pages take the rest from here; the fills come from `perturb.perturbations.fills.registry`,
    segments from `perturb.perturbations.segments`. A method that hides no pixels is an `Unmasked` instead.

    Attributes:
        name: as on the command line.
        title: for people.
        summary: one plain sentence: what the map shows.
        citation: paper, and section or equation.
        settings: what can be set, the fill's settings included.
        needs: which of a segmenter's `abilities` it takes; most methods only look at logits and take none.
        hides: whether it hides pixels, so that single perturbations can be looked at.
        captions: what each of its maps shows, in a sentence or two, `score` first.
        magnitudes: names of the maps that are sizes without a sign.
        libraries: packages that compute a part of its maps, by the names of their distributions; a result records their
            versions.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    citation: ClassVar[str]
    settings: ClassVar[tuple[Setting, ...]]
    needs: ClassVar[tuple[str, ...]] = ()
    hides: ClassVar[bool] = True
    captions: ClassVar[Mapping[str, str]] = {
        "score": "How much the score drops without a pixel. Red speaks for the class, blue stands in its way.",
        "lost": "How many pixels of the region stop being the class when a pixel is hidden.",
        "gained": "How many other pixels turn into the class when a pixel is hidden. A score inside the region cannot "
        "see these.",
    }
    magnitudes: ClassVar[frozenset[str]] = frozenset({"lost", "gained", "positive"})
    libraries: ClassVar[tuple[str, ...]] = ()

    def libraries_under(self, settings: Mapping[str, Value]) -> tuple[str, ...]:
        """The packages that compute a part of its maps under these settings: `libraries`, and that of the superpixels."""
        return (*self.libraries, *segment_libraries(settings))

    def lacking(self, segmenter: Segmenter) -> str:
        """Why it cannot explain this segmenter, in words; an empty string if it can."""
        return lacking(segmenter, self.needs, self.title)

    @abstractmethod
    def masks(self, image: Image, frozen: Frozen, settings: Mapping[str, Value], seed: int) -> Masks:
        """The masks, one for each forward pass. Also called only to count them, so it should be quick the second time.

        Args:
            image: the clean picture.
            frozen: the target on it, with the clean segmentation.
            settings: checked, complete.
            seed: of everything drawn by chance.

        Raises:
            SettingError: settings that do not fit this picture.
        """

    @abstractmethod
    def read(self, masks: Masks, readings: Readings, clean: Readings, settings: Mapping[str, Value]) -> Outcome:
        """What the readings say.

        Args:
            masks: as drawn by `masks`.
            readings: of each of them, in order.
            clean: of the clean picture; one entry.
            settings: the same as for `masks`.
        """

    def forwards(self, image: Image, segmenter: Segmenter, frozen: Frozen, settings: Mapping[str, Value]) -> int:  # noqa: ARG002 — a method of layers needs the segmenter
        """How many readings a run takes, before it is run: one for each mask.

        Raises:
            SettingError: settings that do not fit this picture or segmenter.
        """
        return len(self.masks(image, frozen, settings, 0))

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
        preview: Callable[[Outcome], None] | None = None,
    ) -> tuple[Readings, Outcome]:
        """Run every perturbation and read what it did: by default each mask, with the fill that the settings ask for.

        Args:
            image, segmenter, frozen: what is explained.
            settings, seed: as for `masks`.
            clean: readings of the clean picture; one entry.
            batch, progress: as in `perturb.engine.runner.run`.
            preview: called now and then with what a long run would say if it ended now; by methods whose masks go from
                coarse to fine.

        Returns:
            Readings of all perturbations, in their order, and what the method makes of them.

        Raises:
            SettingError: settings that do not fit this picture or segmenter.
            SegmenterError: the segmenter broke its contract.
        """
        masks = self.masks(image, frozen, settings, seed)
        fill = make_fill(image, settings, seed)
        show: runner.Preview | None = None
        if preview is not None:
            look = preview

            def show(readings: Readings) -> None:
                look(self.read(masks, readings, clean, settings))

        chosen = runner.route(image, masks, segmenter, frozen)
        readings = runner.run(
            image, masks, fill, segmenter, frozen, batch=batch, progress=progress, preview=show, chosen=chosen
        )
        return readings, replace(self.read(masks, readings, clean, settings), execution=chosen.execution)


class Unmasked(Method):
    """A method that hides no pixels: it changes a layer, or takes gradients. It overrides `run` and `forwards`."""

    hides: ClassVar[bool] = False

    def masks(self, image: Image, frozen: Frozen, settings: Mapping[str, Value], seed: int) -> Masks:  # noqa: ARG002
        raise SettingError(
            f"{self.title} hides no pixels, so it has no perturbed pictures to look at; choose a method that does, such as "
            "occlusion."
        )

    def read(self, masks: Masks, readings: Readings, clean: Readings, settings: Mapping[str, Value]) -> Outcome:
        raise NotImplementedError  # there are no masks, so `run` never gets here

    @abstractmethod
    def forwards(self, image: Image, segmenter: Segmenter, frozen: Frozen, settings: Mapping[str, Value]) -> int:
        """Passes of one picture that a run takes, before it is run; a backward pass counts as one.

        Raises:
            PerturbError: settings or a target that do not fit.
        """

    @abstractmethod
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
        preview: Callable[[Outcome], None] | None = None,
    ) -> tuple[Readings, Outcome]:
        """As for any method; the readings may be none."""


def drops(masks: Masks, readings: Readings, clean: Readings) -> Maps:
    """The maps `score`, `lost` and `gained`: a pixel's value is the mean of what the masks that hide it changed."""
    values = np.stack(
        [clean.score[0] - readings.score, readings.lost.astype(np.float64), readings.gained.astype(np.float64)],
        axis=1,
    )
    score, lost, gained = masks.spread(values)
    return {"score": score, "lost": lost, "gained": gained}
