"""Derive the layout of images and scores from the shapes and the last nodes of an ONNX graph."""

from __future__ import annotations

import json
from typing import Literal

from perturb.core.errors import SegmenterError
from perturb.segmenters.onnx.checks import HOW
from perturb.segmenters.onnx.runtime import onnx

Layout = Literal["NCHW", "NHWC"]

_FLOATS = ("FLOAT", "FLOAT16", "DOUBLE")
_PASSES_ON = (
    "Cast", "CenterCropPad", "DepthToSpace", "Identity", "Pad", "Reshape", "Resize", "Slice", "Squeeze", "Transpose",
    "Unsqueeze", "Upsample",
)  # fmt: skip
"""Operators that move values without changing their meaning."""
_KEEPS_CHANNELS = (
    "Add",
    "BatchNormalization",
    "Cast",
    "Clip",
    "Div",
    "Identity",
    "Mul",
    "Pad",
    "Resize",
    "Sub",
    "Transpose",
)
"""Operators that exporters put before the first convolution."""
_ENDS = {
    **dict.fromkeys(("Softmax", "Sigmoid", "HardSigmoid"), "probabilities"),
    **dict.fromkeys(("Conv", "ConvTranspose", "Gemm", "MatMul", "LogSoftmax", "BatchNormalization"), "logits"),
}


def input_of(model: onnx.ModelProto, name: str) -> onnx.ValueInfoProto:
    held = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in held]
    if len(inputs) != 1:
        raise SegmenterError(
            f"'{name}' takes {len(inputs)} inputs ({', '.join(value.name for value in inputs[:5])}), expected one: the "
            f"image. {HOW}"
        )
    value: onnx.ValueInfoProto = inputs[0]
    tensor = value.type.tensor_type
    kind = onnx.TensorProto.DataType.Name(tensor.elem_type)
    dims = [dim.dim_value for dim in tensor.shape.dim]
    words = " × ".join(str(dim or "any") for dim in dims) or "an unknown shape"
    if len(dims) != 4 or kind not in (*_FLOATS, "UINT8"):
        raise SegmenterError(
            f"The input '{value.name}' of '{name}' is {kind.lower()}, {words}; expected colour images, float32 "
            f"(N, 3, H, W) or (N, H, W, 3), or grey ones with 1 channel. {HOW}"
        )
    if dims[0] > 1:
        raise SegmenterError(
            f"'{name}' takes exactly {dims[0]} images at once, expected 1 or any number. Export it with a batch of one, "
            "or with a batch of any size."
        )
    return value


def input_layout(dims: list[int], taken: int, value: str, name: str) -> tuple[Layout, int, bool]:
    """The layout, the number of channels (3, or 1 for grey), and whether the shape determines the layout.

    Args:
        dims: shape of the input; 0 for any size.
        taken: input channels of the first convolution; 0 if unknown.
        value, name: names of the input and the file, for messages.
    """
    first, last = dims[1], dims[3]
    for colours in (3, 1):  # three channels are more likely than a side of one pixel
        if first == colours and last != colours:
            return "NCHW", colours, True
        if last == colours and first != colours:
            return "NHWC", colours, True
    if first == last == 3:
        return "NHWC", 3, False
    if 0 in (first, last) and taken in (0, 1, 3):
        return "NHWC" if first else "NCHW", taken or 3, False
    words = " × ".join(str(dim or "any") for dim in dims) + (f" with {taken} channels" if first == last == 0 else "")
    raise SegmenterError(
        f"The input '{value}' of '{name}' is {words}, expected 3 colour channels, (N, 3, H, W) or (N, H, W, 3), or 1 for "
        f"grey. {HOW}"
    )


def channels_taken(model: onnx.ModelProto, tensor: str) -> int:
    """Input channels of the first convolution after a tensor; 0 if unknown."""
    held = {weights.name: weights.dims for weights in model.graph.initializer}
    same = {tensor}
    for node in model.graph.node:
        if not node.input or node.input[0] not in same:
            continue
        if node.op_type == "Conv" and len(node.input) > 1 and len(held.get(node.input[1], ())) == 4:
            return int(held[node.input[1]][1]) * _group(node)
        if node.op_type in _KEEPS_CHANNELS:
            same.update(node.output[:1])
    return 0


def check_channels(model: onnx.ModelProto, bare: onnx.ModelProto, name: str) -> None:
    """Check that the input of each convolution has as many channels as its weights expect.

    Args:
        model: from `perturb.segmenters.onnx.checks.check_file`.
        bare: the same with inferred shapes, from `perturb.segmenters.onnx.checks.check_memory`.
        name: name of the file in messages.

    Raises:
        SegmenterError: the channels do not match.
    """
    held = {weights.name: weights.dims for weights in model.graph.initializer}
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*bare.graph.input, *bare.graph.value_info)
    }
    for node in model.graph.node:
        if node.op_type not in ("Conv", "ConvTranspose") or len(node.input) < 2:
            continue
        weights, given = held.get(node.input[1], ()), shapes.get(node.input[0], [])
        if len(weights) < 3 or len(given) != len(weights) or not given[1]:
            continue
        takes = weights[1] * _group(node) if node.op_type == "Conv" else weights[0]
        if takes != given[1]:
            raise SegmenterError(
                f"The channels in '{name}' do not match: its {node.op_type} '{node.name or node.output[0]}' expects {takes} "
                f"and is given {given[1]}. {HOW}"
            )


def _group(node: onnx.NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)


def outputs_of(bare: onnx.ModelProto, name: str) -> dict[str, tuple[int, ...]]:
    """The outputs that may hold scores, with their shapes for one image: 0 for unknown sizes, empty if all is
    unknown."""
    found: dict[str, tuple[int, ...]] = {}
    refused: list[str] = []
    for value in bare.graph.output:
        tensor = value.type.tensor_type
        kind = onnx.TensorProto.DataType.Name(tensor.elem_type)
        dims = tuple(dim.dim_value for dim in tensor.shape.dim)
        if kind in _FLOATS and len(dims) == 4 and sum(dim != 1 for dim in dims) < 2:
            refused.append(
                f"'{value.name}' is {dims[1]} × {dims[2]} × {dims[3]}, one score per class for the whole image"
            )
        elif kind in _FLOATS and (len(dims) == 4 or not tensor.HasField("shape")):
            found[value.name] = dims
        else:
            refused.append(f"'{value.name}' is {kind.lower()} with {len(dims)} axes")
            if kind not in _FLOATS:
                refused[-1] += " (a map of class indices, which holds no scores)"
    if not found:
        raise SegmenterError(
            f"'{name}' gives no scores: {'; '.join(refused[:3])}; expected floats (N, K, H, W) or (N, H, W, K), a score for "
            "each class and pixel. Export the network without its last argmax, and without post-processing."
        )
    return found


def output_layout(dims: tuple[int, ...], height: int, width: int, default: Layout) -> tuple[Layout, bool]:
    """The layout of the output, recognized by the image's aspect ratio, and whether it is certain."""
    if not dims:
        return default, False
    first = _proportional(dims[2], dims[3], height, width)
    last = _proportional(dims[1], dims[2], height, width)
    if first == last:  # a known size among unknown ones is the number of channels
        first, last = bool(dims[1]) and not any(dims[2:]), bool(dims[3]) and not any(dims[1:3])
    if first != last:
        return ("NCHW", True) if first else ("NHWC", True)
    return default, False


def _proportional(high: int, wide: int, height: int, width: int) -> bool:
    # At lower resolutions sizes are rounded, by at most one cell.
    return high > 0 and wide > 0 and abs(high * width - wide * height) <= max(height, width)


def kind_of(model: onnx.ModelProto, output: str) -> str:
    """Whether an output holds logits or probabilities, by its last operator that does not only move values; empty if
    unknown."""
    makers = {made: node for node in model.graph.node for made in node.output}
    for _ in range(len(model.graph.node)):
        node = makers.get(output)
        if node is None or node.op_type not in _PASSES_ON:
            return _ENDS.get(node.op_type, "") if node is not None else ""
        output = node.input[0]
    return ""


def class_names(text: str) -> tuple[str, ...]:
    if text.startswith("["):
        try:
            names = json.loads(text)
        except (ValueError, RecursionError):  # deeply nested lists
            return ()
        return tuple(name for name in names if isinstance(name, str))
    return tuple(part.strip() for part in text.split(",") if part.strip())
