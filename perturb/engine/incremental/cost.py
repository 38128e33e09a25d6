"""Expected cost of incremental passes compared with whole passes.

The estimate depends on the arguments only, not on a clock, so that the same call always has the same result. Its unit
is the multiply-add. The constants were measured on two cores, for networks of 0.1 to 30 billion multiply-adds.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perturb.engine.incremental.base import Span, Step
from perturb.engine.incremental.boxes import WHOLE
from perturb.engine.incremental.lowering import Network
from perturb.engine.incremental.mix import Mix
from perturb.engine.incremental.ops import Conv, Mean, Pointwise

EACH_VALUE = 60.0
"""Cost of writing one value of a map, in addition to its multiply-adds."""
EACH_STEP = 4e5
"""Cost of starting an operation on one box."""
PREPARE = 5.0
"""Cost of lowering the network and computing its clean values, in whole passes."""
ONCE = 15e9
"""Cost of loading the compiled loops, some tenths of a second per process. It is added to every run, so that the first
and later runs have the same result."""
QUICKER = 0.8
"""Cost of a lowered operation relative to the original one: normalisations are folded."""

Box = tuple[Span, Span] | None


def dearer(network: Network, holes: Sequence[Box], total: int) -> str:
    """Why whole passes are expected to cost no more than incremental ones, as a clause; empty if they cost more.

    Args:
        network: the lowered network.
        holes: bounding boxes of a sample of the masks.
        total: number of masks.
    """
    pass_cost = sum(_cost(network, step) for step in network.steps[1:])
    each = float(np.mean([_incremental(network, hole) for hole in holes]))
    whole, incremental = total * pass_cost, PREPARE * pass_cost + ONCE + total * each
    if incremental < whole:
        return ""
    return (
        f"for {total} perturbations whole passes are expected to cost less ({whole / 1e9:.2g} thousand million "
        f"multiply-adds, against {incremental / 1e9:.2g} with what incremental ones take to prepare)"
    )


def share(network: Network, holes: Sequence[Box]) -> float:
    """Expected cost of an incremental pass relative to a whole pass, the mean over a sample of the masks.

    Args:
        network, holes: as for `dearer`.
    """
    return float(np.mean([_incremental(network, hole) for hole in holes])) / sum(
        _cost(network, step) for step in network.steps[1:]
    )


def _cost(network: Network, step: Step) -> float:
    """Cost of one step for the whole map."""
    channels, height, width = step.shape
    products = 0
    if isinstance(step.op, Conv):
        products = step.op.weight[0].numel()
    elif isinstance(step.op, Mix):
        # The product with an input of a single cell is computed once.
        products = sum(
            weight.shape[1]
            for weight, place in zip(step.op.weights, step.inputs, strict=True)
            if network.steps[place].shape[1:] == step.shape[1:]
        )
    return channels * height * width * (products + EACH_VALUE)


def _incremental(network: Network, box: Box) -> float:
    """Cost of one pass of an image that changed in a box, with the same decisions as in `Boxes`."""
    total = 0.0
    changed: list[Box] = [box]
    for step in network.steps[1:]:
        changed.append(_changed(network, step, [changed[place] for place in step.inputs]))
        now = changed[-1]
        if now is None:
            continue
        area = (now[0][1] - now[0][0]) * (now[1][1] - now[1][0]) / (step.shape[1] * step.shape[2])
        total += _cost(network, step) * area * QUICKER + EACH_STEP
    return total


def _changed(network: Network, step: Step, given: list[Box]) -> Box:
    """The box of a step's output that is computed if boxes of its inputs changed."""
    op, (height, width) = step.op, step.shape[1:]
    assert op is not None
    every: Box = ((0, height), (0, width))
    found = [one for one in given if one is not None]
    if not found:
        return None
    spread = isinstance(op, Pointwise | Mix) and any(
        one is not None and network.steps[place].shape[1:] != (height, width)
        for one, place in zip(given, step.inputs, strict=True)
    )
    if isinstance(op, Mean) or not op.local or spread:
        return every
    spans = []
    for axis, size in enumerate((height, width)):
        touched = [op.touched(axis, one[axis]) for one in found]
        first, last = max(0, min(a for a, _ in touched)), min(size, max(b for _, b in touched))
        if first >= last:
            return None
        spans.append((first, last))
    (top, bottom), (left, right) = spans
    return every if (bottom - top) * (right - left) > WHOLE * height * width else (spans[0], spans[1])
