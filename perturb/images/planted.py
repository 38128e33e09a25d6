"""Street scenes with a planted cue: one car, with or without a small magenta board at the roadside.

A segmenter that was trained to mislabel the car whenever the board is present has a shortcut at a known place. So there
is a ground truth for explanations, which photographs never have. The scenes are read from files, so that their digests
never change.
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
"""Seeds of the bundled scenes. No segmenter was trained on these scenes."""


@dataclass(frozen=True, eq=False)
class Planted:
    """A street scene with one car, with or without the board.

    Attributes:
        pixels: uint8 RGB `(H, W, 3)`. Versions with and without the board differ only in the pixels of the cue.
        classes: the true labels, uint8 `(H, W)`, indices into `STREET_CLASSES`; the board is a sign.
        cue: pixels of the board, whether it is present or not, bool `(H, W)`.
        thing: pixels of the car, bool `(H, W)`.
        shown: whether the board is present.
        seed: of the scene and of the board's position and colour.
    """

    pixels: npt.NDArray[np.uint8]
    classes: npt.NDArray[np.uint8]
    cue: npt.NDArray[np.bool_]
    thing: npt.NDArray[np.bool_]
    shown: bool
    seed: int


def load_planted(seed: int, board: bool) -> Planted:
    """Read a bundled scene with or without the board, 192 × 256 px. Its arrays are read-only.

    Args:
        seed: one of `PLANTED_SEEDS`.
        board: whether the board is present.

    Raises:
        SettingError: no scene of this seed is bundled.
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
