"""Make the weights of `streets-unet` again, or measure the ones at hand.

python -m training --camvid DIR             draw scenes, train, measure, write weights and model card
python -m training evaluate --camvid DIR    measure the weights again
"""

import argparse
import ctypes
import dataclasses
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from perturb.segmenters.streets_unet import CLASSES, StreetsUNet
from training.card import NAME, measure, table, write
from training.data import Source, load_camvid
from training.loop import Recipe, train
from training.measure import confusion, iou
from training.scenes import TRAINING_SEEDS, UNSEEN_SEEDS, load_scenes

WEIGHTS = Path(__file__).parents[1] / "perturb" / "segmenters" / "weights"
CACHE = Path.home() / ".cache" / "perturb-lab" / "training"


def keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next step; handing it back and asking again takes a fifth of the time."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        m_trim_threshold, m_mmap_max = -1, -4  # of malloc.h
        libc.mallopt(m_mmap_max, 0)
        libc.mallopt(m_trim_threshold, 2**31 - 1)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", nargs="?", choices=("train", "evaluate"), default="train")
    parser.add_argument("--camvid", type=Path, required=True, help="folder with train/ and val/ (images/, labels/)")
    parser.add_argument("--weights", type=Path, help="folder to write to or to measure (default: the library's)")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder for the drawn scenes (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=Recipe.minutes, help="of training (default: %(default)s)")
    parser.add_argument("--scenes", type=int, default=1400, help="scenes to train on (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="smoke run: 1 minute, 40 scenes, weights to --cache")
    return parser.parse_args()


def evaluate(folder: Path, val: Source, unseen: Source) -> None:
    """Measure the weights in `folder` and print the figures."""
    network = StreetsUNet()
    network.load_state_dict(load_file(folder / f"{NAME}.safetensors"), strict=True)
    figures = measure(network.eval(), val, unseen)
    print(table(figures))
    print(json.dumps({key: value for key, value in figures.items() if not key.startswith("iou_")}, indent=2))


def make(folder: Path, recipe: Recipe, camvid: Path, val: Source, scenes: Source, unseen: Source) -> None:
    """Train, measure, and write the weights, their figures and their model card into `folder`."""
    frames = Source(val.pixels[::4], val.labels[::4])
    start = time.monotonic()

    def report(step: int, loss: float, network: nn.Module) -> None:
        mean = np.nanmean(iou(confusion(network, frames, len(CLASSES))))
        minutes = (time.monotonic() - start) / 60
        print(f"{minutes:5.1f} min  step {step}  loss {loss:.3f}  mIoU {mean:.3f} (a quarter of val)", flush=True)

    network, steps = train(recipe, load_camvid(camvid, "train"), scenes, report)
    minutes = (time.monotonic() - start) / 60
    folder.mkdir(parents=True, exist_ok=True)
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    save_file(state, folder / f"{NAME}.safetensors", metadata={"name": NAME, "classes": ",".join(CLASSES)})
    figures = measure(network, val, unseen)
    weakest = sorted(CLASSES, key=lambda name: figures["iou_camvid_val"][name])[:3]
    height, width = recipe.size
    figures |= dataclasses.asdict(recipe) | {
        "crop_height": height,
        "crop_width": width,
        "training_scenes": len(scenes),
        "steps": steps,
        "minutes_measured": round(minutes, 1),
        "weak": "Weakest on CamVid val: " + ", ".join(weakest) + ".",
    }
    write(folder, figures)
    print(table(figures))


def main() -> None:
    options = arguments()
    keep_freed_memory()
    torch.set_num_threads(2)
    folder = options.weights or (options.cache / "quick" if options.quick else WEIGHTS)
    minutes, count, unseen_count = (1.0, 40, 10) if options.quick else (options.minutes, options.scenes, 100)
    val = load_camvid(options.camvid, "val")
    unseen = load_scenes(UNSEEN_SEEDS, unseen_count, options.cache)
    if options.command == "evaluate":
        evaluate(folder, val, unseen)
    else:
        scenes = load_scenes(TRAINING_SEEDS, count, options.cache)
        make(folder, Recipe(minutes=minutes), options.camvid, val, scenes, unseen)


if __name__ == "__main__":
    main()
