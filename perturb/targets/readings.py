"""What single perturbations did, and how they were passed through the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
import numpy.typing as npt

Fact = float | int | str
"""One of a method's own numbers or words about its run."""


@dataclass(frozen=True)
class Execution:
    """How perturbations were passed through the network.

    Attributes:
        passes: "incremental" (only what each perturbation can change), "downstream" (only what follows the changed layer) or
            "whole".
        reason: why nothing shorter was run, as a clause; empty where there is nothing shorter.
        stale: whether what was known of the network did not hold for it any more.
    """

    passes: Literal["incremental", "downstream", "whole"]
    reason: str = ""
    stale: bool = False

    @property
    def sentence(self) -> str:
        """The same for people."""
        what = {
            "incremental": "Incremental passes: only what each perturbation can change was run",
            "downstream": "Only the sub-network downstream of the layer was run",
            "whole": "Whole passes of the network were run",
        }[self.passes]
        return f"{what}{', because ' if self.reason else ''}{self.reason}."

    def as_dict(self) -> dict[str, str]:
        """What `result.json` holds."""
        return {"passes": self.passes, "reason": self.reason}


WHOLE_PASSES = Execution("whole")


@dataclass(frozen=True, eq=False)
class Readings:
    """What N perturbations did, one entry each.

    Attributes:
        score: the target's score S(x'), float64 `(N,)`, in logits, probability or IoU.
        lost: pixels of the region that were the class and are no longer, int64 `(N,)`.
        gained: pixels that were not the class and are now, int64 `(N,)`, anywhere in the picture.
        lost_hidden, gained_hidden: how many of them lie under the occluder itself, int64 `(N,)`.
        iou: of the new mask with the reference mask, float64 `(N,)` in [0, 1].
        hidden: pixels that were hidden, int64 `(N,)`.

    Lost and gained compare with the clean prediction, so that hiding nothing loses and gains nothing, also in a region
    that the segmenter gets wrong.
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
        """Readings of batches, joined in order."""
        return Readings(**{column: np.concatenate([getattr(part, column) for part in parts]) for column in COLUMNS})

    @staticmethod
    def none() -> Readings:
        """No readings, of a method that perturbs nothing."""
        numbers, counts = np.zeros(0, np.float64), np.zeros(0, np.int64)
        return Readings(numbers, counts, counts, counts, counts, numbers, counts)


COLUMNS: tuple[str, ...] = tuple(f.name for f in fields(Readings))
