"""Topological order of a graph's nodes."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

from perturb.core.errors import SegmenterError
from perturb.segmenters.onnx.runtime import onnx


def sort_nodes(model: onnx.ModelProto, name: str = "the file") -> None:
    """Sort the nodes of a graph topologically, in place. A sorted graph is not changed.

    The ONNX standard requires this order. onnxruntime does not need it, and some tools write files without it.

    Args:
        model: modified in place.
        name: name of the file in messages.

    Raises:
        SegmenterError: the graph has a cycle.
    """
    nodes = model.graph.node
    makers = {made: index for index, node in enumerate(nodes) for made in node.output if made}
    waits = {index: {makers[given] for given in node.input if given in makers} for index, node in enumerate(nodes)}
    if all(earlier < index for index, awaited in waits.items() for earlier in awaited):
        return
    try:
        order = list(TopologicalSorter(waits).static_order())
    except CycleError as error:
        circle = ", ".join(nodes[index].output[0] for index in error.args[1][:5])
        raise SegmenterError(
            f"The graph of '{name}' has a cycle ({circle}), so it can never run. Export it again."
        ) from error
    copies = [onnx.NodeProto.FromString(nodes[index].SerializeToString()) for index in order]
    del nodes[:]
    nodes.extend(copies)
