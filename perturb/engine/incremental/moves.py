"""Operations that resize, pad, crop and concatenate maps. See `ops` for their interface."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from perturb.engine.incremental.base import Channel, Op, Outside, Shape, Span, one_map


@dataclass(frozen=True)
class Resize(Op):
    """Bilinear (corners not aligned) or nearest resampling to a size."""

    size: tuple[int, int]
    given: tuple[int, int]
    bilinear: bool

    outside = "edge"

    @property
    def factors(self) -> tuple[int, int]:
        """Upsampling factors along y and x; 0 for a factor that is not an integer."""
        high, wide = (to // of if to % of == 0 else 0 for to, of in zip(self.size, self.given, strict=True))
        return high, wide

    @property
    def local(self) -> bool:  # type: ignore[override]
        return all(self.factors) and self.given != (1, 1)

    def unit(self, axis: int) -> int:
        return self.factors[axis]

    def __call__(self, *given: Tensor) -> Tensor:
        if self.bilinear:
            return functional.interpolate(given[0], self.size, mode="bilinear", align_corners=False)
        return functional.interpolate(given[0], self.size, mode="nearest")

    def touched(self, axis: int, span: Span) -> Span:
        factor = self.factors[axis]
        if not self.bilinear:
            return span[0] * factor, span[1] * factor
        # Output o interpolates at (o + ½)/f − ½, between two cells.
        return (factor * (2 * span[0] - 1) - 1) // 2 + 1, -(-(factor * (2 * span[1] + 1) - 1) // 2)

    def needed(self, axis: int, span: Span) -> Span:
        factor = self.factors[axis]
        if not self.bilinear:
            return span[0] // factor, (span[1] - 1) // factor + 1
        return (2 * span[0] + 1 - factor) // (2 * factor), (2 * span[1] - 1 - factor) // (2 * factor) + 2

    def part(self, patches: Sequence[Tensor], spans: tuple[Span, Span]) -> Tensor:
        high, wide = self.factors
        patch = patches[0]
        size = (patch.shape[2] * high, patch.shape[3] * wide)
        if self.bilinear:
            large = functional.interpolate(patch, size, mode="bilinear", align_corners=False)
        else:
            large = functional.interpolate(patch, size, mode="nearest")
        (y0, y1), (x0, x1) = spans
        top, left = y0 - self.needed(0, spans[0])[0] * high, x0 - self.needed(1, spans[1])[0] * wide
        return large[..., top : top + y1 - y0, left : left + x1 - x0]

    def channel(self, given: Sequence[Channel | Tensor], shape: Shape) -> Channel | None:  # noqa: ARG002
        return one_map(self, given)


@dataclass(frozen=True)
class Pad(Op):
    """Padding of a map with zeros or copies of its edge.

    Attributes:
        amounts: left, right, top and bottom, not negative.
        given: h, w of its input.
        outside: kind of padding.
    """

    amounts: tuple[int, int, int, int]
    given: tuple[int, int]
    outside: Outside

    def __call__(self, *given: Tensor) -> Tensor:
        if not any(self.amounts):
            return given[0]
        if self.outside == "edge":
            return functional.pad(given[0], self.amounts, mode="replicate")
        return functional.pad(given[0], self.amounts)

    def _before(self, axis: int) -> int:
        return self.amounts[2] if axis == 0 else self.amounts[0]

    def touched(self, axis: int, span: Span) -> Span:
        before = self._before(axis)
        first = 0 if span[0] == 0 else span[0] + before
        after = self.amounts[3] if axis == 0 else self.amounts[1]
        return first, span[1] + before + (after if span[1] == self.given[axis] else 0)

    def needed(self, axis: int, span: Span) -> Span:
        before = self._before(axis)
        return span[0] - before, span[1] - before

    def part(self, patches: Sequence[Tensor], spans: tuple[Span, Span]) -> Tensor:  # noqa: ARG002
        return patches[0]

    def channel(self, given: Sequence[Channel | Tensor], shape: Shape) -> Channel | None:  # noqa: ARG002
        return one_map(self, given)


@dataclass(frozen=True)
class Crop(Op):
    """The cells `rows` and `columns` of a map."""

    rows: Span
    columns: Span

    def __call__(self, *given: Tensor) -> Tensor:
        return given[0][..., slice(*self.rows), slice(*self.columns)]

    def touched(self, axis: int, span: Span) -> Span:
        first = (self.rows, self.columns)[axis][0]
        return span[0] - first, span[1] - first

    def needed(self, axis: int, span: Span) -> Span:
        first = (self.rows, self.columns)[axis][0]
        return span[0] + first, span[1] + first

    def part(self, patches: Sequence[Tensor], spans: tuple[Span, Span]) -> Tensor:  # noqa: ARG002
        return patches[0]

    def channel(self, given: Sequence[Channel | Tensor], shape: Shape) -> Channel | None:  # noqa: ARG002
        return one_map(self, given)


@dataclass(frozen=True)
class Cat(Op):
    """Concatenation along the channels."""

    def __call__(self, *given: Tensor) -> Tensor:
        return torch.cat(given, 1)

    def channel(self, given: Sequence[Channel | Tensor], shape: Shape) -> Channel | None:
        changed = [place for place, one in enumerate(given) if isinstance(one, Channel)]
        if len(changed) != 1:
            return None
        one = given[changed[0]]
        assert isinstance(one, Channel)
        # A `Channel` does not hold its number of channels, but only the inputs before it matter.
        before = sum(other.shape[1] for other in given[: changed[0]] if isinstance(other, Tensor))
        assert before < shape[0]
        return Channel(one.index + before, one.maps)


def interpolation_sources(
    size: int, small: int, first: int = 0, count: int | None = None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Source cells and weights of bilinear upsampling along one axis.

    Args:
        size, small: number of cells after and before upsampling.
        first, count: range of the output cells; all by default.

    Returns:
        The two input cells of each output cell, int64 `(count, 2)`, and the weight of the second, float64 `(count,)`.
    """
    cells = np.arange(first, size if count is None else first + count)
    if size == small:
        return np.stack([cells, cells], 1), np.zeros(len(cells))
    at = np.maximum((cells + 0.5) * small / size - 0.5, 0.0)
    low = np.minimum(np.floor(at).astype(np.int64), small - 1)
    return np.stack([low, np.minimum(low + 1, small - 1)], 1), at - low
