"""What a network is made of: its parts as a tree, what each gives for a picture, and how many weights it holds.

A part is a module of torch, or a node of an ONNX graph. What a network computes between its modules, such as an addition
or a function of `torch.nn.functional`, is no module, so it does not stand in the tree of a torch network; in a graph
everything is a node.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from perturb.images.image import Image, to_tensor
from perturb.segmenters.base import Segmenter
from perturb.segmenters.layers import Hook, hooks, layers, network
from perturb.segmenters.onnx.layers import maps, shapes
from perturb.segmenters.onnx.runtime import onnx
from perturb.segmenters.onnx.segmenter import OnnxSegmenter

Shape = tuple[int, ...]

GROUP = "group of nodes"
_SCOPES = "pkg.torch.onnx.name_scopes"
"""Where torch's exporter notes the modules that a node comes from."""
_DEEPEST = 20
"""Groups within groups; the names in a stranger's file can say anything."""
_NO_TENSOR = ("SplitToSequence", "SequenceConstruct", "SequenceEmpty", "SequenceInsert", "SequenceErase", "Optional")
_SIZES = ("Resize", "Upsample", "Pad", "Clip", "Range", "Slice")
"""Operators whose numbers say how to work, and were never trained."""
_NUMBERS = ("FLOAT", "FLOAT16", "DOUBLE", "BFLOAT16")


@dataclass(frozen=True)
class Part:
    """A part of a network, with the parts inside it.

    Attributes:
        name: its dotted path, such as `decoder3.mix`; empty for the whole network.
        kind: the module's class name, or the node's operator; `GROUP` for nodes that belong together.
        calls: how often it was called for one picture. 0 for one that only holds others, or that is not used.
        shapes: of what it gives, without the axis of the batch, each once, in the order in which they come; of a group, of
            what its last node gives.
        own: weights of its own, without those of its parts; a weight that several parts share counts for the first.
        parts: inside it, in the order in which they were written down; of a graph, in which they run.
        same_as: name of the place where the same module stands first; its parts and weights stand there.
        layer: the name by which methods that look at layers know it; empty where they cannot use it.
    """

    name: str
    kind: str
    calls: int
    shapes: tuple[Shape, ...]
    own: int
    parts: tuple[Part, ...] = ()
    same_as: str = ""
    layer: str = ""

    @property
    def parameters(self) -> int:
        """Weights in it and in all it contains."""
        return self.own + sum(part.parameters for part in self.parts)

    def walk(self) -> Iterator[Part]:
        """It, and all parts inside it, outermost first."""
        yield self
        for part in self.parts:
            yield from part.walk()


@dataclass(frozen=True)
class Kind:
    """All parts of one kind.

    Attributes:
        kind: the class name or operator.
        count: how many there are; one that stands in several places counts once.
        parameters: their own weights together.
    """

    kind: str
    count: int
    parameters: int


def architecture(segmenter: Segmenter, image: Image) -> Part:
    """The parts of a segmenter's network. A forward pass or two.

    Args:
        segmenter: a `TorchSegmenter`, or an `OnnxSegmenter`.
        image: the picture; shapes depend on its size.

    Raises:
        SegmenterError: its parts cannot be reached, or it broke its contract.
    """
    if isinstance(segmenter, OnnxSegmenter):
        return _graph(segmenter, to_tensor(image, segmenter.device)[None])
    whole = network(segmenter)
    calls: Counter[nn.Module] = Counter()
    given: dict[nn.Module, dict[Shape, None]] = {}

    def note(module: nn.Module) -> Hook:
        def keep(output: Any) -> None:
            calls[module] += 1
            given.setdefault(module, {}).update(dict.fromkeys(_shapes(output)))

        return keep

    with hooks(*((module, note(module)) for module in whole.modules())), torch.inference_mode():
        segmenter(to_tensor(image, segmenter.device)[None])
    usable = {layer.name for layer in layers(segmenter, image)}
    first: dict[nn.Module, str] = {}
    counted: set[Tensor] = set()

    def read(module: nn.Module, name: str) -> Part:
        known = calls[module], tuple(given.get(module, ()))
        if module in first:
            return Part(name, type(module).__name__, *known, own=0, same_as=first[module])
        first[module] = name
        weights = {weights for weights in module.parameters(recurse=False) if weights not in counted}
        counted.update(weights)
        inside = ((key, part) for key, part in module._modules.items() if part is not None)
        parts = tuple(read(part, f"{name}.{key}" if name else key) for key, part in inside)
        own = sum(each.numel() for each in weights)
        return Part(name, type(module).__name__, *known, own, parts, layer=name if name in usable else "")

    return read(whole, "")


def by_kind(whole: Part) -> tuple[Kind, ...]:
    """The kinds of the innermost parts and of those with weights of their own: most weights first, then most parts."""
    found: dict[str, list[int]] = {}
    for part in whole.walk():
        if not part.same_as and (part.own or not part.parts):
            tally = found.setdefault(part.kind, [0, 0])
            tally[0] += 1
            tally[1] += part.own
    kinds = (Kind(name, count, own) for name, (count, own) in found.items())
    return tuple(sorted(kinds, key=lambda kind: (-kind.parameters, -kind.count, kind.kind)))


def why_not(part: Part) -> str:
    """Why methods that look at layers cannot use a part, in words; an empty string if they can."""
    if part.layer:
        return ""
    if part.same_as:
        return f"It is the same module as {part.same_as}, which is used in several places."
    if part.calls == 0:
        return "It is not run by itself for this picture: it only holds other parts, or is not used at all."
    if part.calls > 1:
        return f"It is used {part.calls} times for one picture, so which of its outputs is meant cannot be said."
    if not any(len(shape) == 3 and shape[1] * shape[2] > 1 for shape in part.shapes):
        return "It gives no map: nothing with channels, rows and columns."
    return (
        "It is no layer of its own: it hands its input on, groups others, gives several maps, or is the output itself."
    )


def _shapes(output: Any) -> Iterator[Shape]:
    """Of all tensors in what a module gives, which may be a tuple or a dictionary of them."""
    if isinstance(output, Tensor):
        yield _one(tuple(output.shape))
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from _shapes(value)
    elif isinstance(output, list | tuple):
        for value in output:
            yield from _shapes(value)


def _one(shape: Shape) -> Shape:
    """Of one picture's part: without the batch's axis, if there is one."""
    return shape[1:] if len(shape) > 1 and shape[0] == 1 else shape


@dataclass
class _Group:
    """Nodes that belong together, while they are being collected."""

    name: str
    nodes: list[_Group | Part] = field(default_factory=list)
    groups: dict[str, _Group] = field(default_factory=dict)

    def inner(self, key: str) -> _Group:
        if key not in self.groups:
            self.groups[key] = _Group(f"{self.name}.{key}" if self.name else key)
            self.nodes.append(self.groups[key])
        return self.groups[key]

    def part(self, kind: str = GROUP) -> Part:
        parts = tuple(each.part() if isinstance(each, _Group) else each for each in self.nodes)
        if kind == GROUP and len(self.nodes) == 1 and isinstance(self.nodes[0], Part):
            return replace(parts[0], name=self.name)  # a module that became one node
        return Part(self.name, kind, 1, parts[-1].shapes if parts else (), 0, parts)


def _graph(segmenter: OnnxSegmenter, picture: Tensor) -> Part:
    model = onnx.load_from_string(segmenter.data)
    numbers = set(map(onnx.TensorProto.DataType.Value, _NUMBERS))
    weights = {each.name: int(np.prod(each.dims)) for each in model.graph.initializer if each.data_type in numbers}
    nodes = [node for node in model.graph.node if node.op_type != "Constant"]
    asked = [node.output[0] for node in nodes if node.op_type not in _NO_TENSOR and node.output[0]]
    known = dict(zip(asked, shapes(segmenter, picture, asked), strict=True))
    usable = {each.tensor: each.name for each in maps(segmenter, picture)}
    whole, taken = _Group(""), {""}
    for node in nodes:
        path, leaf = _path(node)
        group = whole
        for key in path:
            group = group.inner(key)
        place = f"{group.name}.{leaf}" if group.name else leaf
        name, times = place, 1
        while name in taken or leaf in group.groups:
            name, leaf, times = f"{place}.{times}", f"{leaf}.{times}", times + 1
        taken.add(name)
        own = 0 if node.op_type in _SIZES else sum(weights.pop(given, 0) for given in node.input)
        shape = known.get(node.output[0])
        given = () if shape is None else (_one(shape),)
        group.nodes.append(Part(name, node.op_type, 1, given, own, layer=usable.get(node.output[0], "")))
    return whole.part("ONNX graph")


def _path(node: onnx.NodeProto) -> tuple[list[str], str]:
    """The modules that a node came from, outermost first, and its own name: what torch's exporters leave behind."""
    plain = re.sub(r"\W+", ".", node.name).strip(".") or node.op_type
    for note in node.metadata_props:
        if note.key == _SCOPES:
            scopes = re.findall(r"'([\w.]*)'", note.value)  # "['', 'stem', 'stem.conv', 'conv2d']"
            inner = scopes[-2] if len(scopes) > 1 else ""
            return [key for key in inner.split(".") if key][:_DEEPEST], plain.rsplit(".", 1)[-1]
    pieces = [piece for piece in (re.sub(r"\W+", "_", each) for each in node.name.split("/")) if piece]
    return (pieces[:-1][:_DEEPEST], pieces[-1]) if len(pieces) > 1 else ([], plain)
