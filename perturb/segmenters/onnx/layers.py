"""Layer access for ONNX graphs: their activation maps, and the sub-network downstream of each."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from perturb.core.errors import SegmenterError, SettingError
from perturb.images.image import Image, to_tensor
from perturb.segmenters.base import check_logits
from perturb.segmenters.layers import Layer, LayerAccess
from perturb.segmenters.onnx.checks import first_line
from perturb.segmenters.onnx.order import sort_nodes
from perturb.segmenters.onnx.runtime import onnx, onnxruntime
from perturb.segmenters.onnx.session import open_session
from perturb.segmenters.onnx.spec import OnnxGraph, OnnxSpec

_MAKE_MAPS = ("Conv", "ConvTranspose")
"""Operators whose output is a map with channels first, whatever the layout of the image."""
_KEEP_MAPS = (
    "Add", "AveragePool", "BatchNormalization", "Clip", "Concat", "Elu", "Gelu", "HardSigmoid", "HardSwish",
    "InstanceNormalization", "LeakyRelu", "MaxPool", "Mish", "Mul", "PRelu", "Relu", "Resize", "Sigmoid", "Softplus", "Swish",
    "Upsample",
)  # fmt: skip
"""Operators whose output is a map if their input is one."""


@dataclass(frozen=True)
class GraphLayer(Layer):
    """A tensor of a graph that holds a map for each channel. Its `name` has only letters, digits, underscores and dots.

    Attributes:
        tensor: name of the tensor in the graph.
    """

    tensor: str


class OnnxLayers(LayerAccess):
    """Access to the maps of an ONNX graph.

    Attributes:
        data: bytes of the file.
        graph: from `read_spec` of the same bytes.
        spec: from `complete`.
    """

    part_noun: ClassVar[str] = "nodes"
    summary_note: ClassVar[str] = (
        "A graph contains every step of the computation. Groups are derived from the names written by the exporter."
    )
    data: bytes
    graph: OnnxGraph
    spec: OnnxSpec

    @abstractmethod
    def prepare(self, batch: Tensor) -> npt.NDArray[Any]:
        """Input of the graph for images `(N, 3, H, W)`, RGB in [0, 1]: scaled, in its channel order, layout and
        dtype."""

    @abstractmethod
    def read(self, answer: npt.NDArray[np.float32], height: int, width: int) -> Tensor:
        """Logits `(N, K, H, W)` for images of `height` × `width`, from the graph's output for their `prepare`d
        input."""

    def find_layers(self, image: Image) -> tuple[GraphLayer, ...]:
        model = onnx.load_from_string(self.data)
        sort_nodes(model, self.name)
        weights = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
        known: dict[str, onnx.NodeProto] = {}
        for node in model.graph.node:
            if node.op_type in _MAKE_MAPS or (node.op_type in _KEEP_MAPS and any(i in known for i in node.input)):
                known[node.output[0]] = node
        known.pop(self.spec.output, None)
        found: dict[str, GraphLayer] = {}
        for (tensor, node), shape in zip(known.items(), tensor_shapes(self, image, list(known)), strict=True):
            if len(shape) != 4 or shape[0] != 1 or shape[2] * shape[3] < 2:
                continue
            name = plain = re.sub(r"\W+", ".", tensor).strip(".")[:150] or "map"
            while name in found:
                name = f"{plain}.{len(found)}"
            parameters = sum(weights.get(given, 0) for given in node.input)
            found[name] = GraphLayer(name, node.op_type, shape[1:], parameters, len(found), tensor)
        return tuple(found.values())

    def check_layer(self, image: Image, name: str) -> None:
        self._layer(image, name)

    def observe(self, image: Image, name: str) -> tuple[Tensor, Tensor]:
        downstream = self.downstream(image, name)
        return downstream.clean, downstream.activation

    def downstream(self, image: Image, name: str) -> OnnxDownstream:
        return OnnxDownstream(self, image, self._layer(image, name))

    def _layer(self, image: Image, name: str) -> GraphLayer:
        found = self.layers(image)
        for layer in found:
            if layer.name == name and isinstance(layer, GraphLayer):
                return layer
        raise SettingError(
            f"The segmenter '{self.name}' has no layer '{name}' that gives a map; expected one of its {len(found)}, such as "
            f"{', '.join(layer.name for layer in found[-3:]) or 'none'}."
        )


def tensor_shapes(segmenter: OnnxLayers, image: Image, tensors: Sequence[str]) -> list[tuple[int, ...]]:
    """The shapes of some tensors of a graph for an image. Takes one pass.

    Raises:
        SegmenterError: the graph cannot run on the image.
    """
    if not tensors:
        return []
    model = onnx.load_from_string(segmenter.data)
    names = [f"shape of tensor {index}" for index in range(len(tensors))]
    # Only the shapes are outputs, so the tensors need not be in memory at the same time.
    for tensor, name in zip(tensors, names, strict=True):
        model.graph.node.append(onnx.helper.make_node("Shape", [tensor], [name]))
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT64, [None]))
    shapes = _ChangedGraph(segmenter, model, names)(to_tensor(image, segmenter.device)[None])
    return [tuple(int(side) for side in shape) for shape in shapes]


class OnnxDownstream:
    """The sub-network downstream of one activation of a graph, which becomes an input.

    For each changed activation onnxruntime runs the graph without the nodes that only that activation needs.

    Args:
        segmenter: the segmenter.
        image: the clean image.
        layer: from `find_layers`.

    Attributes: as in `perturb.segmenters.layers.Downstream`.

    Raises:
        SegmenterError: the graph cannot run on the image.
    """

    def __init__(self, segmenter: OnnxLayers, image: Image, layer: GraphLayer) -> None:
        self._segmenter, self._batch = segmenter, to_tensor(image, segmenter.device)[None]
        model = onnx.load_from_string(segmenter.data)
        if all(value.name != layer.tensor for value in model.graph.output):
            model.graph.output.append(onnx.ValueInfoProto(name=layer.tensor))
        answer, values = _ChangedGraph(segmenter, model, [segmenter.spec.output, layer.tensor])(self._batch)
        self.clean = segmenter.read(np.asarray(answer, dtype=np.float32), image.height, image.width)
        self.activation = torch.from_numpy(np.asarray(values, dtype=np.float32))
        self._layer, self._dtype = layer, values.dtype
        self._changed: _ChangedGraph | None = None
        self.note = ""

    def __call__(self, activation: Tensor) -> Tensor:
        """Logits `(N, K, H, W)` for the activation `(N, C, h, w)`.

        Raises:
            SegmenterError: the changed graph cannot run, or its logits violate the contract.
        """
        if self._changed is None:
            self._changed = self._with_input()
        step = len(activation) if self._segmenter.graph.batch is None else 1
        answers = []
        for start in range(0, len(activation), step):
            part = np.ascontiguousarray(activation[start : start + step].numpy(), dtype=self._dtype)
            (answer,) = self._changed(self._batch.expand(len(part), -1, -1, -1), part)
            answers.append(np.asarray(answer, dtype=np.float32))
        batch = self._batch.expand(len(activation), -1, -1, -1)
        logits = self._segmenter.read(np.concatenate(answers), *self._batch.shape[2:])
        return check_logits(logits, batch, len(self._segmenter.classes), self._segmenter.name)

    def _with_input(self) -> _ChangedGraph:
        """The graph with every use of the activation replaced by an input."""
        model = onnx.load_from_string(self._segmenter.data)
        given = "changed map"
        for node in model.graph.node:
            for place, name in enumerate(node.input):
                if name == self._layer.tensor:
                    node.input[place] = given
        dtype = onnx.helper.np_dtype_to_tensor_dtype(self._dtype)
        model.graph.input.append(onnx.helper.make_tensor_value_info(given, dtype, [None, *self._layer.shape]))
        return _ChangedGraph(self._segmenter, model, [self._segmenter.spec.output], given)


class _ChangedGraph:
    """A session of a modified graph."""

    def __init__(self, segmenter: OnnxLayers, model: onnx.ModelProto, outputs: list[str], given: str = "") -> None:
        self._segmenter, self._outputs, self._given = segmenter, outputs, given
        self._session: onnxruntime.InferenceSession = open_session(
            model.SerializeToString(), segmenter.name, torch.get_num_threads()
        )

    def __call__(self, batch: Tensor, values: npt.NDArray[np.float32] | None = None) -> list[npt.NDArray[np.float32]]:
        given = {self._segmenter.spec.input: self._segmenter.prepare(batch)}
        if values is not None:
            given[self._given] = values
        try:
            outputs: list[npt.NDArray[np.float32]] = self._session.run(self._outputs, given)
        except Exception as error:
            raise SegmenterError(f"'{self._segmenter.name}' cannot be run in parts: {first_line(error)}.") from error
        return outputs
