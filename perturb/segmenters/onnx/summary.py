"""The nodes of an ONNX graph as a tree of parts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from perturb.images.image import Image
from perturb.segmenters.onnx.layers import GraphLayer, OnnxLayers
from perturb.segmenters.onnx.model import GraphNode
from perturb.segmenters.summary import GROUP, Part, without_batch

_DEEPEST = 20
"""Largest nesting depth of groups; names in an untrusted file can have any depth."""


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
    usable = {each.tensor: each.name for each in segmenter.layers(image) if isinstance(each, GraphLayer)}
    whole, taken = _Group(""), {""}
    for node in segmenter.model.nodes(segmenter.one(image), segmenter.spec.input):
        path, leaf = _path(node)
        group = whole
        for key in path:
            group = group.inner(key)
        place = f"{group.name}.{leaf}" if group.name else leaf
        name, times = place, 1
        while name in taken or leaf in group.groups:
            name, leaf, times = f"{place}.{times}", f"{leaf}.{times}", times + 1
        taken.add(name)
        given = () if node.shape is None else (without_batch(node.shape),)
        group.nodes.append(Part(name, node.operator, 1, given, node.own, layer=usable.get(node.output, "")))
    return whole.part("ONNX graph")


def _path(node: GraphNode) -> tuple[list[str], str]:
    """The modules of a node, outermost first, and its own name, as written by torch's exporters."""
    plain = re.sub(r"\W+", ".", node.name).strip(".") or node.operator
    if node.scopes:
        scopes = re.findall(r"'([\w.]*)'", node.scopes)  # "['', 'stem', 'stem.conv', 'conv2d']"
        inner = scopes[-2] if len(scopes) > 1 else ""
        return [key for key in inner.split(".") if key][:_DEEPEST], plain.rsplit(".", 1)[-1]
    pieces = [piece for piece in (re.sub(r"\W+", "_", each) for each in node.name.split("/")) if piece]
    return (pieces[:-1][:_DEEPEST], pieces[-1]) if len(pieces) > 1 else ([], plain)
