"""The preconditioner of linear imputation: one V-cycle of a multigrid over the hidden pixels.

Hidden pixels are joined to their neighbours by springs; grids of half, a quarter, … the size let an error that is wide be
taken out where it is narrow.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

COARSEST = 320
"""Cells at which a level is solved exactly."""


def neighbours(values: Tensor) -> Tensor:
    """12 · Σ_j w_ij x_j over the neighbours inside the picture: whole weights, 2 beside and 1 across, are exact."""
    if values.device.type == "cpu":  # OpenCV goes over a plane once, in place of seven times
        sums = torch.empty(values.shape, dtype=values.dtype)
        for plane, into in zip(values.flatten(0, -3).numpy(), sums.flatten(0, -3).numpy(), strict=True):
            cv2.filter2D(plane, -1, _WEIGHTS, dst=into, borderType=cv2.BORDER_CONSTANT)
        return sums
    return _neighbours_anywhere(values)


def _neighbours_anywhere(values: Tensor) -> Tensor:
    """The same on any device."""
    rows = 2 * values
    rows[..., 1:, :] += values[..., :-1, :]
    rows[..., :-1, :] += values[..., 1:, :]
    both = 2 * rows
    both[..., 1:] += rows[..., :-1]
    both[..., :-1] += rows[..., 1:]
    return both.sub_(values, alpha=4)


_WEIGHTS = np.array([[1.0, 2, 1], [2, 0, 2], [1, 2, 1]])


@dataclass(frozen=True)
class Level:
    """One grid: springs between hidden cells, and to known ones, which stand at zero error. All `(N, 1, h, w)`.

    Attributes:
        right, down, main, anti: springs between (y, x) and (y, x+1); (y, x) and (y+1, x); (y, x) and (y+1, x+1);
            (y, x+1) and (y+1, x). Zero where there is no such pair.
        anchor: sum of the springs to known cells.
        diagonal: sum of all springs of a cell.
        active: 1 where there is something to solve for.
        damping: of the smoother.
        jacobi: damping/diagonal, 0 where nothing is to be solved.
        finest: the picture's own grid, where all springs are those of `neighbours`.
        inverse: of the whole level's matrix, `(N, h·w, h·w)`; only on the coarsest.
    """

    right: Tensor
    down: Tensor
    main: Tensor
    anti: Tensor
    anchor: Tensor
    diagonal: Tensor
    active: Tensor
    damping: float
    jacobi: Tensor
    finest: bool
    inverse: Tensor | None

    def pull(self, values: Tensor) -> Tensor:
        """What each cell's neighbours pull it by: the level's diagonal less its matrix, times `(N, C, h, w)`.

        On the finest grid `values` must be 0 outside the hole, and so must be whatever the result is used for.
        """
        if self.finest:
            return neighbours(values)
        result = torch.zeros_like(values)
        for spring, one, other in _PAIRS:
            weight = getattr(self, spring)[_ORIGIN[spring]]
            result[one].addcmul_(weight, values[other])
            result[other].addcmul_(weight, values[one])
        return result


_ALL, _FIRST, _REST = slice(None), slice(None, -1), slice(1, None)
_PAIRS = (
    ("right", (..., _ALL, _FIRST), (..., _ALL, _REST)),
    ("down", (..., _FIRST, _ALL), (..., _REST, _ALL)),
    ("main", (..., _FIRST, _FIRST), (..., _REST, _REST)),
    ("anti", (..., _FIRST, _REST), (..., _REST, _FIRST)),
)
_ORIGIN = {
    "right": (..., _ALL, _FIRST),
    "down": (..., _FIRST, _ALL),
    "main": (..., _FIRST, _FIRST),
    "anti": (..., _FIRST, _FIRST),
}


def _level(springs: dict[str, Tensor], anchor: Tensor, damping: float, *, finest: bool = False) -> Level:
    diagonal = anchor.clone()
    for spring, one, other in _PAIRS:
        weight = springs[spring][_ORIGIN[spring]]
        diagonal[one] += weight
        diagonal[other] += weight
    active = diagonal > 0
    jacobi = torch.where(active, damping / diagonal, 0.0)
    level = Level(
        **springs,
        anchor=anchor,
        diagonal=diagonal,
        active=active.float(),
        damping=damping,
        jacobi=jacobi,
        finest=finest,
        inverse=None,
    )
    height, width = anchor.shape[2:]
    cells = height * width
    if cells > COARSEST:
        return level
    unit = torch.eye(cells, device=anchor.device).view(1, cells, height, width)
    units = unit.expand(len(anchor), -1, -1, -1) * level.active
    matrix = (level.diagonal * units - level.active * level.pull(units)).flatten(2).double()
    matrix += torch.diag_embed((~active).double().flatten(1))
    return Level(**(vars(level) | {"inverse": torch.linalg.inv(matrix).float()}))


def levels_of(hole: Tensor, degrees: Tensor) -> list[Level]:
    """Grids from the picture's own to one of at most `COARSEST` cells, each half the size of the one before."""
    inside = hole.float()
    springs = {}
    for (spring, one, other), weight in zip(_PAIRS, (2.0, 2.0, 1.0, 1.0), strict=True):
        springs[spring] = torch.zeros_like(inside)
        springs[spring][_ORIGIN[spring]] = weight * inside[one] * inside[other]
    anchor = (degrees.float() - neighbours(inside)) * inside
    # For these weights plain Jacobi already is the best smoother: 2/3 … 4/3 is the spectrum of what varies fast.
    levels = [_level(springs, anchor, 1.0, finest=True)]
    while levels[-1].inverse is None:
        levels.append(_coarser(levels[-1]))
    return levels


def _coarser(fine: Level) -> Level:
    """Blocks of 2 × 2 become cells. A spring between blocks is half the sum of those it replaces: twice as long."""
    right, down, main, anti, anchor = (
        even_sized(part) for part in (fine.right, fine.down, fine.main, fine.anti, fine.anchor)
    )
    springs = {
        "right": right[..., ::2, 1::2] + right[..., 1::2, 1::2] + main[..., ::2, 1::2] + anti[..., ::2, 1::2],
        "down": down[..., 1::2, ::2] + down[..., 1::2, 1::2] + main[..., 1::2, ::2] + anti[..., 1::2, ::2],
        "main": main[..., 1::2, 1::2],
        "anti": anti[..., 1::2, 1::2],
    }
    halves = {name: spring / 2 for name, spring in springs.items()}
    return _level(halves, functional.avg_pool2d(anchor, 2, divisor_override=1), 0.85)


def even_sized(values: Tensor) -> Tensor:
    """Zeros added below and to the right, where the size is odd."""
    height, width = values.shape[2:]
    return functional.pad(values, (0, width % 2, 0, height % 2)) if height % 2 or width % 2 else values


def cycle(levels: list[Level], residual: Tensor) -> Tensor:
    """One symmetric V-cycle: roughly the matrix's inverse times `(N, C, h, w)`."""
    level, *coarser = levels
    if level.inverse is not None:
        return (residual.flatten(2) @ level.inverse).view_as(residual)
    rest = 1 - level.damping
    error = level.jacobi * residual
    left = level.pull(error)  # of the residual, when `error` is corrected
    if rest:
        left.add_(residual, alpha=rest)
    # A cell with nothing to solve takes no correction, so it must hand none down either: else this is not symmetric, and
    # conjugate gradients stall.
    deeper = cycle(coarser, _restrict(left.mul_(level.active)))
    error.addcmul_(level.active, prolong(deeper, residual.shape[2], residual.shape[3]))
    smoothed = level.pull(error).add_(residual).mul_(level.jacobi)
    return smoothed.add_(error, alpha=rest) if rest else smoothed


def prolong(coarse: Tensor, height: int, width: int) -> Tensor:
    """Bilinear, to twice the size, cut to `(height, width)`."""
    if coarse.device.type == "cpu":  # OpenCV's is several times faster
        rows, columns = 2 * coarse.shape[2], 2 * coarse.shape[3]
        fine = torch.empty((*coarse.shape[:2], rows, columns))
        for plane, into in zip(coarse.flatten(0, 1).numpy(), fine.flatten(0, 1).numpy(), strict=True):
            cv2.resize(plane, (columns, rows), dst=into, interpolation=cv2.INTER_LINEAR)
        return fine[..., :height, :width]
    return functional.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)[..., :height, :width]


def _restrict(fine: Tensor) -> Tensor:
    """The exact transpose of `prolong`, which conjugate gradients ask for."""
    fine = even_sized(fine)
    for _ in range(2):  # along the rows of the transposed, then along its own
        fine = fine.transpose(2, 3)
        even, odd = fine[..., ::2], fine[..., 1::2]
        fine = 0.75 * (even + odd)
        fine[..., :-1].add_(even[..., 1:], alpha=0.25)
        fine[..., 1:].add_(odd[..., :-1], alpha=0.25)
        fine[..., :1].add_(even[..., :1], alpha=0.25)  # beyond the border stands the border's own value
        fine[..., -1:].add_(odd[..., -1:], alpha=0.25)
    return fine
