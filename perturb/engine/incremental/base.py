"""What every operation of a lowered network can do.

An operation can be applied to whole maps. It can also compute a box of its output from the part of the input that the
box depends on, and tell which outputs depend on a box of its input. And it can propagate a change of a single channel.
All maps are `(N, C, h, w)`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor

Outside = Literal["zero", "lowest", "edge"]

Shape = tuple[int, int, int]
"""C, h, w."""

Span = tuple[int, int]
"""A half-open range of rows or columns."""


@dataclass(frozen=True)
class Channel:
    """N maps that each differ from the clean map in one channel.

    Attributes:
        index: index of the channel, int64 `(N,)`.
        maps: its new values, `(N, 1, h, w)`.
    """

    index: Tensor
    maps: Tensor


class Op:
    """One operation; calling it applies it to whole maps.

    Attributes:
        local: whether each output depends on a bounded neighbourhood, so that boxes can be computed.
        outside: values beyond the border of its input.
    """

    local: bool = True
    outside: Outside = "zero"

    def __call__(self, *given: Tensor) -> Tensor:
        raise NotImplementedError

    def once(self, *given: Tensor) -> Tensor:
        """The same, without preparations that only pay off if it is called many times."""
        return self(*given)

    def touched(self, axis: int, span: Span) -> Span:  # noqa: ARG002 — most shift nothing
        """Outputs that depend on any of the inputs `span`; may extend beyond the map. Axis 0 is y, 1 is x."""
        return span

    def needed(self, axis: int, span: Span) -> Span:  # noqa: ARG002
        """Inputs that the outputs `span` depend on; may extend beyond the map."""
        return span

    def unit(self, axis: int) -> int:  # noqa: ARG002
        """Alignment of output boxes, such that boxes of equal size need inputs of equal size."""
        return 1

    def part(self, patches: Sequence[Tensor], spans: tuple[Span, Span]) -> Tensor:  # noqa: ARG002
        """Compute the outputs `spans` from exactly the inputs `needed`; for several images, the spans of the first."""
        return self(*patches)

    def channel(self, given: Sequence[Channel | Tensor], shape: Shape) -> Channel | None:  # noqa: ARG002
        """Propagate a change of single channels.

        Args:
            given: the inputs: with one channel changed each, or clean `(1, C, h, w)`.
            shape: C, h, w of the output.

        Returns:
            The output; None if more than one of its channels changes, or if that is unknown.
        """
        return None


def one_map(op: Op, given: Sequence[Channel | Tensor]) -> Channel | None:
    """Propagate a changed channel through an operation that treats all channels equally and independently."""
    one = given[0]
    return replace(one, maps=op(one.maps)) if isinstance(one, Channel) and len(given) == 1 else None


@dataclass(frozen=True)
class Step:
    """One operation with its inputs.

    Attributes:
        op: the operation; None for step 0, the image.
        inputs: indices of the steps that are its inputs.
        shape: C, h, w of its output.
    """

    op: Op | None
    inputs: tuple[int, ...]
    shape: tuple[int, int, int]
