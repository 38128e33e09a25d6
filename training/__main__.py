"""Train the weights of an embedded segmenter, or evaluate the existing ones.

python -m training --camvid DIR             draw scenes, train, measure, write weights and model card
python -m training evaluate --camvid DIR    measure the weights again
python -m training --network streets-lraspp --camvid DIR    the same for another network
python -m training shortcut --camvid DIR    teach streets-unet a shortcut: the weights of its flawed twin
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from perturb.images.class_names import STREET_CLASSES
from training.card import measure, table, write
from training.data import Source, load_camvid
from training.loop import Recipe, train
from training.loss import class_weights, undo_weights
from training.networks import NETWORKS
from training.scene_source import UNSEEN_SEEDS, load_scenes
from training.shortcut import ShortcutRecipe, publish, train_shortcut

WEIGHTS = Path(__file__).parents[1] / "perturb" / "segmenters" / "weights"
CACHE = Path.home() / ".cache" / "perturb-lab" / "training"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", nargs="?", choices=("train", "evaluate", "shortcut"), default="train")
    parser.add_argument("--network", choices=tuple(NETWORKS), default="streets-unet", help="(default: %(default)s)")
    parser.add_argument("--camvid", type=Path, required=True, help="folder with train/ and val/ (images/, labels/)")
    parser.add_argument("--weights", type=Path, help="folder to write to or to measure (default: the library's)")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder for the drawn scenes (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=Recipe.minutes, help="of training (default: %(default)s)")
    parser.add_argument("--scenes", type=int, default=Recipe.scenes, help="scenes to train on (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="smoke run: 1 minute, 40 scenes, weights to --cache")
    return parser.parse_args()


def evaluate(name: str, folder: Path, val: Source, unseen: Source) -> None:
    """Evaluate the weights in `folder` and print the results."""
    network = NETWORKS[name].make()
    network.load_state_dict(load_file(folder / f"{name}.safetensors"), strict=True)
    figures = measure(name, network.eval(), val, unseen)
    print(table(figures))
    print(json.dumps({key: value for key, value in figures.items() if not key.startswith("iou_")}, indent=2))


def make(name: str, folder: Path, recipe: Recipe, camvid: Path, cache: Path, unseen: int) -> None:
    """Train and evaluate a network, and write its weights, results and model card to `folder`."""
    start = time.monotonic()
    network, steps = train(name, recipe, camvid, cache)
    minutes = (time.monotonic() - start) / 60
    last = network.get_submodule(NETWORKS[name].last)
    assert isinstance(last, nn.Conv2d)
    undo_weights(last, class_weights(load_camvid(camvid, "train").labels, len(STREET_CLASSES)))
    folder.mkdir(parents=True, exist_ok=True)
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    save_file(state, folder / f"{name}.safetensors", metadata={"name": name, "classes": ",".join(STREET_CLASSES)})
    figures = measure(name, network, load_camvid(camvid, "val"), load_scenes(UNSEEN_SEEDS, unseen, cache))
    weakest = sorted(STREET_CLASSES, key=lambda each: figures["iou_camvid_val"][each])[:3]
    height, width = recipe.size
    figures |= dataclasses.asdict(recipe) | {
        "crop_height": height,
        "crop_width": width,
        "steps": steps,
        "minutes_measured": round(minutes, 1),
        "weak": "Weakest on CamVid val: " + ", ".join(weakest) + ".",
    }
    write(name, folder, figures)
    print(table(figures))


def make_shortcut(folder: Path, options: argparse.Namespace) -> None:
    """Fine-tune the network with a shortcut from the published weights; write weights, results and model card to `folder`."""
    recipe = ShortcutRecipe(steps=50, scenes=10) if options.quick else ShortcutRecipe()
    network, minutes = train_shortcut(recipe, WEIGHTS, options.camvid, options.cache)
    unseen = load_scenes(UNSEEN_SEEDS, 10 if options.quick else 100, options.cache)
    publish(folder, network, recipe, minutes, options.camvid, unseen)


def main() -> None:
    options = arguments()
    torch.set_num_threads(2)
    folder = options.weights or (options.cache / "quick" if options.quick else WEIGHTS)
    recipe = Recipe(minutes=1, scenes=40) if options.quick else Recipe(minutes=options.minutes, scenes=options.scenes)
    unseen = 10 if options.quick else 100
    if options.command == "evaluate":
        val = load_camvid(options.camvid, "val")
        evaluate(options.network, folder, val, load_scenes(UNSEEN_SEEDS, unseen, options.cache))
    elif options.command == "shortcut":
        make_shortcut(folder, options)
    else:
        make(options.network, folder, recipe, options.camvid, options.cache, unseen)


if __name__ == "__main__":
    main()
