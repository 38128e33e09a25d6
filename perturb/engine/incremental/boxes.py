"""Run a network on images that each differ from the clean image in one box, computing only what the box can change.

The clean values of all steps are kept. A changed box changes a box of the next step's output, which is wider by the
step's receptive field, and so on. Once the box fills the map, or a step depends on the whole map, the rest is run
whole. The results are those of a whole pass. Idea: Nakandala et al. 2019 (Krypton), incremental inference for
occlusion.

Several images are run together, because a small operation takes longer to start than to run. Their boxes can lie
anywhere, but all have the size of the largest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from perturb.engine.incremental.base import Op, Outside, Span, Step
from perturb.engine.incremental.lowering import Network
from perturb.engine.incremental.mix import Mix
from perturb.engine.incremental.ops import Mean, Pointwise
from perturb.engine.incremental.sums import EnlargedSum, enlarged_sums

WHOLE = 0.8
"""Share of a map above which it is faster to compute the whole map than a box with its border."""

Corners = tuple[tuple[int, ...], tuple[int, ...]]
"""The first row of each of N boxes, and their first columns."""


@dataclass(frozen=True)
class ChangedBoxes:
    """N maps that each differ from the clean map in one box.

    Attributes:
        values: values in the boxes, `(N, C, h, w)`.
        corners: positions of the boxes, which lie completely within the map.
    """

    values: Tensor
    corners: Corners

    def span(self, axis: int, row: int) -> Span:
        """Rows (axis 0) or columns (axis 1) of one box."""
        first = self.corners[axis][row]
        return first, first + self.values.shape[2 + axis]

    def one(self, row: int) -> ChangedBoxes:
        """A single one of the maps."""
        return ChangedBoxes(self.values[row : row + 1], ((self.corners[0][row],), (self.corners[1][row],)))


Value = ChangedBoxes | Tensor | None
"""Perturbed maps: changed in a box each, changed everywhere `(N, C, h, w)`, or not at all (None)."""


class Boxes:
    """Incremental passes through a network.

    Args:
        network: the lowered network.
        given: the clean image, normalised, `(1, 3, H, W)`.

    Attributes:
        clean: clean value of each step.
    """

    def __init__(self, network: Network, given: Tensor) -> None:
        self._network = network
        self.clean = [value.contiguous(memory_format=torch.channels_last) for value in network.clean(given)]
        self._sums = enlarged_sums(network)
        # These maps are upsampled as part of the sum, if they changed everywhere.
        self._later = {network.steps[at].inputs[made.enlarged] for at, made in self._sums.items()}
        last = {place: at for at, step in enumerate(network.steps) for place in step.inputs}
        self._done: list[list[int]] = [[] for _ in network.steps]
        for place, at in last.items():
            self._done[at].append(place)

    def __call__(self, changed: Value) -> Value:
        """Output of the last step for perturbed images."""
        values: list[Value] = [changed, *[None] * (len(self._network.steps) - 1)]
        for at, step in enumerate(self._network.steps):
            if at and any(values[place] is not None for place in step.inputs):
                given = [values[place] for place in step.inputs]
                later = at in self._later and isinstance(given[0], Tensor)
                values[at] = given[0] if later else self._step(step, given, at)
            for place in self._done[at]:
                values[place] = None  # frees its memory
        return values[-1]

    def _step(self, step: Step, given: Sequence[Value], at: int) -> Value:
        op = step.op
        assert op is not None
        if isinstance(op, Mean) and isinstance(given[0], ChangedBoxes):
            return self._mean(given[0], step.inputs[0], at)
        if at in self._sums:
            low = given[self._sums[at].enlarged]
            if isinstance(low, Tensor) and low.shape[2:] != step.shape[1:]:
                return self._sum(self._sums[at], low, given, step)
        # Inputs with a single cell for the whole map: a change affects all cells.
        single = [
            isinstance(op, Pointwise | Mix) and tuple(self.clean[place].shape[2:]) != step.shape[1:]
            for place in step.inputs
        ]
        spread = any(value is not None and alone for value, alone in zip(given, single, strict=True))
        if not op.local or spread or any(isinstance(value, Tensor) for value in given):
            return self._whole(op, given, step)
        corners, size = _touched(op, [value for value in given if isinstance(value, ChangedBoxes)], step.shape[1:])
        if not size[0] * size[1]:
            return None
        if size[0] * size[1] > WHOLE * step.shape[1] * step.shape[2]:
            return self._whole(op, given, step)
        boxes = [[(first, first + size[axis]) for first in corners[axis]] for axis in (0, 1)]
        needed = [[op.needed(axis, box) for box in boxes[axis]] for axis in (0, 1)]
        patches = []
        for value, place, alone in zip(given, step.inputs, single, strict=True):
            if alone:
                patches.append(self.clean[place])
            else:
                assert not isinstance(value, Tensor)
                patches.append(extract(self.clean[place], value, (needed[0], needed[1]), op.outside))
        return ChangedBoxes(op.part(patches, (boxes[0][0], boxes[1][0])), corners)

    def _whole(self, op: Op, given: Sequence[Value], step: Step) -> Tensor:
        maps = [whole(self.clean[place], value) for value, place in zip(given, step.inputs, strict=True)]
        count = max(len(each) for each in maps)
        return op(*(each if len(each) == count else each.expand(count, -1, -1, -1) for each in maps))

    def _sum(self, made: EnlargedSum, low: Tensor, given: Sequence[Value], step: Step) -> Tensor:
        other, boxes = given[made.other], []
        if isinstance(other, ChangedBoxes):
            boxes = [
                (*corner, other.values[row : row + 1]) for row, corner in enumerate(zip(*other.corners, strict=True))
            ]
        return made(low, other if isinstance(other, Tensor) else self.clean[step.inputs[made.other]], boxes)

    def _mean(self, patch: ChangedBoxes, place: int, at: int) -> Tensor:
        """The mean over the map, updated by the change in the boxes."""
        clean = self.clean[place]
        rows, columns = ([patch.span(axis, row) for row in range(len(patch.values))] for axis in (0, 1))
        change = (patch.values - extract(clean, None, (rows, columns), "zero")).sum((2, 3), keepdim=True)
        return self.clean[at] + change / (clean.shape[2] * clean.shape[3])


def _touched(op: Op, given: Sequence[ChangedBoxes], size: Sequence[int]) -> tuple[Corners, tuple[int, int]]:
    """The boxes of an operation's output that depend on the changed boxes of its inputs: corners and common size.

    A box without changed cells in the map gets the size of one cell. If this holds for all boxes, the size is 0.
    """
    count = len(given[0].values)
    found, empty = [], [False] * count
    for axis in (0, 1):
        spans = []
        for row in range(count):
            touched = [op.touched(axis, value.span(axis, row)) for value in given]
            first, last = max(0, min(span[0] for span in touched)), min(size[axis], max(span[1] for span in touched))
            empty[row] |= first >= last
            first = min(first, size[axis] - 1)
            spans.append((first, max(last, first + 1)))
        unit = op.unit(axis)
        firsts = [first // unit * unit for first, _ in spans]
        length = max(last - first for first, (_, last) in zip(firsts, spans, strict=True))
        length = -(-length // unit) * unit
        found.append((tuple(min(first, size[axis] - length) for first in firsts), length))
    (rows, height), (columns, width) = found
    return (rows, columns), ((0, 0) if all(empty) else (height, width))


def whole(clean: Tensor, value: Value) -> Tensor:
    """The complete maps, `(N, C, h, w)`; read-only."""
    if value is None:
        return clean
    if isinstance(value, Tensor):
        return value
    count = len(value.values)
    result = clean.expand(count, -1, -1, -1).clone(memory_format=torch.channels_last)
    for row in range(count):
        result[row, :, slice(*value.span(0, row)), slice(*value.span(1, row))] = value.values[row]
    return result


def extract(
    clean: Tensor, value: ChangedBoxes | None, spans: tuple[Sequence[Span], Sequence[Span]], outside: Outside
) -> Tensor:
    """Extract a patch of each map; patches may extend beyond the border.

    Args:
        clean: the clean map, `(1, C, h, w)`.
        value: the perturbed maps; None for unchanged maps.
        spans: rows and columns of each patch; all patches have the same size.
        outside: values beyond the border.

    Returns:
        `(N, C, …)`; read-only.
    """
    sizes = [last - first for first, last in (spans[0][0], spans[1][0])]
    if value is not None:
        # Offsets of the boxes in their patches. If they are equal and the patches lie within the boxes, slices suffice.
        steps = [
            {box - piece[0] for box, piece in zip(value.corners[axis], spans[axis], strict=True)} for axis in (0, 1)
        ]
        (top, *more), (left, *others) = steps
        high, wide = value.values.shape[2:]
        if not (more or others) and top <= 0 and left <= 0 and top + high >= sizes[0] and left + wide >= sizes[1]:
            return value.values[..., -top : sizes[0] - top, -left : sizes[1] - left]
    from perturb.engine.incremental.gathering import gathered  # here: see `compiling`

    count, channels = len(spans[0]), clean.shape[1]
    values = clean.new_empty((count, channels, 0, 0)) if value is None else value.values
    corners = np.zeros((count, 2), np.int64) if value is None else np.array(value.corners).T.copy()
    firsts = np.array([[span[0] for span in each] for each in spans]).T.copy()
    made = clean.new_empty((count, *sizes, channels))
    lowest = torch.finfo(clean.dtype).min if outside == "lowest" else 0.0
    beyond = _bits(clean.new_full((1,), lowest))[0]
    gathered(_cells(clean)[0], _cells(values), corners, firsts, outside == "edge", beyond, _bits(made))
    return made.permute(0, 3, 1, 2)


def _cells(maps: Tensor) -> npt.NDArray[Any]:
    """Maps `(N, C, h, w)` with channels last."""
    return _bits(maps.permute(0, 2, 3, 1).contiguous())


def _bits(values: Tensor) -> npt.NDArray[Any]:
    """Values as numpy arrays for copying. numpy has no bfloat16, so its bits are viewed as int16."""
    return (values.view(torch.int16) if values.dtype == torch.bfloat16 else values).numpy()
