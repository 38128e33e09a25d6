"""The interface of attribution methods: the request, the outcome, and the base class to extend."""

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
from perturb.targets.reader import Reader
from perturb.targets.readings import Execution, Fact, Readings
from perturb.targets.target import Frozen

Maps = dict[str, npt.NDArray[np.float32]]

Page = Literal["occlusion", "perturbation", "inspect"]
"""A page of the app that offers methods."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a method computes from its readings or gradients.

    Attributes:
        maps: by name, float32 `(H, W)` each. One of them is `score`, signed and in units of the target's score.
        facts: numbers about the run to show beside the map, by name, such as the `r2` of a fit.
        notes: remarks for the reader, in full sentences.
        segments: the segment of each pixel, int32 `(H, W)` in 0 … M − 1; None for methods without segments.
        neutral: the value of `score` that means no effect, in its units: 0 for a drop. Colour scales are centred on it.
        passes: the cost of the run in passes of one image, a backward pass counted as one; None for one pass a reading.
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
    """What a method explains, and how to run it. `explain` creates one for each run.

    The first four attributes are enough to draw masks and to count the passes of a run.

    Attributes:
        image: the clean image.
        segmenter: the network to explain.
        frozen: the target, fixed on the clean image.
        settings: of the method, validated and complete.
        seed: of all random draws, 0 or more.
        logits: of the clean image, float32 `(K, H, W)`; None to compute them.
        mode: how perturbations are run, see `perturb.engine.runner.Mode`.
        batch: images per forward pass; None for what is fast on this machine. Results do not depend on it.
        progress: called once per batch with the fraction done in [0, 1]; an exception that it raises ends the run.
        preview: called from time to time with the partial outcome, by methods whose masks go from coarse to fine.
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
        """The clean image as the segmenter's input, float32 `(1, 3, H, W)` on its device; a new tensor at each access."""
        return to_tensor(self.image, self.segmenter.device)[None]

    @cached_property
    def clean(self) -> Readings:
        """Readings of the clean image; one entry. Takes one forward pass unless `logits` are given."""
        logits = runner.clean_logits(self.image, self.segmenter) if self.logits is None else self.logits
        nothing = torch.zeros((1, self.image.height, self.image.width), dtype=torch.bool, device=logits.device)
        return Reader(self.frozen, logits.device).read(logits[None], nothing)


class Method(ABC):
    """An attribution method: computes signed maps of one target on one image.

    To add one, write a file in `perturb/methods/` with a subclass of `MaskedMethod` (hides pixels), `GradientMethod`
    (takes gradients) or this class (anything else, such as changes to a layer), and add it to `METHODS`. The command
    line and the pages read everything else from the attributes below.

    Attributes:
        name: the name on the command line.
        title: the name shown to people.
        summary: what the map shows, in one plain sentence.
        citation: paper, and section or equation.
        settings: all settings, those of the fill included.
        needs: which of a segmenter's `abilities` it requires; methods that only read logits require none.
        page: the page of the app that offers it.
        captions: what each of its maps shows, in a sentence or two, `score` first.
        magnitudes: names of the maps that are magnitudes, without a sign.
        libraries: names of the distributions that compute part of its maps; a result records their versions.
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
        """Distributions that compute part of the maps with these settings: `libraries`, and that of the superpixels."""
        return (*self.libraries, *segment_libraries(settings))

    def lacking(self, segmenter: Segmenter) -> str:
        """Why it cannot explain this segmenter, as a sentence; an empty string if it can."""
        return lacking(segmenter, self.needs, self.title)

    @abstractmethod
    def forwards(self, request: Request) -> int:
        """Number of passes of one image that a run takes, a backward pass counted as one. Runs nothing.

        Raises:
            PerturbError: the settings, image, segmenter or target do not fit the method.
        """

    @abstractmethod
    def run(self, request: Request) -> tuple[Readings, Outcome]:
        """Compute the maps.

        Returns:
            The readings of every perturbation in order (possibly none), and the outcome.

        Raises:
            PerturbError: the settings, image or target do not fit the method, or the segmenter broke its contract.
        """
