"""The contract of a method, and how to add one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from perturb.images import Image
from perturb.masks import Masks
from perturb.results import Readings
from perturb.settings import Setting, Value
from perturb.targets import Frozen

Maps = dict[str, npt.NDArray[np.float32]]


class Method(ABC):
    """Masks to draw, and a way to turn their readings into signed maps.

    To add one: a file in `perturb/methods/`, a subclass with the attributes below and the two functions, and its name in
    `METHODS`. The engine, the command line and the pages take the rest from here; the fills come from `perturb.fills`.

    Attributes:
        name: as on the command line.
        title: for people.
        summary: one plain sentence: what the map shows.
        citation: paper, and section or equation.
        settings: what can be set, the fill's settings included.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    summary: ClassVar[str]
    citation: ClassVar[str]
    settings: ClassVar[tuple[Setting, ...]]

    @abstractmethod
    def masks(self, image: Image, frozen: Frozen | None, settings: Mapping[str, Value], seed: int) -> Masks:
        """The masks, one for each forward pass.

        Args:
            image: the clean picture.
            frozen: the target on it; None when only the cost is asked for and the method does not need it.
            settings: checked, complete.
            seed: of everything drawn by chance.

        Raises:
            SettingError: settings that do not fit this picture.
        """

    @abstractmethod
    def read(self, masks: Masks, readings: Readings, clean: Readings) -> Maps:
        """Maps by name, float32 `(H, W)` each; `score` must be among them: signed, in units of the target's score.

        Args:
            masks: as drawn by `masks`.
            readings: of each of them, in order.
            clean: of the clean picture; one entry.
        """
