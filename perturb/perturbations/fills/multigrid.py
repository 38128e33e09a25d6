"""The preconditioner of linear imputation: one multigrid cycle over the hidden pixels.

Grids of half, a quarter, … of the size correct errors of long wavelength. All grids use the same stencil, because the
Laplace operator in two dimensions does not change with the cell size. Only the diagonal terms for the known pixels
differ from cell to cell.
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
"""Number of cells at or below which a grid is solved exactly."""

_WEIGHTS = np.array([[1.0, 2, 1], [2, 0, 2], [1, 2, 1]])
_SPREAD = np.array([0.5, 1, 0.5])


def neighbours(values: Tensor, out: Tensor | None = None) -> Tensor:
    """12 · Σ_j w_ij x_j over the neighbours within the image. The integer weights, 2 direct and 1 diagonal, are
    exact."""
    out = torch.empty_like(values) if out is None else out
    if values.device.type != "cpu":
        return out.copy_(_neighbours_anywhere(values))
    for plane, into in zip(_planes(values), _planes(out), strict=True):  # OpenCV needs one pass over memory, not seven
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
    """Bilinear interpolation from `(N, C, h, w)` to twice the size, into `out`."""
    height, width = out.shape[2:]
    if coarse.device.type != "cpu":
        return out.copy_(functional.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False))
    for plane, into in zip(_planes(coarse), _planes(out), strict=True):
        cv2.resize(plane, (width, height), dst=into, interpolation=cv2.INTER_LINEAR)
    return out


def restrict(fine: Tensor, out: Tensor, scratch: Tensor) -> Tensor:
    """The exact transpose of `prolong`, as conjugate gradients require. `scratch` has the shape of `fine`."""
    if fine.device.type != "cpu":
        return out.copy_(_restrict_anywhere(fine))
    height, width = out.shape[2:]
    spread = _planes(scratch)[0]  # the same for every plane: it stays in the cache
    for plane, into in zip(_planes(fine), _planes(out), strict=True):
        # The kernel ¼ ¾ ¾ ¼ is ¼ ½ ¼ applied at two neighbours; values beyond the border repeat the border.
        cv2.sepFilter2D(plane, -1, _SPREAD, _SPREAD, dst=spread, borderType=cv2.BORDER_REPLICATE)
        cv2.resize(spread, (width, height), dst=into, interpolation=cv2.INTER_AREA)
    return out


def _restrict_anywhere(fine: Tensor) -> Tensor:
    for _ in range(2):  # once for each axis
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
    """Sums over blocks of 2 × 2 cells; the last blocks of an odd size have fewer cells."""
    height, width = fine.shape[2:]
    if height % 2 or width % 2:
        fine = functional.pad(fine, (0, width % 2, 0, height % 2))
    rows = fine[..., ::2, :] + fine[..., 1::2, :]
    return rows[..., ::2] + rows[..., 1::2]


def made_even(cells: int) -> int:
    """Round up to an even number."""
    return cells + cells % 2


@dataclass(frozen=True)
class _Grid:
    """One grid. Its size is even, so that it can be halved; a padded row or column has no active cells.

    Attributes:
        active: 1 for cells to solve, 0 elsewhere, `(N, 1, h, w)`.
        jacobi: reciprocal of the matrix diagonal for active cells, 0 elsewhere, `(N, 1, h, w)`.
        residual: right-hand side, `(N, C, h, w)`; its values in inactive cells do not matter.
        first: result of the first Jacobi step, which starts from zero error; 0 in inactive cells.
        error: the solution; 0 in inactive cells.
        work: scratch array.
    """

    active: Tensor
    jacobi: Tensor
    residual: Tensor
    first: Tensor
    error: Tensor
    work: Tensor

    def smooth(self) -> Tensor:
        """One Jacobi step. Returns the neighbour sum of the error before the step.

        For this stencil the undamped step is the best smoother: the spectrum of high frequencies is 2/3 … 4/3.
        """
        pull = neighbours(self.error, self.work)
        torch.addcmul(self.first, self.jacobi, pull, out=self.error)
        return pull


class Multigrid:
    """Grids from the size of the image to at most `COARSEST` cells, each half the size of the one before.

    The arrays are reused for all masks: on a CPU, new memory costs several times as much as a sum in it.

    Args:
        masks: N.
        channels: C.
        height, width: of the finest grid, rounded up to even numbers.
        device: device of the arrays.

    Attributes:
        twice: whether a cycle visits the grid of half the size twice. That saves iterations. But for some masks, such
            as two known bands far apart, the second visit overshoots and the cycle is not positive definite. With one
            visit it always is.
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
        """The input of `cycle`, `(N, C, h, w)`."""
        return self._grids[0].residual

    def load(self, hole: Tensor, degrees: Tensor) -> None:
        """Load masks.

        Args:
            hole: 1 for hidden pixels, float32 `(N, 1, h, w)`, of even size; no mask hides everything.
            degrees: sum of the weights of each pixel's neighbours.
        """
        grid = self._grids[0]
        grid.active.copy_(hole)
        diagonal = degrees
        anchor = (degrees - neighbours(grid.active)).mul_(
            grid.active
        )  # weights of known neighbours, which have no error
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
        """Approximate the inverse of the matrix times `residual`; a symmetric operator. The next call overwrites it."""
        return self._cycle(0)

    def _cycle(self, depth: int) -> Tensor:
        grid = self._grids[depth]
        if depth == len(self._grids) - 1:
            into = grid.error.flatten(2)
            torch.matmul(grid.residual.flatten(2), self._inverse, out=into)
            return grid.error
        first = torch.mul(grid.residual, grid.jacobi, out=grid.first)
        left = neighbours(first, grid.work)  # residual after the step, which cancels the diagonal term
        self._correct(depth, first, left, grid.error)
        grid.smooth()
        if (
            depth == 1 and self.twice
        ):  # a second correction of the remaining residual saves a third of the iterations for a quarter more work
            pull = grid.smooth()
            left = neighbours(grid.error, grid.residual).sub_(pull)  # the residual itself is no longer needed
            self._correct(depth, grid.error, left, grid.work)
            grid.smooth()
        return grid.error

    def _correct(self, depth: int, error: Tensor, left: Tensor, scratch: Tensor) -> None:
        """Coarse-grid correction of the error for the residual `left`, which is overwritten."""
        grid, coarser = self._grids[depth], self._grids[depth + 1]
        part = _part_over(grid.active)
        # An inactive cell receives no correction, so it must not contribute to the coarse residual either. Otherwise
        # the cycle is not symmetric, and conjugate gradients stall.
        restrict(left.mul_(grid.active), coarser.residual[part], scratch)
        torch.addcmul(error, grid.active, prolong(self._cycle(depth + 1)[part], scratch), out=grid.error)


def _part_over(fine: Tensor) -> tuple[EllipsisType, slice, slice]:
    """Index of the next coarser grid without the padding to an even size."""
    return (..., slice(fine.shape[2] // 2), slice(fine.shape[3] // 2))


def _inverse(active: Tensor, diagonal: Tensor) -> Tensor:
    """Inverse of the matrix of a small grid, float32 `(N, h·w, h·w)`; 0 for inactive cells."""
    cells = active.shape[2] * active.shape[3]
    unit = torch.eye(cells, device=active.device).view(1, cells, *active.shape[2:])
    inside = active.flatten(1)
    both = inside[:, :, None] * inside[:, None, :]
    springs = both * _neighbours_anywhere(unit).flatten(2)
    matrix = torch.diag_embed(torch.where(inside > 0, diagonal.flatten(1), 1.0)) - springs
    return torch.cholesky_inverse(torch.linalg.cholesky(matrix.double())).float().mul_(both)
