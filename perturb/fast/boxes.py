"""Run a network on a picture that differs from the clean one in a box: only what the box can change is run.

Every step's clean values are kept. A changed box touches a box of the next step's output, wider by what that step sees,
and so on; where it fills the map, or a step looks at all of the map at once, the rest is run whole. The numbers are
those of a whole pass. Idea: Nakandala et al. 2019 (Krypton), incremental inference for occlusion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from perturb.fast.graph import Network, Step
from perturb.fast.mix import Mix
from perturb.fast.ops import Mean, Op, Outside, Pointwise, Span

WHOLE = 0.8
"""Share of a map from which a box is no longer worth its rim."""


@dataclass(frozen=True)
class Patch:
    """A map that is the clean one but for a box.

    Attributes:
        values: in the box, `(1, C, y1 − y0, x1 − x0)`.
        spans: y0, y1 and x0, x1, inside the map.
    """

    values: Tensor
    spans: tuple[Span, Span]


Value = Patch | Tensor | None
"""What became of a map: changed in a box, changed all over `(N, C, h, w)`, or not at all."""


class Boxes:
    """Passes through a network that share the clean one.

    Args:
        network: in use.
        given: the clean picture, normalised, `(1, 3, H, W)`.

    Attributes:
        clean: the value of every step.
    """

    def __init__(self, network: Network, given: Tensor) -> None:
        self._network = network
        self.clean = network.clean(given)
        last = {place: at for at, step in enumerate(network.steps) for place in step.inputs}
        self._done: list[list[int]] = [[] for _ in network.steps]
        for place, at in last.items():
            self._done[at].append(place)

    def __call__(self, changed: Value) -> Value:
        """The last step's output when the picture is changed so."""
        values: list[Value] = [changed, *[None] * (len(self._network.steps) - 1)]
        for at, step in enumerate(self._network.steps):
            if at and any(values[place] is not None for place in step.inputs):
                values[at] = self._step(step, [values[place] for place in step.inputs], at)
            for place in self._done[at]:
                values[place] = None  # lets its memory go
        return values[-1]

    def _step(self, step: Step, given: Sequence[Value], at: int) -> Value:
        op = step.op
        assert op is not None
        if isinstance(op, Mean) and isinstance(given[0], Patch):
            return self._mean(given[0], step.inputs[0], at)
        shapes = [self.clean[place].shape[2:] for place in step.inputs]
        spread = isinstance(op, Pointwise | Mix) and any(
            value is not None and tuple(shape) != step.shape[1:] for value, shape in zip(given, shapes, strict=True)
        )
        if not op.local or spread or any(isinstance(value, Tensor) for value in given):
            return self._whole(op, given, step)
        spans = self._touched(op, given, step.shape[1:])
        if spans is None:
            return None
        (y0, y1), (x0, x1) = spans
        if (y1 - y0) * (x1 - x0) > WHOLE * step.shape[1] * step.shape[2]:
            return self._whole(op, given, step)
        needed = (op.needed(0, spans[0]), op.needed(1, spans[1]))
        patches = []
        for value, place in zip(given, step.inputs, strict=True):
            if isinstance(op, Pointwise | Mix) and tuple(self.clean[place].shape[2:]) != step.shape[1:]:
                patches.append(self.clean[place])  # one value for the whole map
            else:
                patches.append(extract(self.clean[place], value, needed, op.outside))
        return Patch(op.part(patches, spans), spans)

    def _whole(self, op: Op, given: Sequence[Value], step: Step) -> Tensor:
        maps = [whole(self.clean[place], value) for value, place in zip(given, step.inputs, strict=True)]
        count = max(len(each) for each in maps)
        return op(*(each if len(each) == count else each.expand(count, -1, -1, -1) for each in maps))

    def _mean(self, patch: Patch, place: int, at: int) -> Tensor:
        """Only the box counts anew."""
        (y0, y1), (x0, x1) = patch.spans
        clean = self.clean[place]
        change = (patch.values - clean[..., y0:y1, x0:x1]).sum((2, 3), keepdim=True)
        return self.clean[at] + change / (clean.shape[2] * clean.shape[3])

    @staticmethod
    def _touched(op: Op, given: Sequence[Value], size: Sequence[int]) -> tuple[Span, Span] | None:
        """The box of the output that changed inputs can change, inside the map; None if there is none."""
        found = []
        for axis in (0, 1):
            touched = [op.touched(axis, value.spans[axis]) for value in given if isinstance(value, Patch)]
            first = max(0, min(span[0] for span in touched))
            last = min(size[axis], max(span[1] for span in touched))
            if first >= last:
                return None
            found.append((first, last))
        return found[0], found[1]


def whole(clean: Tensor, value: Value) -> Tensor:
    """All of a map, `(N, C, h, w)`; not to be written to."""
    if value is None:
        return clean
    if isinstance(value, Tensor):
        return value
    (y0, y1), (x0, x1) = value.spans
    result = clean.clone()
    result[..., y0:y1, x0:x1] = value.values
    return result


def extract(clean: Tensor, value: Patch | Tensor | None, spans: tuple[Span, Span], outside: Outside) -> Tensor:
    """A piece of a map, which may reach beyond its border.

    Args:
        clean: the clean map, `(1, C, h, w)`.
        value: what became of it.
        spans: rows and columns.
        outside: what stands beyond the border.

    Returns:
        `(N, C, …)`, not to be written to.
    """
    height, width = clean.shape[2:]
    (top, bottom), (left, right) = spans
    y0, y1, x0, x1 = max(top, 0), min(bottom, height), max(left, 0), min(right, width)
    if isinstance(value, Patch):
        (a0, a1), (b0, b1) = value.spans
        if a0 <= y0 and y1 <= a1 and b0 <= x0 and x1 <= b1:
            piece = value.values[..., y0 - a0 : y1 - a0, x0 - b0 : x1 - b0]
        else:
            piece = clean[..., y0:y1, x0:x1].clone()
            u0, u1, v0, v1 = max(a0, y0), min(a1, y1), max(b0, x0), min(b1, x1)
            if u0 < u1 and v0 < v1:
                piece[..., u0 - y0 : u1 - y0, v0 - x0 : v1 - x0] = value.values[
                    ..., u0 - a0 : u1 - a0, v0 - b0 : v1 - b0
                ]
    else:
        piece = whole(clean, value)[..., y0:y1, x0:x1]
    beyond = (x0 - left, right - x1, y0 - top, bottom - y1)
    if not any(beyond):
        return piece
    if outside == "edge":
        return functional.pad(piece, beyond, mode="replicate")
    lowest = torch.finfo(piece.dtype).min if outside == "lowest" else 0.0
    return functional.pad(piece, beyond, value=lowest)
