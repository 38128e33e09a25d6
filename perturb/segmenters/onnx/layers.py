"""The maps inside an ONNX graph: which there are, what they are for a picture, and what follows from changed ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from perturb.core.errors import SegmenterError, SettingError
from perturb.segmenters.base import check_logits
from perturb.segmenters.onnx.checks import first_line
from perturb.segmenters.onnx.order import sort_nodes
from perturb.segmenters.onnx.runtime import onnx, onnxruntime
from perturb.segmenters.onnx.segmenter import OnnxSegmenter
from perturb.segmenters.onnx.session import open_session

_MAPS = ("Conv", "ConvTranspose")
"""Their results are maps with the channels first, whatever the layout of the picture."""
_KEEPS = (
    "Add", "AveragePool", "BatchNormalization", "Clip", "Concat", "Elu", "Gelu", "HardSigmoid", "HardSwish",
    "InstanceNormalization", "LeakyRelu", "MaxPool", "Mish", "Mul", "PRelu", "Relu", "Resize", "Sigmoid", "Softplus", "Swish",
    "Upsample",
)  # fmt: skip
"""Operators that make a map of maps."""


@dataclass(frozen=True)
class Map:
    """A tensor of a graph that holds one map for each channel.

    Attributes:
        name: its name in letters, digits, underscores and dots.
        tensor: its name in the graph.
        kind: the operator that makes it.
        shape: C, h, w for one picture.
        parameters: weights of that operator.
    """

    name: str
    tensor: str
    kind: str
    shape: tuple[int, int, int]
    parameters: int


def maps(segmenter: OnnxSegmenter, picture: torch.Tensor) -> tuple[Map, ...]:
    """The maps of more than one cell, in the order in which they are made, without the scores themselves. One pass.

    Args:
        segmenter: whose graph it is.
        picture: `(1, 3, H, W)` in [0, 1]; shapes depend on its size.

    Raises:
        SegmenterError: the graph cannot run on it.
    """
    model = onnx.load_from_string(segmenter.data)
    sort_nodes(model, segmenter.name)
    weights = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
    known: dict[str, onnx.NodeProto] = {}
    for node in model.graph.node:
        if node.op_type in _MAPS or (node.op_type in _KEEPS and any(given in known for given in node.input)):
            known[node.output[0]] = node
    known.pop(segmenter.spec.output, None)
    tensors = list(known)
    found_shapes = shapes(segmenter, picture, tensors)
    found: dict[str, Map] = {}
    for tensor, shape in zip(tensors, found_shapes, strict=True):
        if len(shape) != 4 or shape[0] != 1 or shape[2] * shape[3] < 2:
            continue
        name = plain = re.sub(r"\W+", ".", tensor).strip(".")[:150] or "map"
        while name in found:
            name = f"{plain}.{len(found)}"
        node = known[tensor]
        parameters = sum(weights.get(given, 0) for given in node.input)
        found[name] = Map(name, tensor, node.op_type, (shape[1], shape[2], shape[3]), parameters)
    return tuple(found.values())


def shapes(segmenter: OnnxSegmenter, picture: torch.Tensor, tensors: Sequence[str]) -> list[tuple[int, ...]]:
    """The shapes of some of a graph's tensors for a picture `(1, 3, H, W)`. One pass.

    Raises:
        SegmenterError: the graph cannot run on it.
    """
    if not tensors:
        return []
    model = onnx.load_from_string(segmenter.data)
    names = [f"shape of tensor {index}" for index in range(len(tensors))]
    # Only shapes come out, so the tensors themselves need not stay in memory together.
    for tensor, name in zip(tensors, names, strict=True):
        model.graph.node.append(onnx.helper.make_node("Shape", [tensor], [name]))
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT64, [None]))
    return [tuple(int(side) for side in shape) for shape in _Part(segmenter, model, names)(picture)]


class OnnxRest:
    """A graph in which one map is given from outside.

    The whole graph is run for each changed map, without what led to that map alone.

    Args:
        segmenter: whose graph it is.
        picture: `(1, 3, H, W)` in [0, 1].
        layer: from `maps`.

    Attributes:
        clean: logits of the picture, `(1, K, H, W)`.
        activation: the map as it is, `(1, C, h, w)`.
        note: empty; `perturb.segmenters.downstream.Tail` has something to say at times.

    Raises:
        SegmenterError: the graph cannot run on the picture.
    """

    def __init__(self, segmenter: OnnxSegmenter, picture: torch.Tensor, layer: Map) -> None:
        self._segmenter, self._picture = segmenter, picture
        model = onnx.load_from_string(segmenter.data)
        if all(value.name != layer.tensor for value in model.graph.output):
            model.graph.output.append(onnx.ValueInfoProto(name=layer.tensor))
        answer, values = _Part(segmenter, model, [segmenter.spec.output, layer.tensor])(picture)
        self.clean = segmenter.read(np.asarray(answer, dtype=np.float32), *picture.shape[2:])
        self.activation = torch.from_numpy(np.asarray(values, dtype=np.float32))
        self._layer, self._kind = layer, values.dtype
        self._part: _Part | None = None
        self.note = ""

    def __call__(self, activation: torch.Tensor) -> torch.Tensor:
        """Logits `(N, K, H, W)` when the map is `activation`, `(N, C, h, w)`.

        Raises:
            SegmenterError: the graph takes only one picture, and what is worked out from the map does not fit.
        """
        if self._part is None:
            self._part = self._rest()
        step = len(activation) if self._segmenter.graph.batch is None else 1
        answers = []
        for start in range(0, len(activation), step):
            part = np.ascontiguousarray(activation[start : start + step].numpy(), dtype=self._kind)
            (answer,) = self._part(self._picture.expand(len(part), -1, -1, -1), part)
            answers.append(np.asarray(answer, dtype=np.float32))
        batch = self._picture.expand(len(activation), -1, -1, -1)
        logits = self._segmenter.read(np.concatenate(answers), *self._picture.shape[2:])
        return check_logits(logits, batch, len(self._segmenter.classes), self._segmenter.name)

    def _rest(self) -> _Part:
        """The graph with every use of the map replaced by an input."""
        model = onnx.load_from_string(self._segmenter.data)
        given = "a map from outside"
        for node in model.graph.node:
            for place, name in enumerate(node.input):
                if name == self._layer.tensor:
                    node.input[place] = given
        kind = onnx.helper.np_dtype_to_tensor_dtype(self._kind)
        model.graph.input.append(onnx.helper.make_tensor_value_info(given, kind, [None, *self._layer.shape]))
        return _Part(self._segmenter, model, [self._segmenter.spec.output], given)


class _Part:
    """A changed graph, loaded; it lives as long as what it was changed for."""

    def __init__(self, segmenter: OnnxSegmenter, model: onnx.ModelProto, outputs: list[str], given: str = "") -> None:
        self._segmenter, self._outputs, self._given = segmenter, outputs, given
        self._session: onnxruntime.InferenceSession = open_session(
            model.SerializeToString(), segmenter.name, torch.get_num_threads()
        )

    def __call__(
        self, batch: torch.Tensor, values: npt.NDArray[np.float32] | None = None
    ) -> list[npt.NDArray[np.float32]]:
        given = {self._segmenter.spec.input: self._segmenter.prepare(batch)}
        if values is not None:
            given[self._given] = values
        try:
            made: list[npt.NDArray[np.float32]] = self._session.run(self._outputs, given)
        except Exception as error:
            raise SegmenterError(f"'{self._segmenter.name}' cannot be run in parts: {first_line(error)}.") from error
        return made


def map_named(found: tuple[Map, ...], name: str, segmenter: OnnxSegmenter) -> Map:
    """A map by name.

    Raises:
        SettingError: no such map.
    """
    for layer in found:
        if layer.name == name:
            return layer
    raise SettingError(
        f"The segmenter '{segmenter.name}' has no layer '{name}' that gives a map; expected one of its {len(found)}, such as "
        f"{', '.join(layer.name for layer in found[-3:]) or 'none'}."
    )
