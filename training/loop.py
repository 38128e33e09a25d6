"""The training loop: AdamW, one cycle of the learning rate, bfloat16 where it is safe, averaged weights."""

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from perturb.segmenters.streets_unet import CLASSES, StreetsUNet
from training.data import Crops, Source, batches
from training.loss import class_weights, segmentation_loss


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the outcome besides the pictures."""

    minutes: float = 50
    seed: int = 7
    size: tuple[int, int] = (256, 320)
    camvid_crops: int = 5
    scene_crops: int = 3
    rare_share: float = 0.5
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    warm_up: float = 0.05
    average_decay: float = 0.998


def rate(progress: float, recipe: Recipe) -> float:
    """Learning rate at `progress` 0..1: a linear warm-up, then half a cosine down to nearly nothing."""
    if progress < recipe.warm_up:
        return recipe.learning_rate * max(progress / recipe.warm_up, 0.02)
    rest = (progress - recipe.warm_up) / (1 - recipe.warm_up)
    return recipe.learning_rate * (0.005 + 0.995 * 0.5 * (1 + math.cos(math.pi * min(rest, 1))))


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move `average` towards `network`: parameters and the statistics of the batch normalisations alike."""
    states = zip(average.state_dict().values(), network.state_dict().values(), strict=True)
    for kept, new in states:
        if kept.is_floating_point():
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)


def train(
    recipe: Recipe, camvid: Source, scenes: Source | None, report: Callable[[int, float, nn.Module], None]
) -> tuple[StreetsUNet, int]:
    """Train a network; returns the averaged one in eval mode and the number of steps.

    The schedule follows the clock, so that the run ends after `recipe.minutes` on any machine. `report` is called
    now and then with the step, the mean loss since the last call and the averaged network.
    """
    torch.manual_seed(recipe.seed)
    network = StreetsUNet().to(memory_format=torch.channels_last)
    average = copy.deepcopy(network).eval()
    # A second, coarse answer from the context pushes the deep stages directly; it is dropped after the training.
    coarse_head = nn.Conv2d(network.encoder3.conv.out_channels, len(CLASSES), 1)
    deep: list[Tensor] = []
    hook = network.context.register_forward_hook(lambda _module, _inputs, output: deep.append(output))

    matrices = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim == 1]  # biases and normalisations: no decay
    optimizer = torch.optim.AdamW(
        [
            {"params": [*matrices, *coarse_head.parameters()], "weight_decay": recipe.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
    )
    weights = class_weights(camvid.labels, len(CLASSES))
    count = recipe.camvid_crops + recipe.scene_crops
    crops = [(Crops(camvid, recipe.size, recipe.rare_share), recipe.camvid_crops if scenes else count)]
    if scenes:
        crops.append((Crops(scenes, recipe.size, recipe.rare_share / 2), recipe.scene_crops))

    start, step, losses = time.monotonic(), 0, []
    last_report = start
    for pictures, labels in batches(crops, recipe.seed):
        progress = (time.monotonic() - start) / (recipe.minutes * 60)
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = rate(progress, recipe)
        network.train()
        deep.clear()
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(pictures)
            coarse = coarse_head(deep[0])
        # Neighbours say nearly the same: every other row and column, other ones each step, for a quarter of the cost.
        row, column = step % 2, step // 2 % 2
        loss = segmentation_loss(logits[..., row::2, column::2], labels[:, row::2, column::2], weights)
        # The label at the middle of each 16x16 cell.
        loss = loss + 0.3 * segmentation_loss(coarse, labels[:, 8::16, 8::16], weights)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimizer.step()
        step += 1
        update_average(average, network, min(recipe.average_decay, (1 + step) / (10 + step)))
        losses.append(loss.item())
        if time.monotonic() - last_report > 90:
            report(step, sum(losses) / len(losses), average)
            losses.clear()
            last_report = time.monotonic()
    hook.remove()
    return average, step
