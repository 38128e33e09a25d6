"""The preconditioner of linear imputation: one cycle of a multigrid over the hidden pixels.

Hidden pixels are joined to their neighbours by springs; grids of half, a quarter, … the size let an error that is wide be
taken out where it is narrow. Every grid has the picture's own springs, for in a plane a block pulls at the next one as a
pixel does at a pixel; only the springs to known pixels differ from block to block.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import EllipsisType

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

COARSEST = 300
"""Cells at which a grid is solved exactly."""

_WEIGHTS = np.array([[1.0, 2, 1], [2, 0, 2], [1, 2, 1]])
_SPREAD = np.array([0.5, 1, 0.5])


def neighbours(values: Tensor, out: Tensor | None = None) -> Tensor:
    """12 · Σ_j w_ij x_j over the neighbours inside the picture: whole weights, 2 beside and 1 across, are exact."""
    out = torch.empty_like(values) if out is None else out
    if values.device.type != "cpu":
        return out.copy_(_neighbours_anywhere(values))
    for plane, into in zip(_planes(values), _planes(out), strict=True):  # OpenCV goes over it once, not seven times
        cv2.filter2D(plane, -1, _WEIGHTS, dst=into, borderType=cv2.BORDER_CONSTANT)
    return out


def _neighbours_anywhere(values: Tensor) -> Tensor:
    rows = 2 * values
    rows[..., 1:, :] += values[..., :-1, :]
    rows[..., :-1, :] += values[..., 1:, :]
    both = 2 * rows
    both[..., 1:] += rows[..., :-1]
    both[..., :-1] += rows[..., 1:]
    return both.sub_(values, alpha=4)


def prolong(coarse: Tensor, out: Tensor) -> Tensor:
    """Bilinear, from `(N, C, h, w)` to twice the size."""
    height, width = out.shape[2:]
    if coarse.device.type != "cpu":
        return out.copy_(functional.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False))
    for plane, into in zip(_planes(coarse), _planes(out), strict=True):
        cv2.resize(plane, (width, height), dst=into, interpolation=cv2.INTER_LINEAR)
    return out


def restrict(fine: Tensor, out: Tensor, scratch: Tensor) -> Tensor:
    """The exact transpose of `prolong`, which conjugate gradients ask for. `scratch` is like `fine`."""
    if fine.device.type != "cpu":
        return out.copy_(_restrict_anywhere(fine))
    height, width = out.shape[2:]
    spread = _planes(scratch)[0]  # the same for every plane: it stays in the cache
    for plane, into in zip(_planes(fine), _planes(out), strict=True):
        # ¼ ¾ ¾ ¼ are the sums of two of ¼ ½ ¼; beyond the border stands the border's own value.
        cv2.sepFilter2D(plane, -1, _SPREAD, _SPREAD, dst=spread, borderType=cv2.BORDER_REPLICATE)
        cv2.resize(spread, (width, height), dst=into, interpolation=cv2.INTER_AREA)
    return out


def _restrict_anywhere(fine: Tensor) -> Tensor:
    for _ in range(2):  # along the rows of the transposed, then along its own
        fine = fine.transpose(2, 3)
        even, odd = fine[..., ::2], fine[..., 1::2]
        fine = 0.75 * (even + odd)
        fine[..., :-1].add_(even[..., 1:], alpha=0.25)
        fine[..., 1:].add_(odd[..., :-1], alpha=0.25)
        fine[..., :1].add_(even[..., :1], alpha=0.25)
        fine[..., -1:].add_(odd[..., -1:], alpha=0.25)
    return fine


def _planes(values: Tensor) -> npt.NDArray[np.float32]:
    planes: npt.NDArray[np.float32] = values.flatten(0, -3).numpy()
    return planes


def block_sums(fine: Tensor) -> Tensor:
    """Over 2 × 2 cells each; where the size is odd, the last ones have fewer."""
    height, width = fine.shape[2:]
    if height % 2 or width % 2:
        fine = functional.pad(fine, (0, width % 2, 0, height % 2))
    rows = fine[..., ::2, :] + fine[..., 1::2, :]
    return rows[..., ::2] + rows[..., 1::2]


def made_even(cells: int) -> int:
    """The next even number, if this one is odd."""
    return cells + cells % 2


@dataclass(frozen=True)
class _Grid:
    """One grid, of even size so that it halves: a row or column may stand over, where nothing is active.

    Attributes:
        active: 1 where there is something to solve for, `(N, 1, h, w)`.
        jacobi: 1 over the sum of all springs of an active cell, 0 elsewhere, `(N, 1, h, w)`.
        residual: what is to be solved, `(N, C, h, w)`; what it holds where nothing is active does not matter.
        first: the first Jacobi step, from no error.
        error: the solution; like `first` 0 where nothing is active.
        work: for sums on the way.
    """

    active: Tensor
    jacobi: Tensor
    residual: Tensor
    first: Tensor
    error: Tensor
    work: Tensor

    def smooth(self) -> Tensor:
        """One Jacobi step; returns the pull of its neighbours' errors on each cell before it.

        For these springs it is the best smoother undamped: 2/3 … 4/3 is the spectrum of what varies fast.
        """
        pull = neighbours(self.error, self.work)
        torch.addcmul(self.first, self.jacobi, pull, out=self.error)
        return pull


class Multigrid:
    """Grids from the picture's own to one of at most `COARSEST` cells, each half the size of the one before.

    The arrays serve mask after mask: on a processor fresh memory costs several times what a sum in it does.

    Args:
        masks: N.
        channels: C.
        height, width: of the finest grid, made even if they are not.
        device: where to keep it.

    Attributes:
        twice: whether a cycle visits the grid of half the size twice. That saves steps, but on some masks, such as two
            known bands far apart, the second visit overshoots and the cycle is not positive definite; with one visit it
            always is.
    """

    def __init__(self, masks: int, channels: int, height: int, width: int, device: torch.device) -> None:
        self.twice = True
        self._grids: list[_Grid] = []
        self._inverse = torch.empty(0)
        while True:
            rows, columns = made_even(height), made_even(width)
            flat = [torch.zeros((masks, 1, rows, columns), device=device) for _ in range(2)]
            full = [torch.zeros((masks, channels, rows, columns), device=device) for _ in range(4)]
            self._grids.append(_Grid(*flat, *full))
            if rows * columns <= COARSEST:
                break
            height, width = rows // 2, columns // 2

    @property
    def residual(self) -> Tensor:
        """`(N, C, h, w)`: to be written before `cycle`."""
        return self._grids[0].residual

    def load(self, hole: Tensor, degrees: Tensor) -> None:
        """Take on other masks.

        Args:
            hole: 1 where hidden, float32 `(N, 1, h, w)`, of even size; every mask leaves something.
            degrees: sum of all springs of each pixel.
        """
        grid = self._grids[0]
        grid.active.copy_(hole)
        diagonal = degrees
        anchor = (degrees - neighbours(grid.active)).mul_(grid.active)  # springs to known pixels, which have no error
        torch.div(grid.active, degrees, out=grid.jacobi)
        for fine, grid in zip(self._grids, self._grids[1:], strict=False):
            part = _part_over(fine.active)
            grid.active[part] = (block_sums(fine.active) > 0).float()
            anchors = torch.zeros_like(grid.active)
            anchors[part] = block_sums(anchor)
            anchor = anchors
            diagonal = neighbours(grid.active).add_(anchor)
            torch.div(grid.active, diagonal.clamp(min=1), out=grid.jacobi)
        self._inverse = _inverse(grid.active, diagonal)

    def cycle(self) -> Tensor:
        """Roughly the matrix's inverse times `residual`, symmetric; overwritten by the next one."""
        return self._cycle(0)

    def _cycle(self, depth: int) -> Tensor:
        grid = self._grids[depth]
        if depth == len(self._grids) - 1:
            into = grid.error.flatten(2)
            torch.matmul(grid.residual.flatten(2), self._inverse, out=into)
            return grid.error
        first = torch.mul(grid.residual, grid.jacobi, out=grid.first)
        left = neighbours(first, grid.work)  # of the residual, for the step took the diagonal's part away
        self._correct(depth, first, left, grid.error)
        grid.smooth()
        if (
            depth == 1 and self.twice
        ):  # once more, on what is left: a third of the steps saved, for a quarter more work in each
            pull = grid.smooth()
            left = neighbours(grid.error, grid.residual).sub_(pull)  # the residual itself is needed no more
            self._correct(depth, grid.error, left, grid.work)
            grid.smooth()
        return grid.error

    def _correct(self, depth: int, error: Tensor, left: Tensor, scratch: Tensor) -> None:
        """Correct the error by what the coarser grids say of the residual `left`, which is overwritten."""
        grid, coarser = self._grids[depth], self._grids[depth + 1]
        part = _part_over(grid.active)
        # A cell with nothing to solve takes no correction, so it must hand none down either: else this is not symmetric,
        # and conjugate gradients stall.
        restrict(left.mul_(grid.active), coarser.residual[part], scratch)
        torch.addcmul(error, grid.active, prolong(self._cycle(depth + 1)[part], scratch), out=grid.error)


def _part_over(fine: Tensor) -> tuple[EllipsisType, slice, slice]:
    """The part of the next coarser grid that lies over this one: all but what made its size even."""
    return (..., slice(fine.shape[2] // 2), slice(fine.shape[3] // 2))


def _inverse(active: Tensor, diagonal: Tensor) -> Tensor:
    """Of the matrix of a small grid, float32 `(N, h·w, h·w)`; 0 where there is nothing to solve."""
    cells = active.shape[2] * active.shape[3]
    unit = torch.eye(cells, device=active.device).view(1, cells, *active.shape[2:])
    inside = active.flatten(1)
    both = inside[:, :, None] * inside[:, None, :]
    springs = both * _neighbours_anywhere(unit).flatten(2)
    matrix = torch.diag_embed(torch.where(inside > 0, diagonal.flatten(1), 1.0)) - springs
    return torch.cholesky_inverse(torch.linalg.cholesky(matrix.double())).float().mul_(both)
