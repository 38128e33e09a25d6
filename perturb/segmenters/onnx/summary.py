"""The nodes of an ONNX graph as a tree of parts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

import numpy as np

from perturb.images.image import Image
from perturb.segmenters.onnx.layers import GraphLayer, OnnxLayers, tensor_shapes
from perturb.segmenters.onnx.runtime import onnx
from perturb.segmenters.summary import GROUP, Part, without_batch

_SCOPES = "pkg.torch.onnx.name_scopes"
"""Metadata key under which torch's exporter stores the modules of a node."""
_DEEPEST = 20
"""Largest nesting depth of groups; names in an untrusted file can have any depth."""
_NO_TENSOR = ("SplitToSequence", "SequenceConstruct", "SequenceEmpty", "SequenceInsert", "SequenceErase", "Optional")
_SIZES = ("Resize", "Upsample", "Pad", "Clip", "Range", "Slice")
"""Operators whose constants are parameters of the operation, not trained weights."""
_NUMBERS = ("FLOAT", "FLOAT16", "DOUBLE", "BFLOAT16")


@dataclass
class _Group:
    """A group of nodes under construction."""

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
            return replace(parts[0], name=self.name)  # a module exported as a single node
        return Part(self.name, kind, 1, parts[-1].shapes if parts else (), 0, parts)


def graph_summary(segmenter: OnnxLayers, image: Image) -> Part:
    """The parts of a graph, with their output shapes for an image. Takes one or two passes.

    Raises:
        SegmenterError: the graph cannot run on the image.
    """
    model = onnx.load_from_string(segmenter.data)
    numbers = set(map(onnx.TensorProto.DataType.Value, _NUMBERS))
    weights = {each.name: int(np.prod(each.dims)) for each in model.graph.initializer if each.data_type in numbers}
    nodes = [node for node in model.graph.node if node.op_type != "Constant"]
    asked = [node.output[0] for node in nodes if node.op_type not in _NO_TENSOR and node.output[0]]
    known = dict(zip(asked, tensor_shapes(segmenter, image, asked), strict=True))
    usable = {each.tensor: each.name for each in segmenter.layers(image) if isinstance(each, GraphLayer)}
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
        given = () if shape is None else (without_batch(shape),)
        group.nodes.append(Part(name, node.op_type, 1, given, own, layer=usable.get(node.output[0], "")))
    return whole.part("ONNX graph")


def _path(node: onnx.NodeProto) -> tuple[list[str], str]:
    """The modules of a node, outermost first, and its own name, as written by torch's exporters."""
    plain = re.sub(r"\W+", ".", node.name).strip(".") or node.op_type
    for note in node.metadata_props:
        if note.key == _SCOPES:
            scopes = re.findall(r"'([\w.]*)'", note.value)  # "['', 'stem', 'stem.conv', 'conv2d']"
            inner = scopes[-2] if len(scopes) > 1 else ""
            return [key for key in inner.split(".") if key][:_DEEPEST], plain.rsplit(".", 1)[-1]
    pieces = [piece for piece in (re.sub(r"\W+", "_", each) for each in node.name.split("/")) if piece]
    return (pieces[:-1][:_DEEPEST], pieces[-1]) if len(pieces) > 1 else ([], plain)
