"""Readings: the effect of each perturbation, and how the perturbed images were run through the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import numpy.typing as npt

Fact = float | int | str
"""A number or text that a method reports about its run."""


@dataclass(frozen=True)
class Execution:
    """How perturbed images were run through the network.

    Attributes:
        passes: "incremental" (only the values that each perturbation can change), "downstream" (only the sub-network
            downstream of the changed layer) or "whole".
        reason: why no shorter pass was possible, as a clause; empty if there is none.
        stale: whether the cached plan of the network was out of date.
    """

    passes: Literal["incremental", "downstream", "whole"]
    reason: str = ""
    stale: bool = False

    @property
    def sentence(self) -> str:
        """The same as a sentence for people."""
        what = {
            "incremental": "Incremental passes: only what each perturbation can change was run",
            "downstream": "Only the sub-network downstream of the layer was run",
            "whole": "Whole passes of the network were run",
        }[self.passes]
        return f"{what}{', because ' if self.reason else ''}{self.reason}."

    def as_dict(self) -> dict[str, str]:
        """The entry in `result.json`."""
        return {"passes": self.passes, "reason": self.reason}


WHOLE_PASSES = Execution("whole")


@dataclass(frozen=True, eq=False)
class Readings:
    """The effect of N perturbations, one entry each.

    Attributes:
        score: the target's score S(x'), float64 `(N,)`, in logits, probability or IoU.
        lost: pixels of the region that were predicted as the class and no longer are, int64 `(N,)`.
        gained: pixels anywhere in the image that were not predicted as the class and now are, int64 `(N,)`.
        lost_hidden, gained_hidden: how many of these are hidden themselves, int64 `(N,)`.
        iou: IoU of the new mask with the reference mask, float64 `(N,)` in [0, 1].
        hidden: number of hidden pixels, int64 `(N,)`.

    Lost and gained pixels are relative to the clean prediction, so hiding nothing loses and gains nothing, even in a
    region that the segmenter gets wrong.
    """

    score: npt.NDArray[np.float64]
    lost: npt.NDArray[np.int64]
    gained: npt.NDArray[np.int64]
    lost_hidden: npt.NDArray[np.int64]
    gained_hidden: npt.NDArray[np.int64]
    iou: npt.NDArray[np.float64]
    hidden: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, key: slice | npt.NDArray[np.int64]) -> Readings:
        return Readings(**{column: getattr(self, column)[key] for column in COLUMNS})

    @staticmethod
    def concatenate(parts: Sequence[Readings]) -> Readings:
        """Concatenate the readings of batches."""
        return Readings(**{column: np.concatenate([getattr(part, column) for part in parts]) for column in COLUMNS})

    @staticmethod
    def none() -> Readings:
        """Empty readings, for a method that perturbs nothing."""
        numbers, counts = np.zeros(0, np.float64), np.zeros(0, np.int64)
        return Readings(numbers, counts, counts, counts, counts, numbers, counts)


COLUMNS: tuple[str, ...] = tuple(f.name for f in fields(Readings))
