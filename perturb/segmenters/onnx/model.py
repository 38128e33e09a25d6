"""Read and run one ONNX file, by name and number: no torch, no images, no classes.

`LoadedModel` runs it in this process. `perturb.segmenters.onnx.confined.ConfinedModel` runs a `LoadedModel` in a confined
process of its own, which imports this module, so nothing here may import torch.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from perturb.core.errors import SegmenterError
from perturb.segmenters.onnx.checks import first_line
from perturb.segmenters.onnx.order import sort_nodes
from perturb.segmenters.onnx.runtime import onnx, onnxruntime
from perturb.segmenters.onnx.session import check_for_memory, open_session, shared_session
from perturb.segmenters.onnx.spec import OnnxGraph, read_spec

Array = npt.NDArray[Any]

_MAKE_MAPS = ("Conv", "ConvTranspose")
"""Operators whose output is a map with channels first, whatever the layout of the image."""
_KEEP_MAPS = (
    "Add", "AveragePool", "BatchNormalization", "Clip", "Concat", "Elu", "Gelu", "HardSigmoid", "HardSwish",
    "InstanceNormalization", "LeakyRelu", "MaxPool", "Mish", "Mul", "PRelu", "Relu", "Resize", "Sigmoid", "Softplus", "Swish",
    "Upsample",
)  # fmt: skip
"""Operators whose output is a map if their input is one."""
_SCOPES = "pkg.torch.onnx.name_scopes"
"""Metadata key under which torch's exporter stores the modules of a node."""
_NO_TENSOR = ("SplitToSequence", "SequenceConstruct", "SequenceEmpty", "SequenceInsert", "SequenceErase", "Optional")
_SIZES = ("Resize", "Upsample", "Pad", "Clip", "Range", "Slice")
"""Operators whose constants are parameters of the operation, not trained weights."""
_NUMBERS = ("FLOAT", "FLOAT16", "DOUBLE", "BFLOAT16")
_CHANGED = "changed map"


@dataclass(frozen=True)
class MapTensor:
    """A tensor of the graph that may hold a map for each channel.

    Attributes:
        tensor: its name.
        operator: that computes it.
        shape: for one image.
        parameters: number of weights of its operator.
    """

    tensor: str
    operator: str
    shape: tuple[int, ...]
    parameters: int


@dataclass(frozen=True)
class GraphNode:
    """A node of the graph.

    Attributes:
        name: as in the file; may be empty.
        operator: its operator.
        scopes: the modules it was exported from, as written by torch's exporter; else empty.
        output: name of its first output.
        shape: of that output for one image; None if it is not a tensor.
        own: number of its weights; a shared weight counts for the first node only.
    """

    name: str
    operator: str
    scopes: str
    output: str
    shape: tuple[int, ...] | None
    own: int


class OnnxModel(ABC):
    """One ONNX file that can be read and run.

    Args:
        data: bytes of the file.
        name: name of the file in messages.

    Attributes:
        digest: 32 hexadecimal digits of blake2b of the file.
        size: bytes of the file.
    """

    def __init__(self, data: bytes, name: str) -> None:
        self.data, self.name = data, name
        self.size, self.digest = len(data), hashlib.blake2b(data, digest_size=16).hexdigest()

    @abstractmethod
    def facts(self, output: str = "", layout: str = "") -> OnnxGraph:
        """Check the file and derive its spec; see `perturb.segmenters.onnx.spec.read_spec`, also for the errors."""

    @abstractmethod
    def load(self) -> None:
        """Load the network now instead of on its first run.

        Raises:
            SegmenterError: onnxruntime cannot load it.
        """

    @abstractmethod
    def run(self, given: Array, source: str, output: str) -> npt.NDArray[np.float32]:
        """Run the network.

        Args:
            given: images as the graph takes them.
            source: name of the input.
            output: name of the output.

        Returns:
            The output as float32, of any shape.

        Raises:
            SegmenterError: the graph cannot run on them.
        """

    @abstractmethod
    def maps(self, given: Array, source: str, output: str) -> tuple[MapTensor, ...]:
        """The tensors that may hold maps, in execution order, without the output. Arguments and errors as in `run`,
        for one image."""

    @abstractmethod
    def nodes(self, given: Array, source: str) -> tuple[GraphNode, ...]:
        """All nodes but constants, in execution order. Arguments and errors as in `run`, for one image."""

    @abstractmethod
    def observe(self, given: Array, source: str, output: str, tensor: str) -> tuple[npt.NDArray[np.float32], Array]:
        """The output as float32 and the values of a tensor. Arguments and errors as in `run`, for one image."""

    @abstractmethod
    def run_from(self, values: Array, given: Array, source: str, output: str, tensor: str) -> npt.NDArray[np.float32]:
        """Run the network with a tensor replaced.

        Args:
            values: N values of the tensor, in its dtype.
            given: one image, the same for all.
            source, output, tensor: names.

        Returns:
            The output for each of the N, as float32.

        Raises:
            SegmenterError: the changed graph cannot run.
        """


class LoadedModel(OnnxModel):
    """A network in this process, run by onnxruntime on the CPU. At most a few stay loaded.

    Args:
        data, name: as in `OnnxModel`.
        threads: number of threads of a run.
    """

    def __init__(self, data: bytes, name: str, threads: int) -> None:
        super().__init__(data, name)
        self._threads = threads
        self._changed: tuple[str, onnxruntime.InferenceSession] | None = None

    def facts(self, output: str = "", layout: str = "") -> OnnxGraph:
        return read_spec(self.data, self.name, output=output, layout=layout)

    def load(self) -> None:
        shared_session(self.digest, self.data, self.name, self._threads)

    def run(self, given: Array, source: str, output: str) -> npt.NDArray[np.float32]:
        session = shared_session(self.digest, self.data, self.name, self._threads)
        try:
            (scores,) = session.run([output], {source: given})
        except Exception as error:  # any error is caused by the graph
            check_for_memory(error, self.name)
            shape = " × ".join(str(side) for side in given.shape)
            raise SegmenterError(
                f"'{self.name}' cannot run on an input of {shape}: {first_line(error)}. If it needs sides that are "
                "multiples of 16 or 32, set 'multiple'; otherwise export it for a fixed size."
            ) from error
        return np.asarray(scores, dtype=np.float32)

    def maps(self, given: Array, source: str, output: str) -> tuple[MapTensor, ...]:
        model = onnx.load_from_string(self.data)
        sort_nodes(model, self.name)
        weights = {tensor.name: int(np.prod(tensor.dims)) for tensor in model.graph.initializer}
        known: dict[str, onnx.NodeProto] = {}
        for node in model.graph.node:
            if node.op_type in _MAKE_MAPS or (node.op_type in _KEEP_MAPS and any(i in known for i in node.input)):
                known[node.output[0]] = node
        known.pop(output, None)
        shapes = self._shapes(given, source, list(known))
        return tuple(
            MapTensor(tensor, node.op_type, shape, sum(weights.get(name, 0) for name in node.input))
            for (tensor, node), shape in zip(known.items(), shapes, strict=True)
        )

    def nodes(self, given: Array, source: str) -> tuple[GraphNode, ...]:
        model = onnx.load_from_string(self.data)
        numbers = set(map(onnx.TensorProto.DataType.Value, _NUMBERS))
        weights = {each.name: int(np.prod(each.dims)) for each in model.graph.initializer if each.data_type in numbers}
        nodes = [node for node in model.graph.node if node.op_type != "Constant"]
        asked = [node.output[0] for node in nodes if node.op_type not in _NO_TENSOR and node.output[0]]
        shapes = dict(zip(asked, self._shapes(given, source, asked), strict=True))
        return tuple(
            GraphNode(
                name=node.name,
                operator=node.op_type,
                scopes=next((note.value for note in node.metadata_props if note.key == _SCOPES), ""),
                output=node.output[0],
                shape=shapes.get(node.output[0]),
                own=0 if node.op_type in _SIZES else sum(weights.pop(name, 0) for name in node.input),
            )
            for node in nodes
        )

    def observe(self, given: Array, source: str, output: str, tensor: str) -> tuple[npt.NDArray[np.float32], Array]:
        model = onnx.load_from_string(self.data)
        if all(value.name != tensor for value in model.graph.output):
            model.graph.output.append(onnx.ValueInfoProto(name=tensor))
        scores, values = self._run(self._session(model), [output, tensor], {source: given})
        return np.asarray(scores, dtype=np.float32), values

    def run_from(self, values: Array, given: Array, source: str, output: str, tensor: str) -> npt.NDArray[np.float32]:
        changed = self._changed
        if changed is None or changed[0] != tensor:
            self._changed = changed = tensor, self._session(self._with_input(tensor, values))
        images = np.ascontiguousarray(np.broadcast_to(given, (len(values), *given.shape[1:])))
        (scores,) = self._run(changed[1], [output], {source: images, _CHANGED: np.ascontiguousarray(values)})
        return np.asarray(scores, dtype=np.float32)

    def _with_input(self, tensor: str, values: Array) -> onnx.ModelProto:
        """The graph with every use of a tensor replaced by an input. onnxruntime leaves out the nodes that only that
        tensor needs."""
        model = onnx.load_from_string(self.data)
        for node in model.graph.node:
            for place, name in enumerate(node.input):
                if name == tensor:
                    node.input[place] = _CHANGED
        dtype = onnx.helper.np_dtype_to_tensor_dtype(values.dtype)
        model.graph.input.append(onnx.helper.make_tensor_value_info(_CHANGED, dtype, [None, *values.shape[1:]]))
        return model

    def _shapes(self, given: Array, source: str, tensors: list[str]) -> list[tuple[int, ...]]:
        """The shapes of some tensors for an image."""
        if not tensors:
            return []
        model = onnx.load_from_string(self.data)
        names = [f"shape of tensor {index}" for index in range(len(tensors))]
        # Only the shapes are outputs, so the tensors need not be in memory at the same time.
        for tensor, name in zip(tensors, names, strict=True):
            model.graph.node.append(onnx.helper.make_node("Shape", [tensor], [name]))
            model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT64, [None]))
        shapes = self._run(self._session(model), names, {source: given})
        return [tuple(int(side) for side in shape) for shape in shapes]

    def _session(self, model: onnx.ModelProto) -> onnxruntime.InferenceSession:
        return open_session(model.SerializeToString(), self.name, self._threads)

    def _run(self, session: onnxruntime.InferenceSession, outputs: list[str], given: dict[str, Array]) -> list[Array]:
        try:
            made: list[Array] = session.run(outputs, given)
        except Exception as error:
            check_for_memory(error, self.name)
            raise SegmenterError(f"'{self.name}' cannot be run in parts: {first_line(error)}.") from error
        return made
