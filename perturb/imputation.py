"""Linear imputation: a hole takes the one surface that its rim determines.

Rong et al. 2022 (ROAD), sec. 4: every hidden pixel is the weighted mean of its neighbours, all of them at once. The
system is a discrete Laplace equation, solved here without a matrix by conjugate gradients. Left alone those need
hundreds of steps for a large hole; the preconditioner, one V-cycle of a multigrid, leaves about ten, whatever the
size of the hole and the share of hidden pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from perturb.multigrid import Level, cycle, even_sized, levels_of, neighbours, prolong

TOLERANCE = 1e-5
"""Estimated largest error at which a solution is done, in the picture's units. A grey level is 4e-3."""
STEPS = 200
REDUCTION = 1e-4
"""Of the error before its rounding in float32 is looked at."""
MEMORY = 512_000_000
"""Bytes that the masks solved together may take on an accelerator."""


def impute(picture: Tensor, hidden: Tensor, *, start: Tensor | None = None, tolerance: float = TOLERANCE) -> Tensor:
    """Solve Σ_j w_ij (x_i − x_j) = 0 for the hidden pixels i of each mask, known pixels being what they are.

    j runs over the neighbours inside the picture, with w = 1/6 beside and 1/12 across (Rong et al. 2022, sec. 4).

    Args:
        picture: float32 `(3, H, W)`.
        hidden: bool `(N, H, W)`.
        start: where to begin, `(3, H, W)` or `(N, 3, H, W)`: the solution of a mask much like these. It changes the
            solution by no more than the tolerance. By default a rough one from the known pixels: then the result does
            not depend on what the hidden ones were, to the last bit.
        tolerance: on the largest error, in units of the picture, as the preconditioner estimates it; against direct
            solves the true one stayed below three times this.

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
    degree = neighbours(torch.ones_like(picture[:1], dtype=torch.float64))
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
        begin = _guess(clean.float(), hole).double()
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


def _guess(clean: Tensor, hole: Tensor) -> Tensor:
    """A rough solution, float32 `(N, C, h, w)`: the mean of the known pixels in the smallest block that has some.

    Blocks are of 2 × 2, 4 × 4, … pixels, and pass smoothly into each other. It saves two steps in ten.
    """
    known = (~hole).float()
    sums = [(clean * known, known)]
    while not bool((sums[-1][1] > 0).all()):
        values, weights = (even_sized(part) for part in sums[-1])
        sums.append((functional.avg_pool2d(values, 2), functional.avg_pool2d(weights, 2)))
    filled = sums[-1][0] / sums[-1][1]
    for values, weights in reversed(sums[:-1]):
        around = prolong(filled, values.shape[2], values.shape[3])
        filled = torch.where(weights > 0, values / weights, around)
    return filled


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


def _solve(values: Tensor, hole: Tensor, degrees: Tensor, tolerance: float) -> tuple[Tensor, int]:
    """The solution from `values`, float64 `(N, C, h, w)`, changing only the pixels of `hole`, `(N, 1, h, w)`.

    Conjugate gradients in float32 take the error down by `REDUCTION`; what is then left of it is measured in float64, and
    they start again. In float32 alone rounding would be amplified by up to the square of the hole's width; in float64 alone
    most of the time would go into moving memory. The preconditioner's answer M⁻¹r is also the estimate of the error that
    ends it all: a small residual alone says little about the middle of a large hole.
    """
    levels = levels_of(hole, degrees)
    inside, springs = hole.float(), degrees.float()
    solution = values.clone()
    open_ = torch.ones_like(solution[:, :1, :1, :1], dtype=torch.bool)
    steps = 0
    while steps <= STEPS:
        residual = (neighbours(solution) - degrees * solution).float().mul_(inside)
        error = cycle(levels, residual)
        largest = error.abs().amax((1, 2, 3), keepdim=True)
        # A mask that is done stands still while the others go on: they must not change its solution.
        solution += torch.where(open_ & (largest <= tolerance), error, 0.0)
        open_ = open_ & ~(largest <= tolerance)  # not `>`: what is not a number must not pass for a solution
        if not bool(open_.any()):
            return solution, steps
        correction, taken = _descend(levels, residual, error, inside, springs, open_, tolerance / 2)
        solution += correction
        steps += taken
    raise ArithmeticError(f"Linear imputation did not converge in {STEPS} steps: are all values of the picture finite?")


def _descend(
    levels: list[Level],
    residual: Tensor,
    error: Tensor,
    inside: Tensor,
    springs: Tensor,
    going: Tensor,
    enough: float,
) -> tuple[Tensor, int]:
    """Conjugate gradients in float32: what to add to the solution of the masks `going`, and the steps it took.

    Args:
        levels: the preconditioner.
        residual: `(N, C, h, w)`; is overwritten.
        error: the preconditioner's answer to it.
        inside: 1 in the hole, `(N, 1, h, w)`.
        springs: of each pixel, all together, `(N, 1, h, w)`.
        going: masks to solve, `(N, 1, 1, 1)`.
        enough: an estimated error at which a mask is done, if it is not done earlier, `REDUCTION` below where it was.
    """
    wanted = (REDUCTION * error.abs().amax((1, 2, 3), keepdim=True)).clamp(min=enough)
    open_ = going
    correction, direction = torch.zeros_like(error), error
    before = (residual * error).sum((2, 3), keepdim=True)
    taken = 0
    while taken < STEPS:
        taken += 1
        image = (springs * direction).sub_(neighbours(direction)).mul_(inside)
        curvature = (direction * image).sum((2, 3), keepdim=True)
        length = torch.where(going & (curvature > 0), before / curvature, 0.0)
        correction.addcmul_(length, direction)
        residual.addcmul_(length, image, value=-1)
        error = cycle(levels, residual)
        going = going & ~(error.abs().amax((1, 2, 3), keepdim=True) <= wanted)
        if not bool(going.any()):
            break
        now = (residual * error).sum((2, 3), keepdim=True)
        direction = error.addcmul(now / torch.where(before > 0, before, 1.0), direction)
        before = now
    return torch.where(open_, correction.add_(error), 0.0), taken
