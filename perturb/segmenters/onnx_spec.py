"""What an ONNX graph says about its pictures and its scores, and what has to be asked because it does not say."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any, Literal

import onnx

from perturb.errors import SegmenterError
from perturb.images import MAX_SIDE
from perturb.segmenters.onnx_checks import HOW, check, check_memory

Layout = Literal["NCHW", "NHWC"]
Scale = Literal["imagenet", "unit", "symmetric", "bytes"]
Kind = Literal["logits", "probabilities"]

SCALES = {
    "imagenet": "ImageNet: minus the mean (0.485, 0.456, 0.406), divided by (0.229, 0.224, 0.225)",
    "unit": "as they are, in [0, 1]",
    "symmetric": "in [−1, 1]",
    "bytes": "in [0, 255]",
}
"""How a network wants its pictures, which here are RGB in [0, 1]."""
KINDS = {
    "logits": "logits: any numbers, before a softmax or sigmoid",
    "probabilities": "probabilities, after a softmax or sigmoid",
}
LAYOUTS = {"NCHW": "channels first", "NHWC": "channels last"}
CHOICES = {"layout": tuple(LAYOUTS), "output_layout": tuple(LAYOUTS), "scale": tuple(SCALES), "kind": tuple(KINDS)}
MAX_MULTIPLE = 256

_FLOATS = ("FLOAT", "FLOAT16", "DOUBLE")
_PASSES_ON = (
    "Cast", "CenterCropPad", "DepthToSpace", "Identity", "Pad", "Reshape", "Resize", "Slice", "Squeeze", "Transpose",
    "Unsqueeze", "Upsample",
)  # fmt: skip
"""Operators that move values without changing what they mean."""
_ENDS = {
    **dict.fromkeys(("Softmax", "Sigmoid", "HardSigmoid"), "probabilities"),
    **dict.fromkeys(("Conv", "ConvTranspose", "Gemm", "MatMul", "LogSoftmax", "BatchNormalization"), "logits"),
}


@dataclass(frozen=True)
class OnnxSpec:
    """How to give pictures to a graph, and how to read its answer.

    Attributes:
        input: name of the input.
        output: name of the output with the scores.
        layout: of the input.
        size: H, W that the graph is made for: pictures are resized to it, and the logits back. None if it takes any.
        multiple: pictures are padded (the border repeated) to sides that are multiples of this; 1 for none.
        scale: what the graph expects of the values, see `SCALES`.
        kind: what it gives, see `KINDS`.
        output_layout: of the output.
    """

    input: str
    output: str
    layout: Layout = "NCHW"
    size: tuple[int, int] | None = None
    multiple: int = 1
    scale: Scale = "imagenet"
    kind: Kind = "logits"
    output_layout: Layout = "NCHW"


@dataclass(frozen=True)
class OnnxGraph:
    """What is known of a graph before it is run.

    Attributes:
        spec: complete; what the graph does not say is the usual choice.
        unknown: the fields of the spec that the graph does not say.
        outputs: names of the outputs that may hold scores.
        channels: K of the output; None where the shapes do not tell.
        classes: names that the file carries; empty for most.
        dtype: of the input: `FLOAT`, `FLOAT16`, `DOUBLE` or `UINT8`.
        batch: pictures that one run takes: 1 or any (None).
        facts: nodes, weights, operator set and the program that wrote the file, for people.
    """

    spec: OnnxSpec
    unknown: tuple[str, ...]
    outputs: tuple[str, ...]
    channels: int | None
    classes: tuple[str, ...]
    dtype: str
    batch: int | None
    facts: dict[str, str]


def read_spec(data: bytes, name: str = "the file", *, output: str = "", layout: str = "") -> OnnxGraph:
    """Check an ONNX file and read what its graph says. Nothing is run.

    Input size, layout and number of channels stand in the shapes; a softmax or sigmoid at the end means probabilities,
    a convolution logits. How values are scaled stands nowhere, unless the file carries it: the metadata `scale` (one of
    `SCALES`) and `classes` (names with commas, or a JSON list) are read.

    Args:
        data: bytes of the file.
        name: what messages call it.
        output: the output to read, if there are several.
        layout: of the input, where the graph does not say.

    Raises:
        SegmenterError: the file is refused (see `onnx_checks`), or the graph is no segmenter of colour pictures.
    """
    model = check(data, name)
    value = _input(model, name)
    dims = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    unknown: list[str] = []
    read, sure = _input_layout(dims, value.name, name)
    if not sure:
        unknown.append("layout")
        read = _choice("layout", layout) if layout else read
    sides = (dims[2], dims[3]) if read == "NCHW" else (dims[1], dims[2])
    size = (sides[0], sides[1]) if all(sides) else None
    # Sides of a known ratio, so that the output's shape tells which of its axes are the picture's.
    height, width = size or (sides[0] or MAX_SIDE, sides[1] or 3 * MAX_SIDE // 4)
    shape = (1, 3, height, width) if read == "NCHW" else (1, height, width, 3)
    bare = check_memory(model, {value.name: shape}, name)
    outputs = _outputs(bare, name)
    chosen = output or next(iter(outputs))
    if chosen not in outputs:
        raise SegmenterError(f"'{name}' has no output of scores '{chosen}'; expected one of {', '.join(outputs)}.")
    out_layout, out_sure = _output_layout(outputs[chosen], height, width, read)
    if not out_sure:
        unknown.append("output_layout")
    kind = _kind(model, chosen)
    if not kind:
        unknown.append("kind")
    carried = {entry.key: entry.value for entry in model.metadata_props}
    dtype = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type)
    scale = "bytes" if dtype == "UINT8" else carried.get("scale", "")
    if scale not in SCALES:
        unknown.append("scale")
    spec = OnnxSpec(
        input=value.name,
        output=chosen,
        layout=read,
        size=(height, width) if size or any(sides) else None,
        scale=scale if scale in SCALES else "imagenet",  # type: ignore[arg-type]
        kind=kind or "logits",  # type: ignore[arg-type]
        output_layout=out_layout,
    )
    channels = outputs[chosen][1 if out_layout == "NCHW" else 3] if outputs[chosen] else 0
    weights = sum(math.prod(tensor.dims) for tensor in model.graph.initializer)
    return OnnxGraph(
        spec=spec,
        unknown=tuple(unknown),
        outputs=tuple(outputs),
        channels=channels or None,
        classes=_class_names(carried.get("classes", "")),
        dtype=dtype,
        batch=dims[0] or None,
        facts={
            "nodes": f"{len(model.graph.node):,}",
            "weights": f"{weights:,}",
            "operator set": str(max(entry.version for entry in model.opset_import)),
            "written by": f"{model.producer_name} {model.producer_version}".strip() or "unknown",
        },
    )


def complete(graph: OnnxGraph, given: dict[str, Any], name: str) -> OnnxSpec:
    """The graph's spec with what was given in its place.

    Args:
        graph: from `read_spec`.
        given: fields of `OnnxSpec`, as themselves or as text.
        name: what messages call the file.

    Raises:
        SegmenterError: a field that does not exist, a value that is none of its choices, one that contradicts the graph,
            or nothing for one that the graph does not say.
    """
    known = {field.name: getattr(graph.spec, field.name) for field in fields(OnnxSpec)}
    for field, value in given.items():
        if field not in known:
            near = get_close_matches(field, known, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise SegmenterError(
                f"An ONNX segmenter has no setting '{field}'; expected one of {', '.join(known)}.{hint}"
            )
        value = _choice(field, str(value)) if field in CHOICES else value
        if field == "multiple":
            value = _multiple(value)
        settled = field in ("input", "size") or (field in ("layout", "output_layout") and field not in graph.unknown)
        if settled and value != known[field]:
            raise SegmenterError(
                f"'{field}' is settled by the graph of '{name}': got {value}, expected {known[field]}."
            )
        known[field] = value
    missing = [field for field in graph.unknown if field not in given]
    if missing:
        choices = "; ".join(f"{field} is one of {', '.join(CHOICES[field])}" for field in missing)
        raise SegmenterError(f"The graph of '{name}' does not say its {' and '.join(missing)}; give it: {choices}.")
    return OnnxSpec(**known)


def _input(model: onnx.ModelProto, name: str) -> onnx.ValueInfoProto:
    held = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in held]
    if len(inputs) != 1:
        raise SegmenterError(
            f"'{name}' takes {len(inputs)} inputs ({', '.join(value.name for value in inputs[:5])}), expected one: the "
            f"picture. {HOW}"
        )
    value: onnx.ValueInfoProto = inputs[0]
    tensor = value.type.tensor_type
    kind = onnx.TensorProto.DataType.Name(tensor.elem_type)
    dims = [dim.dim_value for dim in tensor.shape.dim]
    words = " × ".join(str(dim or "any") for dim in dims) or "an unknown shape"
    if len(dims) != 4 or kind not in (*_FLOATS, "UINT8"):
        raise SegmenterError(
            f"The input '{value.name}' of '{name}' is {kind.lower()}, {words}; expected colour pictures, float32 "
            f"(N, 3, H, W) or (N, H, W, 3). {HOW}"
        )
    if dims[0] > 1:
        raise SegmenterError(
            f"'{name}' takes exactly {dims[0]} pictures at once, expected 1 or any number. Export it with a batch of one, "
            "or with a batch of any size."
        )
    return value


def _input_layout(dims: list[int], value: str, name: str) -> tuple[Layout, bool]:
    """The layout, and whether the shape says so."""
    first, last = dims[1], dims[3]
    if first == 3 and last != 3:
        return "NCHW", True
    if last == 3 and first != 3:
        return "NHWC", True
    if first not in (0, 3) and last not in (0, 3):
        words = " × ".join(str(dim or "any") for dim in dims)
        raise SegmenterError(
            f"The input '{value}' of '{name}' is {words}, expected 3 colour channels: (N, 3, H, W) or (N, H, W, 3). {HOW}"
        )
    return ("NHWC", False) if first else ("NCHW", False)


def _outputs(bare: onnx.ModelProto, name: str) -> dict[str, tuple[int, ...]]:
    """The outputs that may hold scores, with their shapes for one picture; 0 where unknown, empty where nothing is."""
    found: dict[str, tuple[int, ...]] = {}
    refused: list[str] = []
    for value in bare.graph.output:
        tensor = value.type.tensor_type
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type)
        dims = tuple(dim.dim_value for dim in tensor.shape.dim)
        if kind in _FLOATS and len(dims) == 4 and sum(dim != 1 for dim in dims) < 2:
            refused.append(
                f"'{value.name}' is {dims[1]} × {dims[2]} × {dims[3]}, one score a class for the whole picture"
            )
        elif kind in _FLOATS and (len(dims) == 4 or not tensor.HasField("shape")):
            found[value.name] = dims
        else:
            refused.append(f"'{value.name}' is {kind.lower()} with {len(dims)} axes")
            if kind not in _FLOATS:
                refused[-1] += " (a map of class numbers: it holds no scores that could be watched)"
    if not found:
        raise SegmenterError(
            f"'{name}' gives no scores: {'; '.join(refused[:3])}; expected floats (N, K, H, W) or (N, H, W, K), a score for "
            "each class and pixel. Export the network without its last argmax, and without post-processing."
        )
    return found


def _output_layout(dims: tuple[int, ...], height: int, width: int, default: Layout) -> tuple[Layout, bool]:
    """Which axes of the output are the picture's: those in its proportions. And whether that is sure."""
    if not dims:
        return default, False
    first = _proportional(dims[2], dims[3], height, width)
    last = _proportional(dims[1], dims[2], height, width)
    if first == last:  # a number among unknown sides is that of the channels
        first, last = bool(dims[1]) and not any(dims[2:]), bool(dims[3]) and not any(dims[1:3])
    if first != last:
        return ("NCHW", True) if first else ("NHWC", True)
    return default, False


def _proportional(high: int, wide: int, height: int, width: int) -> bool:
    # Lower resolutions are rounded, by at most one cell.
    return high > 0 and wide > 0 and abs(high * width - wide * height) <= max(height, width)


def _kind(model: onnx.ModelProto, output: str) -> str:
    """What the graph ends with, looking through operators that only move values; empty if that cannot be said."""
    makers = {made: node for node in model.graph.node for made in node.output}
    for _ in range(len(model.graph.node)):
        node = makers.get(output)
        if node is None or node.op_type not in _PASSES_ON:
            return _ENDS.get(node.op_type, "") if node is not None else ""
        output = node.input[0]
    return ""


def _class_names(text: str) -> tuple[str, ...]:
    if text.startswith("["):
        try:
            names = json.loads(text)
        except ValueError:
            return ()
        return tuple(name for name in names if isinstance(name, str))
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _choice(field: str, value: str) -> Any:
    if value not in CHOICES[field]:
        raise SegmenterError(f"There is no {field} '{value}'; expected one of {', '.join(CHOICES[field])}.")
    return value


def _multiple(value: object) -> int:
    number = int(value) if str(value).isdigit() else 0  # type: ignore[call-overload]
    if not 1 <= number <= MAX_MULTIPLE:
        raise SegmenterError(f"'multiple' must be a whole number from 1 to {MAX_MULTIPLE}: got '{value}'.")
    return number
