"""What a network makes of a changed layer, without running what comes before that layer again.

Channel ablation asks what a network answers when one of its own activations is changed. Everything before the layer
stays as it was, so it is run once; only what follows is run for every change, and exactly: skip connections around the
layer keep their clean values.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, fx

from perturb.images.image import Image, to_tensor
from perturb.segmenters.base import Segmenter, check_logits
from perturb.segmenters.layers import find, hooks, network, observe, onnx_rest
from perturb.segmenters.onnx.layers import OnnxRest
from perturb.segmenters.onnx.segmenter import OnnxSegmenter
from perturb.segmenters.torch_module import TorchSegmenter
from perturb.segmenters.tracing import trace

TOLERANCE = 1e-4
"""The tail must give the whole network's clean logits within this part of their range; float32 sums in another order
differ by some 1e-6."""


def split(segmenter: Segmenter, image: Image, name: str) -> Tail | OnnxRest:
    """What follows a layer, for whatever kind of segmenter; see `Tail` for the arguments and errors."""
    if isinstance(segmenter, OnnxSegmenter):
        return onnx_rest(segmenter, to_tensor(image, segmenter.device)[None], name)
    return Tail(segmenter, image, name)


class Tail:
    """The part of a network after one layer.

    The network is traced with `torch.fx`; the values of all nodes that do not depend on the layer's output are computed
    once, and those that the rest needs are kept. A call then runs only the nodes that do depend on it. The clean
    activation must lead to the clean logits of the whole network, or the trace is not trusted.

    Where a network cannot be traced (its control flow depends on values) or its trace does not hold, each call runs the
    whole network with the layer's output replaced by a hook: the same answer, at the price of a whole forward pass;
    `note` says so.

    A layer that is used several times in one pass is refused: its activation would be several ones.

    Args:
        segmenter: a `TorchSegmenter`.
        image: the picture.
        name: of the layer, as in `perturb.segmenters.layers.layers`.

    Attributes:
        activation: the clean output of the layer, `(1, C, h, w)`, on the segmenter's device. Not to be written to.
        clean: the whole network's clean logits, `(1, K, H, W)`.
        note: why every call runs the whole network, in a sentence; empty when it does not.

    Raises:
        SettingError: no such layer, it gives no map, or it is used several times.
        SegmenterError: the segmenter is no torch network, or broke its contract.
    """

    def __init__(self, segmenter: Segmenter, image: Image, name: str) -> None:
        self._segmenter = segmenter
        self._picture = to_tensor(image, segmenter.device)[None]
        self._name = name
        self._module = find(segmenter, name)
        self.clean, self.activation = observe(segmenter, self._picture, name)
        self._rest: _Rest | None = None
        self.note = ""
        reason = self._split()
        if reason:
            self._rest = None
            self.note = (
                f"The network could not be split at layer '{name}' ({reason}), so each ablation ran all of it: "
                "the same numbers, more slowly."
            )

    def __call__(self, activation: Tensor) -> Tensor:
        """Logits `(N, K, H, W)` when the layer gives `activation`, `(N, C, h, w)`, which may be overwritten.

        Raises:
            SegmenterError: the segmenter broke its contract.
        """
        batch = self._picture.expand(len(activation), -1, -1, -1)
        with torch.inference_mode():
            if self._rest is not None:
                segmenter = cast(TorchSegmenter, self._segmenter)
                output = segmenter.finish(self._rest(activation), *batch.shape[2:])
                return check_logits(output, batch, len(segmenter.classes), segmenter.name)
            with hooks((self._module, lambda output: activation)):
                return self._segmenter(batch)

    def _split(self) -> str:
        """Trace the network and run what comes before the layer; an empty string, or why that cannot be done."""
        # Whatever a network does that tracing does not stand is a reason to run all of it, and no error.
        try:
            traced, outputs = trace(network(self._segmenter))
        except Exception as error:
            return f"tracing it fails: {_first_line(error)}"
        node = outputs.get(self._name)
        if node is None:
            return "its trace has no value of that name"
        try:
            with torch.inference_mode():
                given = cast(TorchSegmenter, self._segmenter).prepare(self._picture)
                self._rest = _Rest(traced, node, given)
                if not self._rest.matters:
                    return "the logits do not depend on it"
                # Two at once: whatever took the size of the first batch for a constant shows here.
                twice = self(self.activation.repeat(2, 1, 1, 1))
        except Exception as error:
            return f"running its trace fails: {_first_line(error)}"
        allowed = TOLERANCE * float(self.clean.max() - self.clean.min()) + 1e-6
        off = float((twice - self.clean).abs().max())
        return "" if off <= allowed else f"its trace gives logits that differ by {off:.2g}"


class _Rest(fx.Interpreter):
    """The nodes that depend on one node, run with that node's value replaced and all others kept from one clean run.

    Args:
        traced: the network.
        node: whose value is replaced.
        given: the network's input for one picture.

    Attributes:
        matters: whether the network's output depends on that node.
    """

    def __init__(self, traced: fx.GraphModule, node: fx.Node, given: Tensor) -> None:
        super().__init__(traced)
        self.extra_traceback = False
        self._node = node
        self._dependent: set[fx.Node] = set()
        for other in traced.graph.nodes:  # in order, so every input of a node was met before it
            if any(source is node or source in self._dependent for source in other.all_input_nodes):
                self._dependent.add(other)
        self.matters = any(other.op == "output" for other in self._dependent)
        self._kept: dict[fx.Node, Any] = {}
        self._whole = False
        self.run(given)
        self._whole = True

    def run_node(self, n: fx.Node) -> Any:
        if self._whole:
            return super().run_node(n)
        if n in self._dependent:
            return None
        value = super().run_node(n)
        # Of what comes before only what crosses over to the rest is kept: skip connections, sizes, weights.
        crosses = n is not self._node and any(user in self._dependent for user in n.users)
        self._kept[n] = value if crosses else None
        return value

    def __call__(self, activation: Tensor) -> Any:
        count = len(activation)
        known = {n: value if n.op == "get_attr" else _repeat(value, count) for n, value in self._kept.items()}
        return self.run(initial_env=known | {self._node: activation})


def _repeat(value: Any, count: int) -> Any:
    """A kept value for a batch: one picture's maps become `count` of them, everything else stays.

    Copies, so that an operation in place cannot change what is kept.
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
