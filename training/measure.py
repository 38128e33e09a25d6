"""Evaluation of a network: intersection over union by class, receptive field, milliseconds per image."""

import copy
import time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.augment import IGNORE
from training.data import Source
from training.networks import Network


def to_input(pixels: NDArray[np.uint8]) -> Tensor:
    """uint8 RGB (N, H, W, 3) -> float (N, 3, H, W) in 0..1, channels last in memory."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


@torch.inference_mode()
def confusion(network: nn.Module, source: Source, classes: int) -> NDArray[np.int64]:
    """Confusion matrix: pixels by true class (row) and predicted class (column), over whole images at their own size."""
    network.eval()
    total = np.zeros(classes * classes, np.int64)
    for pixels, labels in zip(source.pixels, source.labels, strict=True):
        predicted = network(to_input(pixels[None]))[0].argmax(0).numpy()
        known = labels != IGNORE
        pairs = labels[known].astype(np.int64) * classes + predicted[known]
        total += np.bincount(pairs, minlength=classes * classes)
    return total.reshape(classes, classes)


def iou(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """Intersection over union by class (C,) of a confusion matrix (C, C); nan for a class that never occurs."""
    hit = np.diag(matrix).astype(float)
    union = matrix.sum(0) + matrix.sum(1) - hit
    result: NDArray[np.float64] = np.full(len(matrix), np.nan)
    np.divide(hit, union, out=result, where=union > 0)
    return result


def reach(network: nn.Module, stride: int) -> int:
    """Radius of the receptive field: the largest distance in pixels at which the input influences a logit.

    Measured on a copy whose convolutions all average with positive weights, so that nothing cancels out or is cut by
    a ReLU: wherever the gradient of one logit is not zero, some weights would let that pixel matter.
    """
    copy_ = copy.deepcopy(network).eval().double()
    for module in copy_.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
    width = 128 * stride
    farthest = 0
    # Pixels of one cell of the grid of strides see differently far; try each place in the middle cell.
    for place in range(width // 2, width // 2 + stride):
        x = torch.full((1, 3, stride, width), 1.0, dtype=torch.double, requires_grad=True)
        copy_(x)[0, 0, stride // 2, place].backward()
        assert x.grad is not None
        seen = x.grad.abs().sum((0, 1, 2)).nonzero()[:, 0]
        farthest = max(farthest, int((seen - place).abs().max()))
    return farthest


@torch.inference_mode()
def milliseconds(network: Network, batch: int, height: int = 360, width: int = 480, repeats: int = 30) -> float:
    """Time per image of a batch, float32, channels last, batch norms folded, on torch's threads.

    The fastest of `repeats` runs: whatever else the machine does can only add to it.
    """
    fused = copy.deepcopy(network).eval().fuse().to(memory_format=torch.channels_last)
    x = torch.rand(batch, height, width, 3).permute(0, 3, 1, 2)
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        fused(x)
        times.append(time.perf_counter() - start)
    return min(times) * 1000 / batch
