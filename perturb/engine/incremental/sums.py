"""Sums of an upsampled map and another, as in decoders with skip connections, without storing the upsampled map."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from perturb.engine.incremental.lowering import Network
from perturb.engine.incremental.moves import Resize, interpolation_sources
from perturb.engine.incremental.ops import Place, Pointwise


class EnlargedSum:
    """Bilinear upsampling, sum with another map, and an optional ReLU, in one pass over memory.

    Args:
        resize: the upsampling.
        enlarged: index of the upsampled map among the step's inputs.
        rectified: whether a ReLU follows.

    Attributes:
        enlarged, other: indices of the two maps among the step's inputs.
    """

    def __init__(self, resize: Resize, enlarged: int, *, rectified: bool) -> None:
        self.enlarged, self.other = enlarged, 1 - enlarged
        self._size = resize.size
        lines = [interpolation_sources(to, of) for to, of in zip(resize.size, resize.given, strict=True)]
        (self._rows, down), (self._columns, right) = lines
        self._down, self._right = down.astype(np.float32), right.astype(np.float32)
        self._lowest = np.float32(0 if rectified else -np.inf)

    def __call__(self, low: Tensor, other: Tensor, boxes: list[tuple[int, int, Tensor]]) -> Tensor:
        """The sums, `(N, C, H, W)`.

        Args:
            low: the small maps, `(N, C, h, w)`.
            other: the large maps, `(N, C, H, W)`, or `(1, C, H, W)` for all.
            boxes: changes of `other` for each of the N maps: first row, first column and values `(1, C, a, b)`. Empty
                if nothing changed.
        """
        made = low.new_empty((len(low), *self._size, low.shape[1]))
        small = low.permute(0, 2, 3, 1).contiguous()
        self._fill(small, other, 0, 0, made)
        for row, (top, left, values) in enumerate(boxes):
            self._fill(small[row : row + 1], values, top, left, made[row : row + 1])
        return made.permute(0, 3, 1, 2)

    def _fill(self, small: Tensor, other: Tensor, top: int, left: int, made: Tensor) -> None:
        from perturb.engine.incremental.raising import raised  # here: see `compiling`

        line = np.empty(small.shape[2:], np.float32)
        added = other.permute(0, 2, 3, 1).contiguous().numpy()
        raised(
            small.numpy(), self._rows, self._down, self._columns, self._right, added, top, left, self._lowest, line,
            made.numpy(),
        )  # fmt: skip


def enlarged_sums(network: Network) -> dict[int, EnlargedSum]:
    """The sums of a network whose upsampled map is not used elsewhere, by index of the step."""
    found: dict[int, EnlargedSum] = {}
    steps = network.steps
    users = [sum(place in step.inputs for step in steps) for place in range(len(steps))]
    for at, step in enumerate(steps):
        op = step.op
        if not isinstance(op, Pointwise) or op.function is not torch.add or op.acts not in ((), (torch.relu_,)):
            continue
        if not all(isinstance(value, Place) for value in op.arguments) or network.dtype != torch.float32:
            continue
        if len(step.inputs) != 2 or any(steps[place].shape != step.shape for place in step.inputs):
            continue
        for enlarged, place in enumerate(step.inputs):
            resize = steps[place].op
            if isinstance(resize, Resize) and resize.bilinear and resize.local and users[place] == 1:
                found[at] = EnlargedSum(resize, enlarged, rectified=bool(op.acts))
                break
    return found
