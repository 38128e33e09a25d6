"""3 × 3 convolutions by Winograd's minimal filtering algorithm.

Lavin & Gray 2016: with small linear transforms of input, weights and output, 4 × 4 outputs of a 3 × 3 convolution take
36 products instead of 144. The additional rounding in float32 is about 1e-6 of the output's range. A convolution of
dilation d is computed as a plain convolution of d × d interleaved maps.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

FEWEST = 32
"""Smallest number of input and output channels for which the transforms cost clearly less than they save."""
FURTHEST = 4
"""Largest dilation for which it is faster."""
WORTH = 5.0
"""Largest number of products per output and pair of channels for which it is faster; a plain convolution needs 9."""
TOGETHER = 64
"""Tiles per batch: enough for matrix products at full speed, few enough to stay in the cache."""
LARGE = 256 * 256
"""Pairs of channels for which the weights no longer fit the cache; batches then have four times as many tiles."""
POINTS = 36
"""Products per tile."""


class Winograd:
    """A 3 × 3 convolution. Its weights are transformed on first use, which takes four times their memory.

    Args:
        weight: `(C', C, 3, 3)`, float32.
        bias: `(C',)` or None.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self._weight = weight
        self._bias = (weight.new_zeros(len(weight)) if bias is None else bias).numpy()
        self._made: np.ndarray | None = None

    @staticmethod
    def knows(weight: Tensor, dilation: tuple[int, int]) -> bool:
        """Whether this can be faster for a convolution of stride 1 without groups."""
        return (
            tuple(weight.shape[2:]) == (3, 3)
            and min(weight.shape[:2]) >= FEWEST
            and dilation[0] == dilation[1] <= FURTHEST
            and weight.dtype == torch.float32
            and weight.device.type == "cpu"
        )

    @staticmethod
    def pays(height: int, width: int, dilation: int) -> bool:
        """Whether it is faster for an output of this size: tiles that extend beyond the map waste work."""
        rows, columns = _tiles(height, width, dilation)
        return rows * columns * dilation**2 * POINTS <= WORTH * height * width

    def __call__(self, given: Tensor, padding: tuple[int, int], dilation: int, *, rectified: bool = False) -> Tensor:
        """The convolution's output, `(N, C', h', w')`, channels last.

        Args:
            given: `(N, C, h, w)`.
            padding: zeros added at the top and bottom, and at the left and right.
            dilation: dilation of the kernel.
            rectified: whether to apply a ReLU.
        """
        from perturb.engine.incremental import tiles  # here: see `compiling`

        given = given.permute(0, 2, 3, 1)
        count, height, width, channels = given.shape
        if given.stride()[2:] != (channels, 1) or any(step % channels for step in given.stride()[:2]):
            given = given.contiguous()
        steps = given.stride(0) // channels, given.stride(1) // channels
        cells = (count - 1) * steps[0] + (height - 1) * steps[1] + width
        flat = given.as_strided((cells, channels), (channels, 1)).numpy()
        high, wide = height + 2 * padding[0] - 2 * dilation, width + 2 * padding[1] - 2 * dilation
        outputs = len(self._weight)
        made = given.new_empty((count, high, wide, outputs))
        filled = made.view(-1, outputs).numpy()
        grid = _tiles(high, wide, dilation)
        total = count * dilation**2 * grid[0] * grid[1]
        most = TOGETHER if channels * outputs < LARGE else 4 * TOGETHER
        most = -(-total // -(-total // most))  # batches of nearly equal size
        seen, products = (np.empty((POINTS * most, each), np.float32) for each in (channels, outputs))
        room = [np.empty((cells, each), np.float32) for cells, each in ((36, channels), (6, channels), (24, outputs))]
        lowest = np.float32(0 if rectified else -np.inf)
        weights = self._weights()
        for first in range(0, total, most):
            some = min(most, total - first)
            ours, theirs = seen[: POINTS * some], products[: POINTS * some]
            tiles.into(flat, steps, (height, width), padding, dilation, grid, first, some, ours, *room[:2])
            np.matmul(ours.reshape(POINTS, some, -1), weights, out=theirs.reshape(POINTS, some, -1))
            tiles.out_of(theirs, self._bias, lowest, (high, wide), dilation, grid, first, some, filled, room[2])
        return made.permute(0, 3, 1, 2)

    def _weights(self) -> np.ndarray:
        """The transformed weights, `(36, C, C')`."""
        if self._made is None:
            g = torch.from_numpy(np.kron(_G, _G)).float()
            made = g @ self._weight.permute(2, 3, 1, 0).reshape(9, -1)
            self._made = made.view(POINTS, *self._weight.shape[1::-1]).numpy()
        return self._made


@lru_cache(maxsize=256)
def _tiles(height: int, width: int, dilation: int) -> tuple[int, int]:
    """Rows and columns of tiles in each of the interleaved maps of an output."""
    rows, columns = (-(-length // (4 * dilation)) for length in (height, width))
    return rows, columns


_G = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
"""The weight transform G for the interpolation points 0, ±1, ±2 and ∞."""
