"""Linear imputation: a hole takes the one surface that its rim determines.

Rong et al. 2022 (ROAD), sec. 4: every hidden pixel is the weighted mean of its neighbours, all of them at once. The
system is a discrete Laplace equation, solved here without a matrix by conjugate gradients. Left alone those need
hundreds of steps for a large hole; the preconditioner, one cycle of a multigrid, leaves about five, whatever the
size of the hole and the share of hidden pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from perturb.core.threads import cores, spread
from perturb.perturbations.fills.multigrid import Multigrid, block_sums, made_even, neighbours, prolong

TOLERANCE = 1e-5
"""Estimated largest error at which a solution is done, in the picture's units. A grey level is 4e-3."""
STEPS = 200
STALLED = 25
"""Steps in which a cycle that visits a grid twice must be done, else the others visit it once. Most need 5 to 11."""
REDUCTION = 1e-5
"""Of the error before what rounding has left of it is looked at."""
_FAR = 1e38
"""More than any value."""
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
        tolerance: on the largest error, in units of the picture, as the preconditioner estimates it; it cannot be less
            than 4e-6 of the largest known value.

    Returns:
        float32 `(N, 3, H, W)`. Known pixels are bit-identical; hidden ones lie within the range of the known ones, per
        channel. A mask that hides everything leaves no equation to solve: its picture is the mean of the clean one.
        On a processor masks are solved one by one, so that a mask's solution does not depend on the batch it came
        in; on an accelerator several are solved together, and it depends on it by no more than the tolerance.

    Raises:
        ArithmeticError: the picture holds values that are not finite.
    """
    # One mask at a time stays in a processor's cache; an accelerator is idle unless it gets many.
    together = 1 if picture.device.type == "cpu" else max(1, MEMORY // (100 * picture.numel()))
    return _impute(picture, hidden, start, tolerance, together)[0]


def _impute(
    picture: Tensor, hidden: Tensor, start: Tensor | None, tolerance: float, together: int
) -> tuple[Tensor, int]:
    """`impute`, so many masks at a time, and the steps taken, all together."""
    result = picture.expand(len(hidden), -1, -1, -1).clone()
    whole = hidden.flatten(1).all(1)
    result[whole] = picture.double().mean((1, 2)).to(picture.dtype)[:, None, None]
    todo = (hidden.flatten(1).any(1) & ~whole).nonzero()[:, 0]
    degree = neighbours(torch.ones_like(picture[:1]))
    starts = None if start is None else start.expand(len(hidden), -1, -1, -1)

    def some(todo: Tensor) -> int:
        solver, steps = None, 0
        for first in range(0, len(todo), together):
            index = todo[first : first + together]
            # Only the frame around each hole has a say: its rim holds every neighbour of a hidden pixel.
            size, corners = _frames(hidden[index])
            frames = [(..., slice(y, y + size[0]), slice(x, x + size[1])) for y, x in corners]
            if solver is None or solver.size != (len(index), len(picture), *size):
                solver = _Solver(len(index), len(picture), *size, picture.device)
            for row, (mask, frame) in enumerate(zip(index.tolist(), frames, strict=True)):
                begin = None if starts is None else starts[mask][frame]
                solver.load(row, picture[frame], hidden[mask][frame], degree[frame], begin)
            steps += solver.solve(tolerance, guess=start is None)
            for row, (mask, frame) in enumerate(zip(index.tolist(), frames, strict=True)):
                solver.write(row, result[mask][frame])
        return steps

    if picture.device.type != "cpu" or not len(todo):
        return result, some(todo)
    # A core for some masks each: the steps are too short for several cores to share one.
    parts = min(cores(), len(todo))
    return result, sum(spread(some, [todo[part::parts] for part in range(parts)]))


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


class _Solver:
    """Masks `(N, h, w)` that each hide something and leave something, at once; then others of the same size.

    All is float32, and every sum that matters is exact: values are rounded to 20 bits, so that twelve of them add up to
    24, which is what a float32 holds. By the maximum principle that moves no solution by more than 5e-7 of the largest.
    """

    def __init__(self, masks: int, channels: int, height: int, width: int, device: torch.device) -> None:
        self.size = (masks, channels, height, width)
        self._inside = (..., slice(height), slice(width))  # of arrays of even size, which the grids ask for
        rows, columns = made_even(height), made_even(width)
        self._grids = Multigrid(masks, channels, rows, columns, device)
        self._hole = torch.zeros((masks, 1, rows, columns), device=device)
        self._known = torch.zeros_like(self._hole)
        self._degrees = torch.ones(self._hole.shape, device=device)
        self._values, self._correction, self._direction, self._image = (
            torch.zeros((masks, channels, rows, columns), device=device) for _ in range(4)
        )

    def load(self, row: int, picture: Tensor, hidden: Tensor, degrees: Tensor, start: Tensor | None) -> None:
        """Take on a mask `(h, w)` of a picture `(C, h, w)`."""
        hole = self._hole[row][self._inside].copy_(hidden)
        self._known[row][self._inside] = ~hidden
        self._degrees[row][self._inside] = degrees
        values = self._values[row][self._inside].copy_(picture)
        if start is not None:
            values.lerp_(start, hole)

    def write(self, row: int, picture: Tensor) -> None:
        """The solution, into the hidden pixels of `(C, h, w)`."""
        picture.lerp_(self._values[row][self._inside], self._hole[row][self._inside])  # its weights, 0 and 1, are exact

    def solve(self, tolerance: float, *, guess: bool) -> int:
        """Solve what was loaded, and say in how many steps.

        Conjugate gradients take the error down by `REDUCTION`; what rounding has left of it is then measured exactly, and
        they start again. The preconditioner's answer M⁻¹r is also the estimate of the error that ends it all: a small
        residual alone says little about the middle of a large hole.
        """
        grids, values, residual = self._grids, self._values, self._grids.residual
        grids.load(self._hole, self._degrees)
        # The solution lies between the known values; what is left of its error must not leave them.
        low = torch.sub(values, self._known - 1, alpha=_FAR, out=self._image).amin((2, 3), keepdim=True)
        high = torch.add(values, self._known - 1, alpha=_FAR, out=self._image).amax((2, 3), keepdim=True)
        largest = torch.maximum(low.abs(), high.abs()).clamp(min=1e-30)
        bit = torch.ldexp(torch.ones_like(largest), torch.frexp(largest).exponent - 20)
        enough = (4 * bit.amax((1, 2, 3), keepdim=True)).clamp(min=tolerance)
        if guess:
            self._guess()
        else:
            self._clamp(low, high)
        going = torch.ones_like(enough, dtype=torch.bool)
        grids.twice = True
        steps = 0
        while steps <= STEPS:
            values.div_(bit).round_().mul_(bit)
            neighbours(values, residual).addcmul_(self._degrees, values, value=-1)
            error = grids.cycle()
            off = self._largest(error)
            # A mask that is done stands still while the others go on: they must not change its solution.
            values.addcmul_(going & (off <= enough), error)
            going &= ~(off <= enough)  # not `>`: what is not a number must not pass for a solution
            if not bool(going.any()):
                self._clamp(low, high)
                return steps
            steps += self._descend(error, going, torch.maximum(REDUCTION * off, enough))
            values.addcmul_(going, self._correction)
        raise ArithmeticError(
            f"Linear imputation did not converge in {STEPS} steps: are all values of the picture finite?"
        )

    def _descend(self, error: Tensor, going: Tensor, wanted: Tensor) -> int:
        """Conjugate gradients until the error of all masks `going` is as `wanted`: sets what corrects it.

        Args:
            error: the preconditioner's answer to the residual.
            going, wanted: `(N, 1, 1, 1)`.
        """
        grids, residual = self._grids, self._grids.residual
        correction, direction, image = self._correction.zero_(), self._direction.copy_(error), self._image
        before = _dot(residual, error)
        taken = 0
        while taken < STEPS:
            if taken == STALLED and grids.twice:  # conjugate gradients need a positive definite cycle
                grids.twice = False
                break
            taken += 1
            neighbours(direction, image).addcmul_(self._degrees, direction, value=-1)
            curvature = -_dot(direction, image)
            length = torch.where(going & (curvature > 0), before / curvature, 0.0)
            correction.addcmul_(length, direction)
            residual.addcmul_(length, image)
            error = grids.cycle()
            going = going & ~(self._largest(error) <= wanted)
            if not bool(going.any()):
                break
            now = _dot(residual, error)
            torch.addcmul(error, now / torch.where(before > 0, before, 1.0), direction, out=direction)
            before = now
        correction.add_(error)
        return taken

    def _clamp(self, low: Tensor, high: Tensor) -> None:
        inside = self._values[self._inside]  # what stands over must stay 0
        torch.maximum(inside, low, out=inside)
        torch.minimum(inside, high, out=inside)

    def _largest(self, error: Tensor) -> Tensor:
        """`(N, 1, 1, 1)`."""
        return torch.abs(error, out=self._image).amax((1, 2, 3), keepdim=True)

    def _guess(self) -> None:
        """A rough solution: the mean of the known pixels in the smallest block that has some.

        Blocks are of 2 × 2, 4 × 4, … pixels, and pass smoothly into each other. It saves a step in five.
        """
        sums = [(torch.mul(self._values, self._known, out=self._image), self._known)]
        while not bool((sums[-1][1] > 0).all()):
            sums.append((block_sums(sums[-1][0]), block_sums(sums[-1][1])))
        filled = sums[-1][0] / sums[-1][1]
        for values, weights in reversed(sums[1:-1]):
            filled = torch.where(weights > 0, values / weights, _twice(filled, values))
        self._values.lerp_(_twice(filled, self._values), self._hole)


def _twice(coarse: Tensor, fine: Tensor) -> Tensor:
    """`prolong` to the size of `fine`."""
    height, width = fine.shape[2:]
    out = torch.empty((*fine.shape[:2], made_even(height), made_even(width)), device=fine.device)
    return prolong(coarse, out)[..., :height, :width]


def _dot(one: Tensor, other: Tensor) -> Tensor:
    """Of each channel of each mask, `(N, C, 1, 1)`."""
    if one.device.type != "cpu":
        return (one * other).sum((2, 3), keepdim=True)
    pairs = zip(one.flatten(0, 1).flatten(1), other.flatten(0, 1).flatten(1), strict=True)
    return torch.stack([torch.dot(a, b) for a, b in pairs]).view(*one.shape[:2], 1, 1)
