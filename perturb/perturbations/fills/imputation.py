"""Linear imputation: a hole is filled with the smooth surface that its boundary determines.

Rong et al. 2022 (ROAD), sec. 4: every hidden pixel is the weighted mean of its neighbours. The linear system is a
discrete Laplace equation. It is solved by matrix-free conjugate gradients. Without a preconditioner, a large hole takes
hundreds of iterations. With one multigrid cycle as preconditioner it takes about five, whatever the size of the hole
and the share of hidden pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from perturb.core.threads import cores, spread
from perturb.perturbations.fills.multigrid import Multigrid, block_sums, made_even, neighbours, prolong

TOLERANCE = 1e-5
"""Estimated maximum error at which a solution is accepted, in the image's units. One grey level is 4e-3."""
STEPS = 200
STALLED = 25
"""Iterations after which the preconditioner changes from visiting a grid twice per cycle to once. Most masks need 5 to
11 iterations."""
REDUCTION = 1e-5
"""Factor by which conjugate gradients reduce the error before the residual is computed anew."""
_FAR = 1e38
"""Larger than any value."""
MEMORY = 512_000_000
"""Bytes that masks solved together may use on an accelerator."""


def impute(image: Tensor, hidden: Tensor, *, start: Tensor | None = None, tolerance: float = TOLERANCE) -> Tensor:
    """Solve Σ_j w_ij (x_i − x_j) = 0 for the hidden pixels i of each mask, with known pixels fixed.

    j runs over the 8 neighbours within the image, with w = 1/6 for direct and 1/12 for diagonal ones (Rong et al. 2022,
    sec. 4).

    Args:
        image: float32 `(3, H, W)`.
        hidden: bool `(N, H, W)`.
        start: initial solution, `(3, H, W)` or `(N, 3, H, W)`, such as that of a similar mask. It changes the result by
            no more than the tolerance. By default it is computed from the known pixels, and the result is bit for bit
            independent of the hidden values.
        tolerance: on the maximum error, in the image's units, as estimated by the preconditioner. At least 4e-6 of the
            largest known value is used.

    Returns:
        float32 `(N, 3, H, W)`. Known pixels are bit-identical. Hidden ones lie within the range of the known ones, per
        channel. A mask that hides everything gives the mean colour of the clean image.
        On a CPU masks are solved one by one, so the solution does not depend on the batch. On an accelerator several
        are solved together, and it depends on the batch by no more than the tolerance.

    Raises:
        ArithmeticError: the image holds values that are not finite.
    """
    # One mask at a time stays in a CPU's cache; an accelerator is idle unless it gets many.
    together = 1 if image.device.type == "cpu" else max(1, MEMORY // (100 * image.numel()))
    return _impute(image, hidden, start, tolerance, together)[0]


def _impute(image: Tensor, hidden: Tensor, start: Tensor | None, tolerance: float, together: int) -> tuple[Tensor, int]:
    """`impute` with `together` masks at a time. Returns also the total number of iterations."""
    result = image.expand(len(hidden), -1, -1, -1).clone()
    whole = hidden.flatten(1).all(1)
    result[whole] = image.double().mean((1, 2)).to(image.dtype)[:, None, None]
    todo = (hidden.flatten(1).any(1) & ~whole).nonzero()[:, 0]
    degree = neighbours(torch.ones_like(image[:1]))
    starts = None if start is None else start.expand(len(hidden), -1, -1, -1)

    def some(todo: Tensor) -> int:
        solver, steps = None, 0
        for first in range(0, len(todo), together):
            index = todo[first : first + together]
            # Only the bounding box of each hole and a border of one pixel matter: they hold all neighbours of the hole.
            size, corners = _frames(hidden[index])
            frames = [(..., slice(y, y + size[0]), slice(x, x + size[1])) for y, x in corners]
            if solver is None or solver.size != (len(index), len(image), *size):
                solver = _Solver(len(index), len(image), *size, image.device)
            for row, (mask, frame) in enumerate(zip(index.tolist(), frames, strict=True)):
                begin = None if starts is None else starts[mask][frame]
                solver.load(row, image[frame], hidden[mask][frame], degree[frame], begin)
            steps += solver.solve(tolerance, guess=start is None)
            for row, (mask, frame) in enumerate(zip(index.tolist(), frames, strict=True)):
                solver.write(row, result[mask][frame])
        return steps

    if image.device.type != "cpu" or not len(todo):
        return result, some(todo)
    # Masks are distributed over the cores: an iteration is too short for several cores to share it.
    parts = min(cores(), len(todo))
    return result, sum(spread(some, [todo[part::parts] for part in range(parts)]))


def _frames(hidden: Tensor) -> tuple[tuple[int, int], list[tuple[int, int]]]:
    """The smallest size `(h, w)` that holds every mask's hole and its border, and the top left corner `(y, x)` of each
    frame."""
    frames = []
    for along in (2, 1):
        lines = hidden.any(along)
        length = lines.shape[1]
        first = (lines.int().argmax(1) - 1).clamp(min=0)
        last = (length - lines.flip(1).int().argmax(1)).clamp(max=length - 1)  # the line after the hole
        size = int((last - first).max()) + 1
        frames.append((size, first.clamp(max=length - size).tolist()))
    (height, tops), (width, lefts) = frames
    return (height, width), list(zip(tops, lefts, strict=True))


class _Solver:
    """Solves N masks `(N, h, w)` at once, then other masks of the same size. Each mask hides some pixels, but not all.

    All arithmetic is float32, and the residual is exact: values are rounded to 20 bits, so a sum of weights 12 fits
    into the 24 bits of a float32. By the maximum principle, rounding changes no solution by more than 5e-7 of the
    largest value.
    """

    def __init__(self, masks: int, channels: int, height: int, width: int, device: torch.device) -> None:
        self.size = (masks, channels, height, width)
        self._inside = (..., slice(height), slice(width))  # the arrays have even sizes, which the grids need
        rows, columns = made_even(height), made_even(width)
        self._grids = Multigrid(masks, channels, rows, columns, device)
        self._hole = torch.zeros((masks, 1, rows, columns), device=device)
        self._known = torch.zeros_like(self._hole)
        self._degrees = torch.ones(self._hole.shape, device=device)
        self._values, self._correction, self._direction, self._image = (
            torch.zeros((masks, channels, rows, columns), device=device) for _ in range(4)
        )

    def load(self, row: int, image: Tensor, hidden: Tensor, degrees: Tensor, start: Tensor | None) -> None:
        """Load a mask `(h, w)` of an image `(C, h, w)` into a row of the batch."""
        hole = self._hole[row][self._inside].copy_(hidden)
        self._known[row][self._inside] = ~hidden
        self._degrees[row][self._inside] = degrees
        values = self._values[row][self._inside].copy_(image)
        if start is not None:
            values.lerp_(start, hole)

    def write(self, row: int, image: Tensor) -> None:
        """Write the solution of a row into the hidden pixels of an image `(C, h, w)`."""
        image.lerp_(self._values[row][self._inside], self._hole[row][self._inside])  # exact for the weights 0 and 1

    def solve(self, tolerance: float, *, guess: bool) -> int:
        """Solve the loaded masks. Returns the number of iterations.

        Conjugate gradients reduce the error by `REDUCTION`. The residual is then computed exactly, without accumulated
        rounding, and they restart. The stopping criterion is the preconditioned residual M⁻¹r as an estimate of the
        error: the residual itself says little about the middle of a large hole.
        """
        grids, values, residual = self._grids, self._values, self._grids.residual
        grids.load(self._hole, self._degrees)
        # The exact solution lies between the known values, so the result is clamped to their range.
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
            # A converged mask is not changed any more while others continue.
            values.addcmul_(going & (off <= enough), error)
            going &= ~(off <= enough)  # not `>`: NaN must not count as converged
            if not bool(going.any()):
                self._clamp(low, high)
                return steps
            steps += self._descend(error, going, torch.maximum(REDUCTION * off, enough))
            values.addcmul_(going, self._correction)
        raise ArithmeticError(
            f"Linear imputation did not converge in {STEPS} steps: are all values of the image finite?"
        )

    def _descend(self, error: Tensor, going: Tensor, wanted: Tensor) -> int:
        """Run conjugate gradients until the error of all masks in `going` is at most `wanted`.

        The correction is left in `_correction`.

        Args:
            error: the preconditioned residual.
            going: masks that have not converged, bool `(N, 1, 1, 1)`.
            wanted: maximum error, `(N, 1, 1, 1)`.

        Returns:
            The number of iterations.
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
        inside = self._values[self._inside]  # the padding to an even size must stay 0
        torch.maximum(inside, low, out=inside)
        torch.minimum(inside, high, out=inside)

    def _largest(self, error: Tensor) -> Tensor:
        """The largest magnitude of each mask, `(N, 1, 1, 1)`."""
        return torch.abs(error, out=self._image).amax((1, 2, 3), keepdim=True)

    def _guess(self) -> None:
        """Initial solution: the mean of the known pixels in the smallest block that has some.

        Blocks have 2 × 2, 4 × 4, … pixels and are interpolated bilinearly. This saves one iteration in five.
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
    """Inner product for each mask and channel, `(N, C, 1, 1)`."""
    if one.device.type != "cpu":
        return (one * other).sum((2, 3), keepdim=True)
    pairs = zip(one.flatten(0, 1).flatten(1), other.flatten(0, 1).flatten(1), strict=True)
    return torch.stack([torch.dot(a, b) for a, b in pairs]).view(*one.shape[:2], 1, 1)
