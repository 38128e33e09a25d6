"""1 × 1 convolutions of concatenated maps, without computing the concatenation.

The head of a network often concatenates its branches and applies a 1 × 1 convolution. The result is a sum of one
product per branch, so the concatenated map, the largest of all, need not be computed. A branch with a single cell that
is broadcast over the map becomes an additional bias.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from perturb.engine.incremental.base import Op, Step
from perturb.engine.incremental.moves import Cat, Resize
from perturb.engine.incremental.ops import Act, Conv


@dataclass(frozen=True)
class Mix(Op):
    """A 1 × 1 convolution of maps concatenated along the channels. A map of a single cell is broadcast.

    Attributes:
        weights: weights for each map, `(C', C)`.
        bias: `(C',)`.
        acts: activations applied to its output, in order.
    """

    weights: tuple[Tensor, ...]
    bias: Tensor
    acts: tuple[Act, ...]

    def __call__(self, *given: Tensor) -> Tensor:
        count, (height, width) = len(given[0]), max(tuple(one.shape[2:]) for one in given)
        base, output = self.bias.expand(count, -1), None
        wide = []
        for one, weight in zip(given, self.weights, strict=True):
            if tuple(one.shape[2:]) == (height, width):
                wide.append((one.permute(0, 2, 3, 1).reshape(-1, one.shape[1]), weight.T))
            else:
                base = torch.addmm(base, one.flatten(1), weight.T)
        for rows, weight in wide:
            if output is not None:
                output.addmm_(rows, weight)
            else:
                output = torch.addmm(base.repeat_interleave(height * width, 0) if count > 1 else base[0], rows, weight)
        assert output is not None
        made = output.view(count, height, width, -1).permute(0, 3, 1, 2)
        for act in self.acts:
            made = act(made)
        return made


def unjoined(steps: Sequence[Step], kept: int | None) -> tuple[list[Step], dict[int, int]]:
    """Remove unused steps, and fuse each concatenation that is used only by a 1 × 1 convolution into a `Mix`.

    Args:
        steps: steps of a network.
        kept: index of a step that must remain; None for none.

    Returns:
        The remaining steps, and their new indices by old index.
    """
    needed = {len(steps) - 1}
    for place in reversed(range(len(steps))):
        needed |= set(steps[place].inputs) if place in needed else set()
    users = [[at for at in sorted(needed) if place in steps[at].inputs] for place in range(len(steps))]
    made, gone = list(steps), set(range(1, len(steps))) - needed  # such as an auxiliary head
    for place in sorted(needed):
        step = steps[place]
        if not isinstance(step.op, Cat) or len(users[place]) != 1 or place == kept:
            continue
        at = users[place][0]
        conv = made[at].op
        if not isinstance(conv, Conv) or not _mixes(conv):
            continue
        inputs = []
        for source in step.inputs:
            spread = isinstance(steps[source].op, Resize) and steps[steps[source].inputs[0]].shape[1:] == (1, 1)
            if spread and users[source] == [place] and source != kept:
                gone.add(source)
                source = steps[source].inputs[0]
            inputs.append(source)
        widths = [steps[source].shape[0] for source in inputs]
        if len(set(inputs)) != len(inputs) or all(steps[source].shape[1:] == (1, 1) for source in inputs):
            continue
        weight = conv.weight.flatten(1)
        bias = weight.new_zeros(len(weight)) if conv.bias is None else conv.bias
        parts = tuple(part.contiguous() for part in torch.split(weight, widths, 1))
        made[at] = replace(made[at], op=Mix(parts, bias, conv.acts), inputs=tuple(inputs))
        gone.add(place)
    left = [place for place in range(len(steps)) if place not in gone]
    now = {place: at for at, place in enumerate(left)}
    return [replace(made[p], inputs=tuple(now[i] for i in made[p].inputs)) for p in left], now


def _mixes(conv: Conv) -> bool:
    one = tuple(conv.weight.shape[2:]) == conv.stride == (1, 1)
    return one and conv.padding == (0, 0) and conv.groups == 1
