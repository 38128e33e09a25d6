"""A bound on the speed on this machine: the operations that a result needs, divided by the rate of operations.

An operation is a multiplication with its addition (MAC). An answer needs those of a convolution's outputs that differ from
the clean run's: all others are known already. They are counted by running the network clean and perturbed and comparing
every convolution's outputs, cell by cell. The rate is the best that matrix products reach here, which no network does: its
layers are of awkward sizes, and what stands between them (sums, batch norms, interpolation) only moves memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import contest
from benchmarks.subjects import Subject
from perturb.perturbations.masks import Windows

SAMPLE = 12
"""Number of windows, or channels, that are run to count operations; the others are assumed to be like them."""
GREY = 0.5
Convolution = nn.Conv2d | nn.ConvTranspose2d


def rate(dtype: torch.dtype = torch.float32) -> float:
    """MACs a second of square matrix products on all threads: the best of several sizes and repetitions."""
    best = 0.0
    for size in (768, 1536, 3072):
        one, other = (torch.randn(size, size).to(dtype) for _ in range(2))
        for _ in range(4):
            began = contest.clock()
            one @ other
            best = max(best, size**3 / (contest.clock() - began))
    return best


def occlusion_limit(subject: Subject, size: int, stride: int) -> dict[str, float]:
    """Billions of MACs: `whole` runs every window's whole picture, `needed` only what a window changes."""
    windows = Windows(subject.image.height, subject.image.width, size=size, stride=stride)
    chosen = np.unique(np.linspace(0, len(windows) - 1, SAMPLE).astype(int))
    picture = subject.picture
    with torch.inference_mode(), _Counter(subject.segmenter.module).counting() as counter:
        subject.segmenter(picture)
        whole, changed = counter.total, 0.0
        for index in chosen:
            hidden = windows.hidden(index, index + 1)[:, None]
            subject.segmenter(torch.where(hidden, torch.tensor(GREY), picture))
            changed += counter.total / len(chosen)
    return {"whole": whole * len(windows) / 1e9, "needed": changed * len(windows) / 1e9}


def ablation_limit(subject: Subject, layer: str) -> dict[str, float]:
    """Billions of MACs: `whole` runs the network for every channel, `needed` only what a channel changes.

    A convolution that takes the layer's map itself only needs the one channel's part of its sums.
    """
    module = subject.segmenter.module
    target = module.get_submodule(layer)
    silent: list[int] = []

    def silence(_module: nn.Module, _given: object, output: Tensor) -> Tensor:
        if not silent:
            return output
        output = output.clone()
        output[:, silent] = 0
        return output

    with torch.inference_mode():
        handle = target.register_forward_hook(silence)
        counter = _Counter(module, after=target)
        try:
            with counter.counting():
                subject.segmenter(subject.picture)
                whole, changed = counter.total, 0.0
                chosen = np.linspace(0, counter.channels - 1, SAMPLE).astype(int)
                for channel in chosen:
                    silent[:] = [int(channel)]
                    subject.segmenter(subject.picture)
                    changed += counter.total / len(chosen)
        finally:
            handle.remove()
    return {"whole": whole * counter.channels / 1e9, "needed": changed * counter.channels / 1e9}


class _Counter:
    """Counts the MACs of convolutions: in the first run all, in each later one those of outputs that changed.

    Args:
        module: the network.
        after: a layer of which one channel changes; of what takes its map itself only that channel's part is counted.

    Attributes:
        total: of the latest run.
        channels: of `after`.
    """

    def __init__(self, module: nn.Module, after: nn.Module | None = None) -> None:
        self._module, self._after = module, after
        self._clean: dict[nn.Module, Tensor] = {}
        self._address = 0
        self.channels = 0
        self.total = 0.0

    @contextmanager
    def counting(self) -> Iterator[_Counter]:
        handles = [self._module.register_forward_pre_hook(lambda *_: setattr(self, "total", 0.0))]
        if self._after is not None:
            handles.append(self._after.register_forward_hook(self._note))
        handles += [p.register_forward_hook(self._count) for p in self._module.modules() if isinstance(p, Convolution)]
        try:
            yield self
        finally:
            for handle in handles:
                handle.remove()

    def _note(self, _module: nn.Module, _given: object, output: Tensor) -> None:
        self._address, self.channels = output.data_ptr(), output.shape[1]

    def _count(self, module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(module, Convolution)
        # Each cell of a convolution's output (of a transposed one's input) takes one product with all weights.
        transposed = isinstance(module, nn.ConvTranspose2d)
        cell = float(module.weight.numel())
        if module not in self._clean:
            self._clean[module] = output.clone()
            cells = (given[0] if transposed else output)[0, 0].numel()
        else:
            cells = int((output != self._clean[module]).any(1).sum())
            if transposed:
                cells = cells * given[0][0, 0].numel() // output[0, 0].numel()
            if self._after is not None and given[0].data_ptr() == self._address:
                cell /= module.in_channels
        self.total += cell * cells
