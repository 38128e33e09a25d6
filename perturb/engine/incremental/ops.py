"""Convolution, pooling and pointwise operations of lowered networks; those that only move cells are in `moves`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from perturb.engine.incremental.base import Channel, Op, Outside, Shape, Span, one_map
from perturb.engine.incremental.winograd import Winograd

Act = Callable[[Tensor], Tensor]
"""An activation that may overwrite its argument."""


@dataclass(frozen=True)
class Conv(Op):
    """A convolution with zero padding, and the activations after it.

    Attributes:
        weight, bias: `(C', C/groups, k, k)`, `(C',)`.
        stride, padding, dilation: along y and x.
        groups: number of channel groups.
        acts: activations applied to its output, in order.
        quick: a faster algorithm for the same output; None if there is none.
        wide: weights and biases with additional zero channels, if that is faster; their outputs are dropped.
    """

    weight: Tensor
    bias: Tensor | None
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    acts: tuple[Act, ...] = ()
    quick: Winograd | None = None
    wide: tuple[Tensor, Tensor] | None = None

    def __call__(self, *given: Tensor) -> Tensor:
        return self._run(given[0], self.padding)

    def once(self, *given: Tensor) -> Tensor:
        return self.finish(self.plain(given[0], self.padding))

    def part(self, patches: Sequence[Tensor], spans: tuple[Span, Span]) -> Tensor:  # noqa: ARG002
        return self._run(patches[0], (0, 0))

    def _run(self, given: Tensor, padding: tuple[int, int]) -> Tensor:
        if self.quick is not None:
            reach = 2 * self.dilation[0]
            height, width = (side + 2 * own - reach for side, own in zip(given.shape[2:], padding, strict=True))
            if self.quick.pays(height, width, self.dilation[0]):
                rectified = self.acts[:1] == (torch.relu_,)
                output = self.quick(given, padding, self.dilation[0], rectified=rectified)
                return self.finish(output, self.acts[rectified:])
        return self.finish(self.plain(given, padding))

    def plain(self, given: Tensor, padding: tuple[int, int]) -> Tensor:
        """The convolution without activations, with this zero padding along y and x."""
        if tuple(given.shape[2:]) == tuple(self.weight.shape[2:]) == (1, 1) and self.groups == 1 and padding == (0, 0):
            # For a single cell a matrix product is much faster than a convolution.
            return functional.linear(given.flatten(1), self.weight.flatten(1), self.bias)[..., None, None]
        weight, bias = self.wide or (self.weight, self.bias)
        output = functional.conv2d(given, weight, bias, self.stride, padding, self.dilation, self.groups)
        return output[:, : len(self.weight)]

    def finish(self, output: Tensor, acts: tuple[Act, ...] | None = None) -> Tensor:
        """Apply activations, which may overwrite `output`; all of `self.acts` by default."""
        for act in self.acts if acts is None else acts:
            output = act(output)
        return output

    def touched(self, axis: int, span: Span) -> Span:
        return _window_touched(axis, span, self.weight.shape[2 + axis], self.stride, self.padding, self.dilation)

    def needed(self, axis: int, span: Span) -> Span:
        return _window_needed(axis, span, self.weight.shape[2 + axis], self.stride, self.padding, self.dilation)

    def channel(self, given: Sequence[Channel | Tensor], shape: Shape) -> Channel | None:
        # A depthwise convolution keeps channels separate. For a full convolution see `channels`.
        one = given[0]
        if self.groups != shape[0] or self.weight.shape[1] != 1 or not isinstance(one, Channel):
            return None
        weight = self.weight[one.index]
        bias = None if self.bias is None else self.bias[one.index]
        maps = one.maps.transpose(0, 1)
        output = functional.conv2d(maps, weight, bias, self.stride, self.padding, self.dilation, len(one.index))
        return Channel(one.index, self.finish(output.transpose(0, 1)))


def _window_touched(
    axis: int, span: Span, kernel: int, stride: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int]
) -> Span:
    reach = (kernel - 1) * dilation[axis]
    first = -(-(span[0] + padding[axis] - reach) // stride[axis])
    return first, (span[1] - 1 + padding[axis]) // stride[axis] + 1


def _window_needed(
    axis: int, span: Span, kernel: int, stride: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int]
) -> Span:
    reach = (kernel - 1) * dilation[axis]
    return span[0] * stride[axis] - padding[axis], (span[1] - 1) * stride[axis] - padding[axis] + reach + 1


@dataclass(frozen=True)
class Pool(Op):
    """Max or average pooling. An average includes the zeros beyond the border."""

    largest: bool
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]

    @property
    def outside(self) -> Outside:  # type: ignore[override]
        return "lowest" if self.largest else "zero"

    def __call__(self, *given: Tensor) -> Tensor:
        return self.run(given[0], self.padding)

    def run(self, given: Tensor, padding: tuple[int, int]) -> Tensor:
        if self.largest:
            return functional.max_pool2d(given, self.kernel, self.stride, padding, self.dilation)
        return functional.avg_pool2d(given, self.kernel, self.stride, padding)

    def touched(self, axis: int, span: Span) -> Span:
        return _window_touched(axis, span, self.kernel[axis], self.stride, self.padding, self.dilation)

    def needed(self, axis: int, span: Span) -> Span:
        return _window_needed(axis, span, self.kernel[axis], self.stride, self.padding, self.dilation)

    def part(self, patches: Sequence[Tensor], spans: tuple[Span, Span]) -> Tensor:  # noqa: ARG002
        return self.run(patches[0], (0, 0))

    def channel(self, given: Sequence[Channel | Tensor], shape: Shape) -> Channel | None:  # noqa: ARG002
        return one_map(self, given)


@dataclass(frozen=True)
class Mean(Op):
    """The mean over the whole map, `(N, C, 1, 1)`."""

    local = False

    def __call__(self, *given: Tensor) -> Tensor:
        # Pooling with a window of the map's size is several times faster than torch's mean for channels-last maps.
        return functional.avg_pool2d(given[0], given[0].shape[2:])

    def channel(self, given: Sequence[Channel | Tensor], shape: Shape) -> Channel | None:  # noqa: ARG002
        return one_map(self, given)


@dataclass(frozen=True)
class Pointwise(Op):
    """A pointwise function of one or several maps.

    Attributes:
        function: function of `arguments`; returns a new tensor.
        arguments: places of maps among the inputs, or constants: numbers, or tensors with one value or one per channel,
            `(1, C, 1, 1)`.
        acts: activations applied to its output, in order.
    """

    function: Callable[..., Tensor]
    arguments: tuple[Place | float | Tensor, ...]
    acts: tuple[Act, ...] = ()

    def __call__(self, *given: Tensor) -> Tensor:
        output = self.function(*(given[a.place] if isinstance(a, Place) else a for a in self.arguments))
        for act in self.acts:
            output = act(output)
        return output

    def channel(self, given: Sequence[Channel | Tensor], shape: Shape) -> Channel | None:
        changed = [one for one in given if isinstance(one, Channel)]
        index = changed[0].index
        if any(len(one.index) != len(index) or not torch.equal(one.index, index) for one in changed):
            return None
        # A changed input that is broadcast over the map changes every cell.
        if any(isinstance(one, Channel) and one.maps.shape[2:] != shape[1:] for one in given):
            return None

        def own(value: Any) -> Any:
            if isinstance(value, Channel):
                return value.maps
            if isinstance(value, Tensor) and value.ndim == 4 and value.shape[1] > 1:
                return value[0, index][:, None]
            return value

        if any(isinstance(one, Tensor) and one.shape[1] != shape[0] for one in given):
            return None
        values = [own(given[a.place]) if isinstance(a, Place) else own(a) for a in self.arguments]
        output = self.function(*values)
        for act in self.acts:
            output = act(output)
        return Channel(index, output)


def fresh(given: Tensor) -> Tensor:
    """A copy, which activations may overwrite."""
    return given.clone()


def affine(given: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """A normalisation with fixed statistics."""
    return given * scale + shift


@dataclass(frozen=True)
class Place:
    """Placeholder for one of the inputs of an operation."""

    place: int
