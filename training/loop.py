"""The training loop: AdamW, a one-cycle learning rate, bfloat16 where it is safe, averaged weights.

Two processes of one thread each, which share every step's gradients, rather than one process of two threads: threads
wait for each other after every operation, processes once a step, which is twice as fast on cores that others use too.
"""

import ctypes
import math
import sys
import time
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.multiprocessing import get_context, spawn

from perturb.images.class_names import STREET_CLASSES
from training.data import Crops, Source, batches, load_camvid
from training.loss import class_weights, segmentation_loss
from training.measure import confusion, iou
from training.networks import NETWORKS, Network, depthwise_in_float32
from training.scene_source import TRAINING_SEEDS, load_scenes

WORKERS = 2


@dataclass(frozen=True)
class Recipe:
    """All hyperparameters of the training."""

    minutes: float = 56
    seed: int = 7
    scenes: int = 600
    size: tuple[int, int] = (256, 320)
    crops: tuple[tuple[int, int], ...] = ((3, 1), (2, 2))  # of photographs and of scenes, by worker
    scenes_from: float = 0.22  # share of the run after which scenes join; photographs alone before
    rare_share: float = 0.5
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    warm_up: float = 0.05
    average_decay: float = 0.998


def rate(progress: float, recipe: Recipe) -> float:
    """Learning rate at `progress` in [0, 1]: a linear warm-up, then cosine decay to almost 0."""
    if progress < recipe.warm_up:
        return recipe.learning_rate * max(progress / recipe.warm_up, 0.02)
    rest = (progress - recipe.warm_up) / (1 - recipe.warm_up)
    return recipe.learning_rate * (0.005 + 0.995 * 0.5 * (1 + math.cos(math.pi * min(rest, 1))))


def keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next step; returning and requesting it again takes a third of the time."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        m_trim_threshold, m_top_pad, m_mmap_max = -1, -2, -4  # of malloc.h
        libc.mallopt(m_mmap_max, 0)
        libc.mallopt(m_trim_threshold, 2**31 - 1)
        libc.mallopt(m_top_pad, 2**28)


class Exchange:
    """Memory that the workers share: a row of numbers each, and the progress that the first worker computes from the time."""

    def __init__(self, numbers: int) -> None:
        self.rows = torch.zeros(WORKERS, numbers).share_memory_()
        self.progress = torch.zeros(1, dtype=torch.double).share_memory_()
        self.barrier: Barrier = get_context("spawn").Barrier(WORKERS)

    def mean(self, rank: int, numbers: list[Tensor], progress: float) -> float:
        """Replace `numbers` by their means over the workers, and return the progress of the first worker."""
        self.rows[rank] = torch.cat([values.flatten() for values in numbers])
        if rank == 0:
            self.progress[0] = progress
        self.barrier.wait()
        means = self.rows.mean(0).split([values.numel() for values in numbers])
        agreed = float(self.progress[0])
        self.barrier.wait()
        for values, new in zip(numbers, means, strict=True):
            values.copy_(new.view_as(values))
        return agreed


class Learner(nn.Module):
    """The network with an auxiliary head on its context, which is dropped after training."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.network = NETWORKS[name].make()
        depthwise_in_float32(self.network)
        stage, channels = NETWORKS[name].deep
        self.coarse_head = nn.Conv2d(channels, len(STREET_CLASSES), 1)
        self.network.get_submodule(stage).register_forward_hook(self._keep)

    def _keep(self, _module: nn.Module, _inputs: object, output: Tensor) -> None:
        self.deep = output

    def loss(self, pictures: Tensor, labels: Tensor, weights: Tensor, step: int) -> Tensor:
        """Scalar loss of images (N, 3, h, w) against labels (N, h, w)."""
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.network(pictures)
            coarse = self.coarse_head(self.deep)
        # Neighbours say nearly the same: every other row and column, other ones each step, for a quarter of the cost.
        row, column = step % 2, step // 2 % 2
        fine = segmentation_loss(logits[..., row::2, column::2], labels[:, row::2, column::2], weights)
        # The label at the middle of each 16x16 cell.
        return fine + 0.3 * segmentation_loss(coarse, labels[:, 8::16, 8::16], weights)


def _optimizer(learner: Learner, recipe: Recipe) -> torch.optim.Optimizer:
    matrices = [p for p in learner.parameters() if p.ndim > 1]
    vectors = [p for p in learner.parameters() if p.ndim == 1]  # biases and normalisations: no decay
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups)


@torch.no_grad()
def _update_average(average: dict[str, Tensor], network: nn.Module, decay: float) -> None:
    """Move `average` towards `network`: parameters and the statistics of the batch normalisations alike."""
    for name, new in network.state_dict().items():
        if new.is_floating_point():
            average[name].lerp_(new, 1 - decay)
        else:
            average[name].copy_(new)


def _report(name: str, minutes: float, step: int, loss: float, average: dict[str, Tensor], frames: Source) -> None:
    network = NETWORKS[name].make()
    network.load_state_dict(average)
    mean = np.nanmean(iou(confusion(network, frames, len(STREET_CLASSES))))
    print(f"{minutes:5.1f} min  step {step}  loss {loss:.3f}  mIoU {mean:.3f} (a quarter of val)", flush=True)


def _work(rank: int, name: str, recipe: Recipe, camvid: Path, cache: Path, out: Path, exchange: Exchange) -> None:
    """One worker; the first one keeps the weight average, reports progress, and writes the result to `out`."""
    keep_freed_memory()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(recipe.seed)
    learner = Learner(name).to(memory_format=torch.channels_last).train()
    average = {
        key: values.clone(memory_format=torch.contiguous_format) for key, values in learner.network.state_dict().items()
    }
    optimizer = _optimizer(learner, recipe)
    statistics = [values for values in learner.buffers() if values.is_floating_point()]
    frames = load_camvid(camvid, "val")
    frames = Source(frames.pixels[::4], frames.labels[::4])
    photographs = load_camvid(camvid, "train")
    weights = class_weights(photographs.labels, len(STREET_CLASSES))
    crops = Crops(photographs, recipe.size, recipe.rare_share)
    few, more = recipe.crops[rank]
    stream = batches([(crops, few + more)], recipe.seed + 10 * rank)

    start, step, losses, joined, progress = time.monotonic(), 0, [], False, 0.0
    last_report = start
    while progress < 1:
        if not joined and progress >= recipe.scenes_from:
            pause = time.monotonic()
            if rank == 0:  # which draws them, if they are not in the cache
                load_scenes(TRAINING_SEEDS, recipe.scenes, cache)
            exchange.barrier.wait()
            drawn = Crops(load_scenes(TRAINING_SEEDS, recipe.scenes, cache), recipe.size, recipe.rare_share / 2)
            stream, joined = batches([(crops, few), (drawn, more)], recipe.seed + 10 * rank + 1), True
            start += time.monotonic() - pause
        pictures, labels = next(stream)
        for group in optimizer.param_groups:
            group["lr"] = rate(progress, recipe)
        optimizer.zero_grad()
        loss = learner.loss(pictures, labels, weights, step)
        loss.backward()
        gradients = [p.grad for p in learner.parameters() if p.grad is not None]
        progress = exchange.mean(rank, gradients + statistics, (time.monotonic() - start) / (recipe.minutes * 60))
        nn.utils.clip_grad_norm_(learner.parameters(), 2.0)
        optimizer.step()
        step += 1
        losses.append(loss.item())
        if rank == 0:
            _update_average(average, learner.network, min(recipe.average_decay, (1 + step) / (10 + step)))
            if time.monotonic() - last_report > 180:
                minutes = (time.monotonic() - start) / 60
                _report(name, minutes, step, float(np.mean(losses)), average, frames)
                save_file({**average, "steps": torch.tensor(step)}, out)
                losses.clear()
                last_report = time.monotonic()
    if rank == 0:
        save_file({**average, "steps": torch.tensor(step)}, out)


def train(name: str, recipe: Recipe, camvid: Path, cache: Path) -> tuple[Network, int]:
    """Train one of `NETWORKS`; returns the averaged one in eval mode and the number of steps.

    The schedule follows the clock, so that the run ends after `recipe.minutes` on any machine, however busy; the clock
    stands still while scenes are drawn. `cache` holds the drawn scenes and the latest averaged weights.
    """
    cache.mkdir(parents=True, exist_ok=True)
    out = cache / f"{name}-latest.safetensors"
    learner = Learner(name)
    numbers = sum(values.numel() for values in [*learner.parameters(), *learner.buffers()])
    numbers -= sum(values.numel() for values in learner.buffers() if not values.is_floating_point())
    spawn(_work, (name, recipe, camvid, cache, out, Exchange(numbers)), nprocs=WORKERS)
    state = load_file(out)
    steps = int(state.pop("steps"))
    network = NETWORKS[name].make()
    network.load_state_dict(state)
    return network.eval(), steps
