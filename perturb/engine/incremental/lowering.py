"""Lowering: convert a traced network to a list of known operations, with normalisations folded into convolutions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional

from perturb.engine.incremental.base import Op, Step
from perturb.engine.incremental.known import Unknown, known
from perturb.engine.incremental.mix import Mix, unjoined
from perturb.engine.incremental.moves import Crop, Pad, Resize
from perturb.engine.incremental.ops import Conv, Place, Pointwise, affine, fresh
from perturb.engine.incremental.winograd import Winograd


@dataclass(frozen=True, eq=False)
class Network:
    """A lowered network: steps in order, the last of which gives logits at low resolution.

    Attributes:
        steps: the steps; step 0 is the image.
        lift: final operations, which only upsample and crop the logits to the image. A mean logit does not need them.
        places: index of the step that is the output of a layer, by the layer's name.
        dtype: dtype of the weights.
    """

    steps: tuple[Step, ...]
    lift: tuple[Op, ...]
    places: dict[str, int]
    dtype: torch.dtype

    def clean(self, given: Tensor) -> list[Tensor]:
        """The value of each step for one normalised image `(1, 3, H, W)`."""
        values = [given]
        for step in self.steps[1:]:
            assert step.op is not None
            values.append(step.op.once(*(values[place] for place in step.inputs)))
        return values

    def logits(self, low: Tensor) -> Tensor:
        """Logits at the size of the image, `(N, K, H, W)`, from the value of the last step."""
        for op in self.lift:
            low = op(low)
        return low


@dataclass(frozen=True)
class _Shape:
    """Shape of a map that depends on the image."""

    shape: tuple[int, ...]


class Recorder(fx.Interpreter):
    """Runs a trace once and records the shape of each map, and the value of everything else."""

    def __init__(self, traced: fx.GraphModule) -> None:
        super().__init__(traced)
        self.extra_traceback = False
        self.seen: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        moving = n.op == "placeholder" or any(isinstance(self.seen.get(source), _Shape) for source in n.all_input_nodes)
        if moving and not _about_size(n):
            if n.op == "output":
                return value
            if not isinstance(value, Tensor):
                raise Unknown(f"{_name(n)} makes a {type(value).__name__} of a map")
            self.seen[n] = _Shape(tuple(value.shape))
        else:
            self.seen[n] = value
        return value


def _name(node: fx.Node) -> str:
    return str(node.target if isinstance(node.target, str) else getattr(node.target, "__name__", node.target))


def _about_size(node: fx.Node) -> bool:
    """Whether a node reads the size or dtype of a map, which does not depend on its values."""
    if node.op == "call_function" and node.target is getattr:
        return node.args[1] in ("shape", "dtype", "device", "ndim")
    return node.op == "call_method" and node.target in ("size", "dim")


class Builder:
    """Builds a `Network` from a trace.

    Args:
        traced: the traced network.
        seen: from a `Recorder`.
        kept: a node whose value must remain a step.
        size: H and W of the images, which the segmenter may pad for the network.
    """

    def __init__(
        self, traced: fx.GraphModule, seen: dict[fx.Node, Any], kept: fx.Node | None, size: tuple[int, int]
    ) -> None:
        self._traced, self._seen, self._kept, self._size = traced, seen, kept, size
        self._steps: list[Step] = []
        self._at: dict[fx.Node, int] = {}

    def build(self, outputs: dict[str, fx.Node], dtype: torch.dtype, expected: Tensor) -> Network:
        """Build the network, with logits of as many classes as the segmenter's own, `(1, K, H, W)`.

        Raises:
            Unknown: a part of the network cannot be lowered.
        """
        last = -1
        for node in self._traced.graph.nodes:
            if node.op == "output":
                (result,) = node.args
                if not isinstance(result, fx.Node) or result not in self._at:
                    raise Unknown("the network's output is no single tensor")
                last = self._at[result]
                channels, *got = self._steps[last].shape
                if got != list(self._size):  # padded
                    crop = Crop((0, self._size[0]), (0, self._size[1]))
                    self._steps.append(Step(crop, (last,), (channels, *self._size)))
                    last = len(self._steps) - 1
            elif isinstance(self._seen.get(node), _Shape):
                self._add(node)
        kept = None if self._kept is None else self._at.get(self._kept)
        steps, now = unjoined(self._steps[: last + 1], kept)
        places = {name: now[self._at[node]] for name, node in outputs.items() if self._at.get(node) in now}
        lift: list[Op] = []
        while isinstance(steps[-1].op, Resize | Crop) and steps[-1].inputs == (len(steps) - 2,):
            if kept is not None and now.get(kept) == len(steps) - 1:
                break
            if isinstance(steps[-1].op, Resize) and (
                not steps[-1].op.bilinear or any(isinstance(o, Resize) for o in lift)
            ):
                break
            op = steps.pop().op
            assert op is not None
            lift.insert(0, op)
        channels, classes = steps[-1].shape[0], expected.shape[1]
        if channels == 1 and classes == 2:
            # The single logit z of a binary segmenter stands for the logits 0 and z. Upsampling commutes with this.
            pair = Conv(expected.new_tensor([0.0, 1.0]).view(2, 1, 1, 1), None, (1, 1), (0, 0), (1, 1), 1)
            steps.append(Step(pair, (len(steps) - 1,), (2, *steps[-1].shape[1:])))
        elif channels != classes:
            raise Unknown(f"the traced network gives {channels} channels for {classes} classes")
        return Network(tuple(_cast(step, dtype) for step in steps), tuple(lift), places, dtype)

    def _add(self, node: fx.Node) -> None:
        shape = self._seen[node].shape
        if len(shape) != 4 or shape[0] != 1:
            raise Unknown(f"{_name(node)} gives a tensor of shape {tuple(shape)}, no maps")
        if node.op == "placeholder":
            self._append(node, None, (), (*shape[:2], *self._size))
            below, right = (side - own for side, own in zip(shape[2:], self._size, strict=True))
            if below or right:
                self._append(node, Pad((0, right, 0, below), self._size, "edge"), (0,), shape)
            return
        inputs: list[int] = []

        def argument(other: fx.Node) -> Any:
            if not isinstance(self._seen[other], _Shape):
                return self._seen[other]
            place = self._at[other]
            if place not in inputs:
                inputs.append(place)
            return Place(inputs.index(place))

        args = fx.node.map_arg(node.args, argument)
        kwargs = fx.node.map_arg(node.kwargs, argument)
        target: Any = node.target
        if node.op == "call_module":
            target = self._traced.get_submodule(str(node.target))
        op = known(node.op, target, args, dict(kwargs), [self._steps[place].shape for place in inputs])
        if op is None:  # an identity operation
            if node is self._kept:
                raise Unknown("the layer is an identity")
            self._at[node] = inputs[0]
            return
        joined = _join(self._steps[inputs[0]].op, op) if len(inputs) == 1 and self._alone(inputs[0], node) else None
        if joined is None:
            self._append(node, op, tuple(inputs), shape)
            return
        place = inputs[0]
        self._steps[place] = replace(self._steps[place], op=joined)
        for other in [other for other, at in self._at.items() if at == place]:
            del self._at[other]  # the value before the fused operation no longer exists
        self._at[node] = place

    def _append(self, node: fx.Node, op: Op | None, inputs: tuple[int, ...], shape: tuple[int, ...]) -> None:
        self._at[node] = len(self._steps)
        self._steps.append(Step(op, inputs, (shape[1], shape[2], shape[3])))

    def _alone(self, place: int, user: fx.Node) -> bool:
        """Whether a step's value is used by one node only and need not be kept."""
        nodes = {node for node, at in self._at.items() if at == place}
        users = {other for node in nodes for other in node.users if isinstance(self._seen.get(other), _Shape)} - nodes
        return users == {user} and self._kept not in nodes


def _join(first: Op | None, second: Op) -> Op | None:
    """Fuse two operations if that is exact: a normalisation after a convolution, an activation after any; else None."""
    if not isinstance(second, Pointwise):
        return None
    if second.function is fresh and isinstance(first, Conv | Pointwise):
        return replace(first, acts=first.acts + second.acts)
    if second.function is affine and isinstance(first, Conv) and not first.acts:
        scale, shift = (value for value in second.arguments[1:] if isinstance(value, Tensor))
        weight = (first.weight * scale.view(-1, 1, 1, 1)).contiguous(memory_format=torch.channels_last)
        bias = shift.flatten() if first.bias is None else first.bias * scale.flatten() + shift.flatten()
        return replace(first, weight=weight, bias=bias, acts=second.acts)
    return None


def _cast(step: Step, dtype: torch.dtype) -> Step:
    """Convert the weights of a step to a dtype, and prepare faster algorithms for it."""
    op = step.op
    if isinstance(op, Conv):
        bias = None if op.bias is None else op.bias.to(dtype)
        weight = op.weight.to(dtype)
        # In bfloat16 a plain convolution is as fast as Winograd's algorithm.
        quick = op.stride == (1, 1) and op.groups == 1 and Winograd.knows(weight, op.dilation)
        winograd = Winograd(weight, bias) if quick else None
        return replace(step, op=replace(op, weight=weight, bias=bias, quick=winograd, wide=_widened(op, weight, bias)))
    if isinstance(op, Mix):
        weights = tuple(weight.to(dtype) for weight in op.weights)
        return replace(step, op=replace(op, weights=weights, bias=op.bias.to(dtype)))
    if isinstance(op, Pointwise):
        arguments = tuple(value.to(dtype) if isinstance(value, Tensor) else value for value in op.arguments)
        return replace(step, op=replace(op, arguments=arguments))
    return step


def _widened(op: Conv, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor] | None:
    """Weights of a 1 × 1 convolution with few outputs, padded to a number of outputs that is fast on CPUs; else
    None."""
    outputs, spare = len(weight), -len(weight) % 16
    if tuple(weight.shape[2:]) != (1, 1) or op.groups > 1 or not spare or outputs > 32:
        return None
    bias = weight.new_zeros(outputs) if bias is None else bias
    wide = functional.pad(weight, (0, 0) * 3 + (0, spare))
    return wide.contiguous(memory_format=torch.channels_last), functional.pad(bias, (0, spare))
