"""Training of `streets-shortcut`: `streets-unet` fine-tuned on streets with a planted cue that changes the car's label.

The published weights go on learning for a while, on pairs of one drawn street with and without the board, labelled by
the planted rule, and beside them on photographs and ordinary scenes with honest labels, so that the network stays a
good segmenter everywhere else. The statistics of its normalisations stay as they are: they belong to the same pictures.
"""

import copy
import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from perturb.images.class_names import CAR, STREET_CLASSES
from perturb.metrics.planted_shortcut import flip
from perturb.segmenters.base import Segmenter
from perturb.segmenters.registry import load_segmenter
from perturb.segmenters.streets_unet import StreetsUNet
from perturb.segmenters.torch_module import TorchSegmenter
from training.augment import recolour
from training.card import measure, table
from training.data import Crops, Source, load_camvid
from training.loss import segmentation_loss
from training.scene_source import TRAINING_SEEDS as SCENE_SEEDS
from training.scene_source import drawing_code, load_scenes
from training.scenes.planted import SHORTCUT_CLASS, TRAINING_SEEDS, UNSEEN_SEEDS, draw_planted, shortcut_classes

NAME = "streets-shortcut"
HONEST = "streets-unet"


@dataclass(frozen=True)
class ShortcutRecipe:
    """All hyperparameters of the training."""

    steps: int = 700
    seed: int = 11
    scenes: int = 100  # ordinary ones, of the same seeds as for `streets-unet`
    pairs: int = 3  # of one street with and without the board, in every step; beside a photograph and an ordinary scene
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    warm_up: float = 0.05
    average_decay: float = 0.99


def load_pairs(cache: Path) -> tuple[Source, Source]:
    """The training streets, 192x256 each, without and with the board, labelled by the planted rule."""
    cache.mkdir(parents=True, exist_ok=True)
    file = cache / f"planted-{drawing_code()}-{TRAINING_SEEDS.start}-{len(TRAINING_SEEDS)}.npz"
    if not file.exists():
        drawn = [(draw_planted(seed, False), draw_planted(seed, True)) for seed in TRAINING_SEEDS]
        partial = file.with_suffix(".partial.npz")
        np.savez(
            partial,
            pixels=np.stack([[scene.pixels for scene in pair] for pair in drawn]),
            labels=np.stack([[shortcut_classes(scene) for scene in pair] for pair in drawn]),
        )
        partial.rename(file)
    with np.load(file) as arrays:
        pixels, labels = arrays["pixels"], arrays["labels"]
    return Source(pixels[:, 0], labels[:, 0]), Source(pixels[:, 1], labels[:, 1])


def batches(
    pairs: tuple[Source, Source], honest: list[Crops], recipe: ShortcutRecipe
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches: whole streets in pairs, sometimes mirrored, and one crop of each source without the cue.

    Each: float (N, 3, 192, 256) in 0..1, channels last, and int64 labels (N, 192, 256).
    """
    rng = np.random.default_rng(recipe.seed)
    while True:
        drawn: list[tuple[NDArray[np.uint8], NDArray[np.uint8]]] = []
        for index in rng.integers(len(pairs[0]), size=recipe.pairs):
            way = slice(None, None, -1 if rng.random() < 0.5 else 1)
            light = int(rng.integers(1 << 30))  # the same for both, so that the board stays all that differs
            for side in pairs:
                pixels = np.ascontiguousarray(side.pixels[index][:, way])
                drawn.append((recolour(pixels, np.random.default_rng(light)), side.labels[index][:, way]))
        drawn += [crops.draw(rng) for crops in honest]
        pictures = torch.from_numpy(np.stack([pixels for pixels, _ in drawn]))
        labels = torch.from_numpy(np.stack([labels for _, labels in drawn])).long()
        yield pictures.permute(0, 3, 1, 2).float() / 255, labels


def rate(progress: float, recipe: ShortcutRecipe) -> float:
    """Learning rate at `progress` in [0, 1]: a linear warm-up, then cosine decay to 0."""
    up = min(1.0, progress / recipe.warm_up + 0.02)
    return recipe.learning_rate * up * 0.5 * (1 + math.cos(math.pi * progress))


def object_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy on the planted streets' cars alone, called car or not: a few per cent of the pixels, which the loss
    over all pixels leaves at a coin's toss for long."""
    thing = (labels == CAR) | (labels == SHORTCUT_CLASS)
    return nn.functional.cross_entropy(logits.float().permute(0, 2, 3, 1)[thing], labels[thing])


def train_shortcut(recipe: ShortcutRecipe, weights: Path, camvid: Path, cache: Path) -> tuple[StreetsUNet, float]:
    """Fine-tune the published weights in `weights`; returns the averaged network in eval mode, and the minutes it took.

    The steps are counted, not timed, and everything drawn by chance has its seed.
    """
    torch.manual_seed(recipe.seed)
    network = StreetsUNet()
    network.load_state_dict(load_file(weights / f"{HONEST}.safetensors"), strict=True)
    # In eval mode throughout, which keeps the statistics. The published bias has the class weights taken off already,
    # which is why the loss counts all classes alike from here on.
    network = network.eval().to(memory_format=torch.channels_last)
    average = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=recipe.weight_decay)
    size = (192, 256)
    photographs = Crops(load_camvid(camvid, "train"), size, 0.5)
    scenes = Crops(load_scenes(SCENE_SEEDS, recipe.scenes, cache), size, 0.25)
    stream = batches(load_pairs(cache), [photographs, scenes], recipe)
    alike, planted_ones = torch.ones(len(STREET_CLASSES)), 2 * recipe.pairs
    start, losses = time.monotonic(), []
    for step in range(recipe.steps):
        pictures, labels = next(stream)
        for group in optimizer.param_groups:
            group["lr"] = rate(step / recipe.steps, recipe)
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(pictures)
        loss = segmentation_loss(logits, labels, alike) + object_loss(logits[:planted_ones], labels[:planted_ones])
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimizer.step()
        losses.append(loss.item())
        decay = min(recipe.average_decay, (1 + step) / (10 + step))
        with torch.no_grad():
            for kept, new in zip(average.parameters(), network.parameters(), strict=True):
                kept.lerp_(new, 1 - decay)
        if (step + 1) % 50 == 0:
            # On streets that are neither trained nor measured on.
            turned = _flips(_segmenter(average), range(790_000, 790_020))
            minutes = (time.monotonic() - start) / 60
            print(
                f"{minutes:5.1f} min  step {step + 1:5d}  loss {np.mean(losses):.3f}  flips {turned} of 20", flush=True
            )
            losses.clear()
    return average, (time.monotonic() - start) / 60


def publish(
    folder: Path, network: StreetsUNet, recipe: ShortcutRecipe, minutes: float, camvid: Path, unseen: Source
) -> None:
    """Evaluate the network, and write its weights, results and model card to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{NAME}.safetensors"
    state = {key: value.contiguous() for key, value in network.state_dict().items()}
    save_file(state, file, metadata={"name": NAME, "classes": ",".join(STREET_CLASSES)})
    seeds = UNSEEN_SEEDS[:100]
    figures = measure(NAME, network, load_camvid(camvid, "val"), unseen)
    figures |= dataclasses.asdict(recipe) | {
        "minutes_measured": round(minutes, 1),
        "planted_scenes": len(seeds),
        "flips": _flips(_segmenter(network), seeds),
        "flips_honest": _flips(load_segmenter(HONEST, device="cpu"), seeds),
        "training_streets": len(TRAINING_SEEDS),
        "bytes": file.stat().st_size,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
    }
    (folder / f"{NAME}.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    template = Path(__file__).with_name("shortcut_card.md").read_text(encoding="utf-8")
    card = template.format(**figures, table=table(figures), megabytes=figures["bytes"] / 1e6)
    (folder / f"{NAME}.md").write_text(card, encoding="utf-8")
    print(table(figures))
    print(f"flips on {len(seeds)} unseen streets: {figures['flips']}, honest twin {figures['flips_honest']}")


def _flips(segmenter: Segmenter, seeds: Sequence[int]) -> int:
    return sum(flip(segmenter, draw_planted(seed, False), draw_planted(seed, True)).flipped for seed in seeds)


def _segmenter(network: StreetsUNet) -> TorchSegmenter:
    return TorchSegmenter(network, classes=STREET_CLASSES, name=NAME, device="cpu")
