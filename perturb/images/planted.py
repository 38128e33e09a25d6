"""Streets with a planted cue: one car, and a small magenta board at the roadside that is there or is not.

A segmenter that was taught to call the car something else whenever the board stands there has a flaw whose place is
known exactly. So there is a right answer to compare explanations with, which photographs never offer. The streets are
read from files, so that their digests never change.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL.Image

from perturb.core.errors import SettingError
from perturb.images.class_names import CAR

PLANTED = Path(__file__).parent / "bundled" / "planted"
PLANTED_SEEDS = tuple(range(800_000, 800_006))
"""Of the bundled streets, on which no segmenter was trained."""


@dataclass(frozen=True, eq=False)
class Planted:
    """A street with one car, with or without the board.

    Attributes:
        pixels: uint8 RGB `(H, W, 3)`. With and without the board they differ in the cue's pixels alone.
        classes: the honest truth, uint8 `(H, W)`, indices into `STREET_CLASSES`; the board is a sign.
        cue: where the board stands, or would stand, bool `(H, W)`.
        thing: the car's pixels, bool `(H, W)`.
        shown: whether the board stands there.
        seed: of the street, the board's place and its colour.
    """

    pixels: npt.NDArray[np.uint8]
    classes: npt.NDArray[np.uint8]
    cue: npt.NDArray[np.bool_]
    thing: npt.NDArray[np.bool_]
    shown: bool
    seed: int


def load_planted(seed: int, board: bool) -> Planted:
    """Read a bundled street with the board or without it, 192 × 256 px. Its arrays are read-only.

    Args:
        seed: one of `PLANTED_SEEDS`.
        board: whether the board stands there.

    Raises:
        SettingError: a seed whose street is not bundled.
    """
    if seed not in PLANTED_SEEDS:
        raise SettingError(
            f"There is no bundled street with a planted cue of seed {seed!r}; expected one of "
            f"{', '.join(map(str, PLANTED_SEEDS))}."
        )
    name = f"{seed}-board" if board else str(seed)
    pixels, classes = _read(f"{name}.png"), _read(f"{name}.classes.png")
    cue, thing = _read(f"{seed}.cue.png") > 0, classes == CAR
    for array in (cue, thing):
        array.setflags(write=False)
    return Planted(pixels, classes, cue, thing, board, seed)


def _read(name: str) -> npt.NDArray[np.uint8]:
    with PIL.Image.open(PLANTED / name) as file:
        array = np.array(file, dtype=np.uint8)
    array.setflags(write=False)
    return array
