"""Re-run the sub-network downstream of a layer.

Channel ablation needs the network's output when one of its activations is changed. Everything upstream of the layer is
unaffected, so it is run once. Only the sub-network downstream is run for each change. The result is exact: skip
connections around the layer keep their clean values.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from perturb.images.image import Image, to_tensor
from perturb.segmenters.base import check_logits
from perturb.segmenters.torch_layers import TorchLayers, find_module, hooks
from perturb.segmenters.tracing import trace_module

CLEAN_TOLERANCE = 1e-4
"""Largest difference between the clean logits of the traced sub-network and of the network, relative to their range.
Summing in another order in float32 gives differences of about 1e-6."""


class TorchDownstream:
    """The sub-network downstream of one layer of a torch module.

    The network is traced with `torch.fx`. The values of all nodes that do not depend on the layer's output are computed
    once, and those that the sub-network needs are kept. A call then runs only the dependent nodes. The trace is used
    only if the clean activation gives the clean logits of the whole network.

    If a network cannot be traced (its control flow depends on values) or its trace gives other logits, each call runs
    the whole network with a hook that replaces the layer's output. This gives the same numbers at the cost of a whole
    forward pass, and `note` says so.

    A layer that is used several times in one pass is rejected, because it has no single activation.

    Args:
        segmenter: the segmenter.
        image: the clean image.
        name: the layer's name.

    Attributes: as in `perturb.segmenters.layers.Downstream`.

    Raises:
        SettingError: the layer does not exist, its output is not a map, or it is used several times.
        SegmenterError: the logits violate the contract.
    """

    def __init__(self, segmenter: TorchLayers, image: Image, name: str) -> None:
        self._segmenter = segmenter
        self._batch = to_tensor(image, segmenter.device)[None]
        self._name = name
        self._module = find_module(segmenter, name)
        self.clean, self.activation = segmenter.observe(image, name)
        self._dependent: _DependentNodes | None = None
        self.note = ""
        reason = self._split()
        if reason:
            self._dependent = None
            self.note = (
                f"The network could not be split at layer '{name}' ({reason}), so each ablation ran all of it: "
                "the same numbers, more slowly."
            )

    def __call__(self, activation: Tensor) -> Tensor:
        """Logits `(N, K, H, W)` for the layer's activation `(N, C, h, w)`, which may be overwritten.

        Raises:
            SegmenterError: the logits violate the contract.
        """
        batch = self._batch.expand(len(activation), -1, -1, -1)
        segmenter = self._segmenter
        with torch.inference_mode():
            if self._dependent is not None:
                output = segmenter.finish(self._dependent(activation), *batch.shape[2:])
                return check_logits(output, batch, len(segmenter.classes), segmenter.name)
            with hooks((self._module, lambda output: activation)):
                return segmenter(batch)

    def _split(self) -> str:
        """Trace the network and run the part upstream of the layer. Returns why that fails; empty on success."""
        # A network that cannot be traced is run as a whole, so any failure is a reason and not an error.
        try:
            with torch.inference_mode():
                given = self._segmenter.prepare(self._batch)
            traced, outputs = trace_module(self._segmenter.module, given)
        except Exception as error:
            return f"tracing it fails: {_first_line(error)}"
        node = outputs.get(self._name)
        if node is None:
            return "its trace has no value of that name"
        try:
            with torch.inference_mode():
                self._dependent = _DependentNodes(traced, node, given)
                if not self._dependent.reach_output:
                    return "the logits do not depend on it"
                # A batch of two reveals a trace that holds the batch size as a constant.
                twice = self(self.activation.repeat(2, 1, 1, 1))
        except Exception as error:
            return f"running its trace fails: {_first_line(error)}"
        allowed = CLEAN_TOLERANCE * float(self.clean.max() - self.clean.min()) + 1e-6
        off = float((twice - self.clean).abs().max())
        return "" if off <= allowed else f"its trace gives logits that differ by {off:.2g}"


class _DependentNodes(fx.Interpreter):
    """Runs the nodes that depend on one node, with that node's value replaced; all others keep their clean values.

    Args:
        traced: the network.
        node: the node whose value is replaced.
        given: the network's input for one image.

    Attributes:
        reach_output: whether the network's output depends on the node.
    """

    def __init__(self, traced: fx.GraphModule, node: fx.Node, given: Tensor) -> None:
        super().__init__(traced)
        self.extra_traceback = False
        self._node = node
        self._dependent: set[fx.Node] = set()
        for other in traced.graph.nodes:  # in topological order
            if any(source is node or source in self._dependent for source in other.all_input_nodes):
                self._dependent.add(other)
        self.reach_output = any(other.op == "output" for other in self._dependent)
        self._kept: dict[fx.Node, Any] = {}
        self._upstream_done = False
        self.run(given)
        self._upstream_done = True

    def run_node(self, n: fx.Node) -> Any:
        if self._upstream_done:
            return super().run_node(n)
        if n in self._dependent:
            return None
        value = super().run_node(n)
        # Of the upstream values only those used downstream are kept: skip connections, sizes, weights.
        crosses = n is not self._node and any(user in self._dependent for user in n.users)
        self._kept[n] = value if crosses else None
        return value

    def __call__(self, activation: Tensor) -> Any:
        count = len(activation)
        known = {n: value if n.op == "get_attr" else _repeat(value, count) for n, value in self._kept.items()}
        return self.run(initial_env=known | {self._node: activation})


def _repeat(value: Any, count: int) -> Any:
    """Repeat the maps in a kept value for a batch of `count`; everything else is returned unchanged.

    Maps are copied, so that an in-place operation cannot change the kept value.
    """
    if type(value) in (list, tuple):
        return type(value)(_repeat(part, count) for part in value)
    if isinstance(value, dict):
        return {key: _repeat(part, count) for key, part in value.items()}
    if not isinstance(value, Tensor) or value.ndim == 0:
        return value
    repeated = value.repeat(count, *(1,) * (value.ndim - 1)) if len(value) == 1 else value.clone()
    last = value.ndim == 4 and value.is_contiguous(memory_format=torch.channels_last)
    return repeated.contiguous(memory_format=torch.channels_last) if last else repeated


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
