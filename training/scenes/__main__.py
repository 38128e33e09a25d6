"""Draw the bundled scenes into ``perturb/images/bundled/``, or a contact sheet: ``python -m training.scenes --help``."""

import argparse
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from perturb.images.planted import PLANTED, PLANTED_SEEDS
from perturb.images.samples import BUNDLED
from training.scenes.compose import draw
from training.scenes.planted import draw_planted
from training.scenes.samples import COMPOSITIONS


def write_samples(folder: Path) -> None:
    """Write NAME.png (RGB), NAME.classes.png (8 bit) and NAME.instances.png (16 bit) for every sample."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, composition in COMPOSITIONS.items():
        scene = composition.draw()
        _write(folder / f"{name}.png", scene.pixels)
        _write(folder / f"{name}.classes.png", scene.classes)
        _write(folder / f"{name}.instances.png", scene.instances.astype(np.uint16))
        size = (folder / f"{name}.png").stat().st_size
        print(f"{name}: {size / 1000:.0f} kB")


def write_planted(folder: Path) -> None:
    """Write the streets of `PLANTED_SEEDS`.

    SEED.png (RGB) and SEED.classes.png (8 bit) show a street without the board, SEED-board.png and
    SEED-board.classes.png the same street with it, and SEED.cue.png (8 bit) is 255 where the board stands.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for seed in PLANTED_SEEDS:
        for name, board in ((str(seed), False), (f"{seed}-board", True)):
            street = draw_planted(seed, board)
            _write(folder / f"{name}.png", street.pixels)
            _write(folder / f"{name}.classes.png", street.classes)
        _write(folder / f"{seed}.cue.png", street.cue.astype(np.uint8) * 255)


def write_sheet(path: Path, count: int, first: int) -> None:
    """Write ``count`` scenes from seed ``first`` on, four a row."""
    pictures = [draw(seed).pixels for seed in range(first, first + count)]
    pictures += [np.zeros_like(pictures[0])] * (-count % 4)
    rows = [np.hstack(pictures[k : k + 4]) for k in range(0, len(pictures), 4)]
    _write(path, np.vstack(rows))


def _write(path: Path, array: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> None:
    if array.ndim == 3:
        written = cv2.imwrite(str(path), array[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])
    else:
        written = cv2.imwrite(str(path), array)
    if not written:
        raise OSError(f"OpenCV could not write {path}.")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m training.scenes", description=__doc__)
    parser.add_argument("--sheet", type=Path, help="write a contact sheet of random scenes here instead")
    parser.add_argument("--count", type=int, default=24, help="scenes on the sheet")
    parser.add_argument("--first", type=int, default=0, help="first seed on the sheet")
    asked = parser.parse_args()
    if asked.sheet:
        write_sheet(asked.sheet, asked.count, asked.first)
    else:
        write_samples(BUNDLED)
        write_planted(PLANTED)


if __name__ == "__main__":
    main()
