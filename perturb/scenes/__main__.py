"""Draw the named scenes into ``bundled/``, or a contact sheet of random ones: ``python -m perturb.scenes --help``."""

import argparse
from pathlib import Path

import cv2
import numpy as np

from perturb.scenes.compose import draw
from perturb.scenes.samples import SAMPLES

BUNDLED = Path(__file__).parent / "bundled"


def write_samples(folder: Path) -> None:
    """Write NAME.png (RGB), NAME.classes.png (8 bit) and NAME.instances.png (16 bit) for every sample."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, sample in SAMPLES.items():
        scene = sample.draw()
        cv2.imwrite(str(folder / f"{name}.png"), scene.pixels[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])
        cv2.imwrite(str(folder / f"{name}.classes.png"), scene.classes)
        cv2.imwrite(str(folder / f"{name}.instances.png"), scene.instances.astype(np.uint16))
        size = (folder / f"{name}.png").stat().st_size
        print(f"{name}: {size / 1000:.0f} kB")


def write_sheet(path: Path, count: int, first: int) -> None:
    """Write ``count`` scenes from seed ``first`` on, four a row."""
    pictures = [draw(seed).pixels for seed in range(first, first + count)]
    pictures += [np.zeros_like(pictures[0])] * (-count % 4)
    rows = [np.hstack(pictures[k : k + 4]) for k in range(0, len(pictures), 4)]
    cv2.imwrite(str(path), np.vstack(rows)[:, :, ::-1])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m perturb.scenes", description=__doc__)
    parser.add_argument("--sheet", type=Path, help="write a contact sheet of random scenes here instead")
    parser.add_argument("--count", type=int, default=24, help="scenes on the sheet")
    parser.add_argument("--first", type=int, default=0, help="first seed on the sheet")
    asked = parser.parse_args()
    if asked.sheet:
        write_sheet(asked.sheet, asked.count, asked.first)
    else:
        write_samples(BUNDLED)


if __name__ == "__main__":
    main()
