"""Checks of an untrusted ONNX file before it is loaded. Only plain arithmetic of bounded size is accepted.

An ONNX file is data, not a program: opening it runs nothing. But a file can be harmful in other ways. It can have
another format (a pickle runs code when opened), refer to other files, contain custom operators or loops, or need more
memory than is available. All of this is recognized by its content, never by its name.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterator

from perturb.core.errors import SegmenterError
from perturb.images.decoding import MAX_SIDE
from perturb.segmenters.onnx.order import sort_nodes
from perturb.segmenters.onnx.runtime import onnx
from perturb.segmenters.onnx.sizes import check_sizes

MAX_BYTES = 200_000_000
"""Largest file that is read, in bytes."""
MAX_NODES = 20_000
MAX_INPUT_SIDE = 2048
"""Longest side of a graph's input, in pixels."""
MAX_ELEMENTS = 250_000_000
"""Largest number of values of a tensor in the graph, for one image: 1 GB of float32."""
DOMAINS = ("", "ai.onnx")
"""Domains of the standard operators. Those of classical machine learning (`ai.onnx.ml`) do not segment images."""
CONTROL_FLOW = ("If", "Loop", "Scan", "SequenceMap")
RANDOM = ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")

HOW = "Export the network to ONNX and give that file; docs/export.md shows how for PyTorch, Keras and others."
_SMALL = 4096
"""Constants up to this many bytes may be shapes, and are kept for shape inference."""


def check_file(data: bytes, name: str = "the file") -> onnx.ModelProto:
    """Parse an ONNX file and check that it can be run safely. Nothing is run.

    Args:
        data: bytes of the file.
        name: its name in messages.

    Returns:
        The parsed model, its nodes in topological order.

    Raises:
        SegmenterError: the file is not ONNX, damaged, too large, or uses rejected features; the message says which.
    """
    if len(data) > MAX_BYTES:
        raise SegmenterError(
            f"'{name}' is too large: got {len(data) / 1e6:.0f} MB, expected at most {MAX_BYTES / 1e6:.0f} MB. "
            "Export it with float16 weights, or use a smaller network."
        )
    other = _other_format(data)
    if other:
        raise SegmenterError(f"'{name}' is {other}, expected an ONNX file; it was not opened. {HOW}")
    model = onnx.ModelProto()
    from google.protobuf.message import DecodeError  # a dependency of onnx, and as optional

    try:
        model.ParseFromString(data)
    except DecodeError:
        model.Clear()
    if not model.ir_version or not model.graph.node:
        raise SegmenterError(f"'{name}' is not an ONNX file, or is truncated or empty. {HOW}")
    sort_nodes(model, name)
    _check_graph(model, name)
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # the checker raises several kinds of errors, all caused by the file
        raise SegmenterError(f"'{name}' is not a valid ONNX graph: {first_line(error)}. {HOW}") from error
    return model


def check_memory(model: onnx.ModelProto, shapes: dict[str, tuple[int, ...]], name: str = "the file") -> onnx.ModelProto:
    """Check that no tensor of a graph is too large for one image.

    Args:
        model: from `check_file`.
        shapes: shapes of the inputs for one image, by name.
        name: name of the file in messages.

    Returns:
        The graph without its weights, with shapes inferred as far as possible without running it.

    Raises:
        SegmenterError: a tensor is too large, or the shapes contradict each other.
    """
    bare = _without_weights(model)
    for value in bare.graph.input:
        for dim, size in zip(value.type.tensor_type.shape.dim, shapes.get(value.name, ()), strict=False):
            dim.dim_value = size
    del bare.graph.value_info[:]  # the file's own declarations cannot be trusted
    declared = {value.name: value.type.tensor_type for value in model.graph.output}
    for value in bare.graph.output:
        value.ClearField("type")
    try:
        bare = onnx.shape_inference.infer_shapes(bare, data_prop=True)
    except Exception as error:
        raise SegmenterError(f"The shapes in '{name}' do not fit together: {first_line(error)}. {HOW}") from error
    for value in (*bare.graph.input, *bare.graph.value_info, *bare.graph.output):
        size = math.prod(dim.dim_value if dim.HasField("dim_value") else 1 for dim in value.type.tensor_type.shape.dim)
        if size > MAX_ELEMENTS:
            raise SegmenterError(
                f"'{name}' would need {size:,} values for its tensor '{value.name}' alone, expected at most "
                f"{MAX_ELEMENTS:,}. Export it for a smaller image."
            )
    for value in bare.graph.output:
        tensor, said = value.type.tensor_type, declared[value.name]
        if not value.HasField("type"):
            tensor.elem_type = said.elem_type
        if not tensor.HasField("shape") and said.HasField("shape"):
            tensor.shape.CopyFrom(said.shape)
        for dim, other in zip(tensor.shape.dim, said.shape.dim, strict=False):
            if not dim.HasField("dim_value") and other.dim_value > 0:  # not inferred: use the file's declaration
                dim.dim_value = other.dim_value
    return bare


def first_line(error: Exception) -> str:
    """The first line of another library's message, shortened, without a full stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:240].rstrip(". ")


def _check_graph(model: onnx.ModelProto, name: str) -> None:
    graph = model.graph
    if len(graph.node) > MAX_NODES:
        raise SegmenterError(f"'{name}' has {len(graph.node):,} nodes, expected at most {MAX_NODES:,}.")
    if model.functions:
        raise SegmenterError(
            f"'{name}' defines its own functions ('{model.functions[0].name}'), expected standard operators only. "
            "Inline them (`onnx.inliner.inline_local_functions`) and use the new file."
        )
    off = ["", *(t.name for t in graph.initializer if t.data_type == onnx.TensorProto.BOOL and t.raw_data == b"\0")]
    for node in graph.node:
        if node.domain not in DOMAINS:
            raise SegmenterError(
                f"'{name}' uses the operator '{node.op_type}' of the domain '{node.domain}', expected standard ONNX "
                f"operators only. {HOW}"
            )
        if node.op_type in CONTROL_FLOW or any(
            attribute.HasField("g") or attribute.graphs for attribute in node.attribute
        ):
            raise SegmenterError(
                f"'{name}' contains '{node.op_type}', a loop or a branch, which could run without end; expected a graph "
                "without control flow. Export the network by tracing it, for one size."
            )
        # A third input that is not false turns dropout on. Exporters omit the operator in evaluation mode.
        live = node.op_type == "Dropout" and len(node.input) > 2 and node.input[2] not in off
        if node.op_type in RANDOM or live:
            raise SegmenterError(
                f"'{name}' draws random numbers ('{node.op_type}'), so its output for an image is not unique; expected a "
                "graph without them. Export the network in evaluation mode."
            )
    if graph.sparse_initializer:
        raise SegmenterError(f"'{name}' holds sparse weights, expected dense ones. {HOW}")
    for tensor in _tensors(graph):
        if tensor.external_data or tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise SegmenterError(
                f"'{name}' keeps the weights '{tensor.name}' in another file, expected one file with everything in it. "
                "Save it with `onnx.save(model, path)`, or export with `external_data=False`."
            )
        _check_weights(tensor, name)
    check_sizes(graph, name, HOW)
    for value in graph.input:
        sides = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        if (
            any(side < 0 or side > MAX_INPUT_SIDE for side in sides)
            or math.prod(max(1, s) for s in sides) > MAX_ELEMENTS
        ):
            raise SegmenterError(
                f"'{name}' asks for an input '{value.name}' of {' × '.join(str(side or '?') for side in sides)}, expected "
                f"sides of at most {MAX_INPUT_SIDE} px (images here have at most {MAX_SIDE}). Export it for a smaller one."
            )


def _check_weights(tensor: onnx.TensorProto, name: str) -> None:
    """Weights must be complete: a tensor that only declares a huge size would still be allocated."""
    size = math.prod(tensor.dims)
    if any(dim < 0 for dim in tensor.dims) or size > 2 * MAX_BYTES:
        raise SegmenterError(
            f"'{name}' declares {size:,} values for its weights '{tensor.name}', more than the file can hold."
        )
    if tensor.data_type not in map(onnx.TensorProto.DataType.Value, _PLAIN):
        return
    each = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    typed = (tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data, tensor.uint64_data)
    held = len(tensor.raw_data) // each if tensor.raw_data else sum(len(values) for values in typed)
    if held != size:
        raise SegmenterError(
            f"The weights '{tensor.name}' in '{name}' hold {held:,} values, expected {size:,}: the file is damaged. "
            "Export it again."
        )


_PLAIN = (
    "FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16", "BOOL",
    "UINT8", "INT8", "UINT16", "INT16", "UINT32", "INT32", "UINT64", "INT64",
)  # fmt: skip
"""Types whose values take whole bytes and are stored one by one."""


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of the model in which large weights are inputs, so that only their shapes are kept."""
    bare = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    graph = bare.graph
    graph.name = model.graph.name or "graph"
    graph.node.extend(model.graph.node)
    graph.input.extend(model.graph.input)
    graph.output.extend(model.graph.output)
    known = {value.name for value in graph.input}
    for tensor in model.graph.initializer:
        if tensor.ByteSize() <= _SMALL:
            graph.initializer.append(tensor)
        elif tensor.name not in known:
            graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    return bare


def _other_format(data: bytes) -> str:
    """Description of a file in another common format; empty if the format is not recognized."""
    head = data[:16]
    if head.startswith(b"PK"):
        return _zipped(data)
    if head.startswith(b"\x89HDF"):
        return "an HDF5 file (Keras .h5), which can hold code"
    if head[:1] == b"\x80" and head[1:2] in b"\x00\x01\x02\x03\x04\x05":
        return "a Python pickle, which runs code when it is opened"
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite file"
    if head[8:9] == b"{" and 2 <= int.from_bytes(head[:8], "little") < len(data):
        return "a safetensors file, which holds weights but no network"
    if head.startswith((b"\x1f\x8b", b"7z\xbc\xaf", b"BZh", b"\xfd7zXZ")):
        return "a compressed archive"
    return ""


def _zipped(data: bytes) -> str:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [entry.lower() for entry in archive.namelist()[:10_000]]
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        names = []
    if any(name.endswith("model.weights.h5") for name in names):
        return "a Keras archive (.keras), which can hold code"
    if any(name.split("/")[-1] in ("archive_format", "serialized_exported_program.json") for name in names):
        return "a PyTorch exported program (.pt2), which can hold a pickle, and that runs code when it is opened"
    if any("/code/" in name or name.endswith("constants.pkl") for name in names):
        return "a TorchScript archive, which runs code when it is opened"
    if any(name.endswith(".pkl") for name in names):
        return "a PyTorch checkpoint (a pickle in a zip), which runs code when it is opened"
    return "a zip archive"
