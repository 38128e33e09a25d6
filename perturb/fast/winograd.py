"""3 × 3 convolutions with fewer multiplications.

Lavin & Gray 2016: m × m outputs of a 3 × 3 convolution take (m + 2)² products in place of 9·m², after small linear
transforms of the input, the weights and the output. The transforms are Lagrange interpolation at the points 0, ±1, ±2, ∞
(Cook-Toom); with up to m = 4 what they add in float32 rounding stays near 1e-6 of the output's range. A dilated
convolution is one of each of d × d interleaved maps.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

FEWEST = 128
"""Channels in and out from which the transforms cost clearly less than they save."""
FURTHEST = 4
"""Dilation up to which the interleaved maps are worth their tiles."""
WORTH = 4.5
"""Products for each output and pair of channels, of a plain convolution's 9, up to which it pays."""
FIRST = 2
"""Runs of a clean picture that come before the perturbed ones, which are many or none."""
POINTS = (0.0, 1.0, -1.0, 2.0, -2.0)


class Winograd:
    """The weights of a 3 × 3 convolution, transformed once for each size of tile; that is up to four times their memory.

    Args:
        weight: `(C', C, 3, 3)`, float32.
    """

    def __init__(self, weight: Tensor) -> None:
        self._weight = weight
        self._made: dict[int, Tensor] = {}
        self._asked = 0

    @staticmethod
    def knows(weight: Tensor, dilation: tuple[int, int]) -> bool:
        """Whether it is a convolution, of stride 1 and without groups, that this can be faster at."""
        return (
            tuple(weight.shape[2:]) == (3, 3)
            and min(weight.shape[:2]) >= FEWEST
            and dilation[0] == dilation[1] <= FURTHEST
            and weight.dtype == torch.float32
            and weight.device.type == "cpu"
        )

    def side(self, height: int, width: int, dilation: int) -> int:
        """The tile's side for an output of that size; 0 where a plain convolution is as fast.

        Transforming the weights costs as much as a few convolutions, so the first ones are plain.
        """
        self._asked += 1
        if self._asked <= FIRST:
            return 0
        rows, columns = -(-height // dilation), -(-width // dilation)
        # Products for each output; a tile that reaches beyond the map does work for nothing.
        costs = {
            side: (-(-rows // side) * -(-columns // side) * (side + 2) ** 2) * dilation**2 / (height * width)
            for side in (2, 3, 4)
        }
        best = min(costs, key=costs.__getitem__)
        return best if costs[best] < WORTH and height * width >= 64 else 0

    def __call__(self, given: Tensor, padding: tuple[int, int], dilation: int, side: int) -> Tensor:
        """The convolution's output, `(N, C', h', w')`, without its bias.

        Args:
            given: `(N, C, h, w)`.
            padding: zeros added above and below, left and right.
            dilation: between the taps.
            side: of a tile.
        """
        count, channels, height, width = given.shape
        high, wide = height + 2 * padding[0] - 2 * dilation, width + 2 * padding[1] - 2 * dilation
        # Rows and columns of tiles in each of the interleaved maps.
        rows, columns = (-(-length // (dilation * side)) for length in (high, wide))
        tall, broad = (rows * side + 2) * dilation, (columns * side + 2) * dilation
        padded = functional.pad(
            given, (padding[1], broad - width - padding[1], padding[0], tall - height - padding[0])
        ).permute(0, 2, 3, 1)
        maps = padded.reshape(count, tall // dilation, dilation, broad // dilation, dilation, channels)
        maps = maps.permute(0, 2, 4, 1, 3, 5)  # N, d, d, rows, columns, C
        reach = side + 2
        tiles = maps.unfold(3, reach, side).unfold(4, reach, side)  # N, d, d, R, S, C, reach, reach
        tiles = tiles.permute(6, 7, 0, 1, 2, 3, 4, 5).reshape(reach * reach, -1)
        into, out = _transforms(side)
        seen = torch.mm(into, tiles).view(reach * reach, -1, channels)
        made = torch.bmm(seen, self._weights(side))
        outputs = made.shape[2]
        made = torch.mm(out, made.view(reach * reach, -1))
        made = made.view(side, side, count, dilation, dilation, rows, columns, outputs)
        # N, R, side, d, S, side, d, C': row = (R·side + place in the tile)·d + map
        made = made.permute(2, 5, 0, 3, 6, 1, 4, 7).reshape(
            count, rows * side * dilation, columns * side * dilation, outputs
        )
        return made[:, :high, :wide].permute(0, 3, 1, 2)

    def _weights(self, side: int) -> Tensor:
        """`(n², C, C')` for n = side + 2."""
        if side not in self._made:
            g = _bases(side)[1]
            taps = self._weight.permute(2, 3, 1, 0).reshape(9, -1)
            made = torch.from_numpy(np.kron(g, g)).float() @ taps
            self._made[side] = made.view(len(made), *self._weight.shape[1::-1])
        return self._made[side]


@lru_cache(maxsize=8)
def _bases(side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A (side × n), G (n × 3) and B (n × n) with y = A[(G g) ⊙ (B d)], for n = side + 2."""
    points = POINTS[: side + 1]
    count = side + 2
    a = np.zeros((side, count))
    g = np.zeros((count, 3))
    b = np.zeros((count, count))
    for place, point in enumerate(points):
        others = [other for other in points if other != point]
        a[:, place] = point ** np.arange(side)
        g[place] = point ** np.arange(3) / np.prod([point - other for other in others])
        b[place, : count - 1] = np.poly(others)[::-1]
    a[side - 1, -1] = 1
    g[-1, 2] = 1
    b[-1] = np.poly(points)[::-1]
    return a, g, b


@lru_cache(maxsize=8)
def _transforms(side: int) -> tuple[Tensor, Tensor]:
    a, _, b = _bases(side)
    return torch.from_numpy(np.kron(b, b)).float(), torch.from_numpy(np.kron(a, a)).float()
