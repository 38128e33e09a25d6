"""Linear imputation: a hole takes the one surface that its rim determines.

Rong et al. 2022 (ROAD), sec. 4: every hidden pixel is the weighted mean of its neighbours, all of them at once. The
system is a discrete Laplace equation, solved here without a matrix by conjugate gradients. Left alone those need
hundreds of steps for a large hole; the preconditioner, one V-cycle of a multigrid, leaves about ten, whatever the
size of the hole and the share of hidden pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

TOLERANCE = 1e-5
"""Estimated largest error at which a solution is done, in the picture's units. A grey level is 4e-3."""
STEPS = 200
COARSEST = 64
"""Cells at which a level is solved exactly."""
MEMORY = 512_000_000
"""Bytes that the masks solved together may take on an accelerator."""


def impute(picture: Tensor, hidden: Tensor, *, start: Tensor | None = None, tolerance: float = TOLERANCE) -> Tensor:
    """Solve Σ_j w_ij (x_i − x_j) = 0 for the hidden pixels i of each mask, known pixels being what they are.

    j runs over the neighbours inside the picture, with w = 1/6 beside and 1/12 across (Rong et al. 2022, sec. 4).

    Args:
        picture: float32 `(3, H, W)`.
        hidden: bool `(N, H, W)`.
        start: where to begin, `(3, H, W)` or `(N, 3, H, W)`: the solution of a mask much like these. It saves about
            one step in six and changes the solution by no more than the tolerance. By default the mean of the known
            pixels: then the result does not depend on what the hidden ones were, to the last bit.
        tolerance: on the largest error, in units of the picture, as the preconditioner estimates it; against direct solves the true one
            stayed below three times this.

    Returns:
        float32 `(N, 3, H, W)`. Known pixels are bit-identical; hidden ones lie within the range of the known ones, per
        channel. A mask that hides everything leaves no equation to solve: its picture is the mean of the clean one.
        On a processor masks are solved one by one, so that a mask's solution does not depend on the batch it came
        in; on an accelerator several are solved together, and it depends on it by no more than the tolerance.

    Raises:
        ArithmeticError: the picture holds values that are not finite.
    """
    result = picture.expand(len(hidden), -1, -1, -1).clone()
    whole = hidden.flatten(1).all(1)
    result[whole] = picture.double().mean((1, 2)).to(picture.dtype)[:, None, None]
    todo = (hidden.flatten(1).any(1) & ~whole).nonzero()[:, 0]
    # One mask at a time stays in a processor's cache; an accelerator is idle unless it gets many.
    each = 100 * picture.numel()
    together = 1 if picture.device.type == "cpu" else max(1, MEMORY // each)
    degree = _neighbours(torch.ones_like(picture[:1], dtype=torch.float64))
    for first in range(0, len(todo), together):
        index = todo[first : first + together]
        begin = start if start is None or start.ndim == 3 else start[index]
        result[index] = _impute(picture, hidden[index], degree, begin, tolerance)[0]
    return result


def _impute(
    picture: Tensor, hidden: Tensor, degree: Tensor, start: Tensor | None, tolerance: float
) -> tuple[Tensor, int]:
    """Masks `(N, H, W)` that each hide something and leave something: pictures `(N, 3, H, W)`, and the steps taken."""
    # Only the frame around each hole has a say: its rim holds every neighbour of a hidden pixel.
    size, corners = _frames(hidden)
    frames = [(..., slice(y, y + size[0]), slice(x, x + size[1])) for y, x in corners]
    hole = torch.stack([mask[frame] for mask, frame in zip(hidden, frames, strict=True)])[:, None]
    clean = torch.stack([picture[frame] for frame in frames]).double()
    degrees = torch.stack([degree[frame] for frame in frames])  # cut out: a frame's edge is not the picture's
    if start is None:
        known = ~hole
        begin = (clean * known).sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True)
    else:
        starts = start.expand(len(hidden), -1, -1, -1)
        begin = torch.stack([one[frame] for one, frame in zip(starts, frames, strict=True)]).double()
    solution, steps = _solve(torch.where(hole, begin, clean), hole, degrees, tolerance)
    # The solution lies between the known values; what is left of its error must not leave them.
    low = torch.where(hole, torch.inf, clean).amin((2, 3), keepdim=True)
    high = torch.where(hole, -torch.inf, clean).amax((2, 3), keepdim=True)
    found = torch.where(hole, solution.clamp(low, high), clean).to(picture.dtype)
    result = picture.expand(len(hidden), -1, -1, -1).clone()
    for row, frame in enumerate(frames):
        result[row][frame] = found[row]
    return result, steps


def _frames(hidden: Tensor) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """The smallest size `(h, w)` that frames every mask's hole and its rim, and where each frame begins `(y, x)`."""
    frames = []
    for along in (2, 1):
        lines = hidden.any(along)
        length = lines.shape[1]
        first = (lines.int().argmax(1) - 1).clamp(min=0)
        last = (length - lines.flip(1).int().argmax(1)).clamp(max=length - 1)  # the line after the hole's last
        size = int((last - first).max()) + 1
        frames.append((size, first.clamp(max=length - size).tolist()))
    (height, tops), (width, lefts) = frames
    return (height, width), list(zip(tops, lefts, strict=True))


def _neighbours(values: Tensor) -> Tensor:
    """12 · Σ_j w_ij x_j over the neighbours inside the picture: whole weights, 2 beside and 1 across, are exact."""
    rows = 2 * values
    rows[..., 1:, :] += values[..., :-1, :]
    rows[..., :-1, :] += values[..., 1:, :]
    both = 2 * rows
    both[..., 1:] += rows[..., :-1]
    both[..., :-1] += rows[..., 1:]
    return both.sub_(values, alpha=4)


def _solve(values: Tensor, hole: Tensor, degrees: Tensor, tolerance: float) -> tuple[Tensor, int]:
    """Conjugate gradients from `values`, float64 `(N, C, h, w)`, changing only the pixels of `hole`, `(N, 1, h, w)`.

    Vectors are float64: rounding is amplified by up to the square of the hole's width, which float32 cannot pay for.
    The preconditioner only has to be roughly right and works in float32. Its answer M⁻¹r is also the estimate of the
    error that ends the iteration: a small residual alone says little about the middle of a large hole.
    """
    levels = _levels(hole, degrees)
    inside = hole.double()
    solution = values.clone()
    residual = (_neighbours(solution) - degrees * solution) * inside
    direction = torch.zeros_like(solution)
    before = torch.ones_like(solution[..., :1, :1])
    for step in range(STEPS):
        error = _cycle(levels, residual.float()).double()
        largest = error.abs().amax((1, 2, 3), keepdim=True)
        going = ~(largest <= tolerance)  # not `>`: what is not a number must not pass for a solution
        if not bool(going.any()):
            return solution.add_(error), step
        now = (residual * error).sum((2, 3), keepdim=True)
        direction = error.addcmul_(now / before, direction) if step else error
        image = (degrees * direction - _neighbours(direction)) * inside
        curvature = (direction * image).sum((2, 3), keepdim=True)
        # A mask that is done stands still while the others go on: they must not change its solution.
        length = torch.where(going & (curvature > 0), now / curvature, 0.0)
        solution.addcmul_(length, direction)
        residual.addcmul_(length, image, value=-1)
        before = torch.where(now > 0, now, 1.0)
    raise ArithmeticError(f"Linear imputation did not converge in {STEPS} steps: are all values of the picture finite?")


@dataclass(frozen=True)
class _Level:
    """One grid: springs between hidden cells, and to known ones, which stand at zero error. All `(N, 1, h, w)`.

    Attributes:
        right, down, main, anti: springs between (y, x) and (y, x+1); (y, x) and (y+1, x); (y, x) and (y+1, x+1);
            (y, x+1) and (y+1, x). Zero where there is no such pair.
        anchor: sum of the springs to known cells.
        diagonal: sum of all springs of a cell.
        active: 1 where there is something to solve for.
        jacobi: a damped 1/diagonal, 0 where nothing is to be solved.
        inverse: of the whole level's matrix, `(N, h·w, h·w)`; only on the coarsest.
    """

    right: Tensor
    down: Tensor
    main: Tensor
    anti: Tensor
    anchor: Tensor
    diagonal: Tensor
    active: Tensor
    jacobi: Tensor
    inverse: Tensor | None

    def apply(self, values: Tensor) -> Tensor:
        """The level's matrix times `(N, C, h, w)`."""
        result = self.diagonal * values
        for spring, one, other in _PAIRS:
            weight = getattr(self, spring)[_ORIGIN[spring]]
            result[one].addcmul_(weight, values[other], value=-1)
            result[other].addcmul_(weight, values[one], value=-1)
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


def _level(springs: dict[str, Tensor], anchor: Tensor, damping: float) -> _Level:
    diagonal = anchor.clone()
    for spring, one, other in _PAIRS:
        weight = springs[spring][_ORIGIN[spring]]
        diagonal[one] += weight
        diagonal[other] += weight
    active = diagonal > 0
    jacobi = torch.where(active, damping / diagonal, 0.0)
    level = _Level(**springs, anchor=anchor, diagonal=diagonal, active=active.float(), jacobi=jacobi, inverse=None)
    height, width = anchor.shape[2:]
    cells = height * width
    if cells > COARSEST:
        return level
    unit = torch.eye(cells, device=anchor.device).view(1, cells, height, width)
    matrix = level.apply(unit.expand(len(anchor), -1, -1, -1)).flatten(2).double()
    matrix += torch.diag_embed((~active).double().flatten(1))
    return _Level(**(vars(level) | {"inverse": torch.linalg.inv(matrix).float()}))


def _levels(hole: Tensor, degrees: Tensor) -> list[_Level]:
    """Grids from the picture's own to one of at most `COARSEST` cells, each half the size of the one before."""
    inside = hole.float()
    springs = {}
    for (spring, one, other), weight in zip(_PAIRS, (2.0, 2.0, 1.0, 1.0), strict=True):
        springs[spring] = torch.zeros_like(inside)
        springs[spring][_ORIGIN[spring]] = weight * inside[one] * inside[other]
    anchor = (degrees.float() - _neighbours(inside)) * inside
    # For these weights plain Jacobi already is the best smoother: 2/3 … 4/3 is the spectrum of what varies fast.
    levels = [_level(springs, anchor, 1.0)]
    while levels[-1].inverse is None:
        levels.append(_coarser(levels[-1]))
    return levels


def _coarser(fine: _Level) -> _Level:
    """Blocks of 2 × 2 become cells. A spring between blocks is half the sum of those it replaces: twice as long."""
    right, down, main, anti, anchor = (
        _even(part) for part in (fine.right, fine.down, fine.main, fine.anti, fine.anchor)
    )
    springs = {
        "right": right[..., ::2, 1::2] + right[..., 1::2, 1::2] + main[..., ::2, 1::2] + anti[..., ::2, 1::2],
        "down": down[..., 1::2, ::2] + down[..., 1::2, 1::2] + main[..., 1::2, ::2] + anti[..., 1::2, ::2],
        "main": main[..., 1::2, 1::2],
        "anti": anti[..., 1::2, 1::2],
    }
    halves = {name: spring / 2 for name, spring in springs.items()}
    return _level(halves, functional.avg_pool2d(anchor, 2, divisor_override=1), 0.85)


def _even(values: Tensor) -> Tensor:
    """Zeros added below and to the right, where the size is odd."""
    height, width = values.shape[2:]
    return functional.pad(values, (0, width % 2, 0, height % 2)) if height % 2 or width % 2 else values


def _cycle(levels: list[_Level], residual: Tensor) -> Tensor:
    """One symmetric V-cycle: roughly the matrix's inverse times `(N, C, h, w)`."""
    level, *coarser = levels
    if level.inverse is not None:
        return (residual.flatten(2) @ level.inverse).view_as(residual)
    error = level.jacobi * residual
    # A cell with nothing to solve takes no correction, so it must hand none down either: else this is not symmetric, and
    # conjugate gradients stall.
    deeper = _cycle(coarser, _restrict(level.active * (residual - level.apply(error))))
    error.addcmul_(level.active, _prolong(deeper, residual.shape[2], residual.shape[3]))
    return error.addcmul_(level.jacobi, residual - level.apply(error))


def _prolong(coarse: Tensor, height: int, width: int) -> Tensor:
    """Bilinear, to twice the size, cut to `(height, width)`."""
    return functional.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)[..., :height, :width]


def _restrict(fine: Tensor) -> Tensor:
    """The exact transpose of `_prolong`, which conjugate gradients ask for."""
    fine = _even(fine)
    for _ in range(2):  # along the rows of the transposed, then along its own
        fine = fine.transpose(2, 3)
        even, odd = fine[..., ::2], fine[..., 1::2]
        fine = 0.75 * (even + odd)
        fine[..., :-1].add_(even[..., 1:], alpha=0.25)
        fine[..., 1:].add_(odd[..., :-1], alpha=0.25)
        fine[..., :1].add_(even[..., :1], alpha=0.25)  # beyond the border stands the border's own value
        fine[..., -1:].add_(odd[..., -1:], alpha=0.25)
    return fine
