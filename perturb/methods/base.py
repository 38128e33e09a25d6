"""The contract of a method: what it is asked, what it answers, and how to add one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from perturb.core.settings import Setting, Value
from perturb.engine import runner
from perturb.engine.runner import Mode, Progress
from perturb.images.image import Image, to_tensor
from perturb.perturbations.segments import segment_libraries
from perturb.segmenters.base import Segmenter, lacking
from perturb.targets.readings import Execution, Fact, Readings
from perturb.targets.target import Frozen

Maps = dict[str, npt.NDArray[np.float32]]

Page = Literal["occlusion", "perturbation", "inspect"]
"""A page of the app that offers methods."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a method computes from its readings or gradients.

    Attributes:
        maps: by name, float32 `(H, W)` each; `score` is among them: signed, in units of the target's score.
        facts: numbers about the run that belong beside the map, by name, such as a fit's `r2`.
        notes: what a reader should know, in sentences.
        segments: the segments that were hidden as one, int32 `(H, W)` in 0 … M − 1; None for methods without.
        neutral: the value of `score` that neither helps nor hinders, in its units: 0 for a drop. Views colour by the
            distance from it.
        passes: the cost of the run in passes of one image, where that is not one for each reading; a backward pass
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


@dataclass(frozen=True, eq=False)
class Request:
    """What a method is asked to explain, and how to run it. `explain` makes one for each run.

    The first four are enough to draw masks and to count the passes of a run.

    Attributes:
        image: the clean image.
        segmenter: the network to explain.
        frozen: the target on the clean image.
        settings: of the method, checked and complete.
        seed: of everything drawn at random, 0 or more.
        logits: the segmenter's for the clean image, `(K, H, W)`, where they are known already.
        mode: how perturbations are run, see `perturb.engine.runner.Mode`.
        batch: images a forward pass; None for what is fast on this machine. Results do not depend on it.
        progress: called once a batch with the fraction done in [0, 1]; what it raises ends the run.
        preview: called now and then with the outcome as far as it is known, by methods whose masks go from coarse to fine.
    """

    image: Image
    segmenter: Segmenter
    frozen: Frozen
    settings: Mapping[str, Value]
    seed: int = 0
    logits: Tensor | None = None
    mode: Mode = "exact"
    batch: int | None = None
    progress: Progress | None = None
    preview: Callable[[Outcome], None] | None = None

    @property
    def input(self) -> Tensor:
        """The clean image as the segmenter takes it, float32 `(1, 3, H, W)` on its device; a new tensor each time."""
        return to_tensor(self.image, self.segmenter.device)[None]

    @cached_property
    def clean(self) -> Readings:
        """Readings of the clean image; one entry. One forward pass unless `logits` are given."""
        logits = runner.clean_logits(self.image, self.segmenter) if self.logits is None else self.logits
        nothing = torch.zeros((1, self.image.height, self.image.width), dtype=torch.bool, device=logits.device)
        return self.frozen.reader(logits.device).read(logits[None], nothing)


class Method(ABC):
    """An attribution method: computes signed maps of one target on one image.

    To add one, write a file in `perturb/methods/` with a subclass of `MaskedMethod` (hides pixels), `GradientMethod`
    (takes gradients) or this class (anything else, such as changes of a layer), and add it to `METHODS`. The command
    line and the pages take everything else from the attributes below.

    Attributes:
        name: as on the command line.
        title: for people.
        summary: one plain sentence: what the map shows.
        citation: paper, and section or equation.
        settings: what can be set, the fill's settings included.
        needs: which of a segmenter's `abilities` it requires; methods that only look at logits require none.
        page: the page of the app that offers it.
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
    page: ClassVar[Page] = "inspect"
    captions: ClassVar[Mapping[str, str]]
    magnitudes: ClassVar[frozenset[str]] = frozenset({"lost", "gained", "positive"})
    libraries: ClassVar[tuple[str, ...]] = ()

    def libraries_under(self, settings: Mapping[str, Value]) -> tuple[str, ...]:
        """The packages that compute a part of its maps under these settings: `libraries`, and that of the superpixels."""
        return (*self.libraries, *segment_libraries(settings))

    def lacking(self, segmenter: Segmenter) -> str:
        """Why it cannot explain this segmenter, in words; an empty string if it can."""
        return lacking(segmenter, self.needs, self.title)

    @abstractmethod
    def forwards(self, request: Request) -> int:
        """Passes of one image that a run takes, without running it; a backward pass counts as one.

        Raises:
            PerturbError: settings, an image, a segmenter or a target that do not fit the method.
        """

    @abstractmethod
    def run(self, request: Request) -> tuple[Readings, Outcome]:
        """Compute the maps.

        Returns:
            Readings of every perturbation in order, which may be none, and the outcome.

        Raises:
            PerturbError: settings, an image or a target that do not fit the method, or a segmenter that broke its contract.
        """
