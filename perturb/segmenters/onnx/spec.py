"""The spec of an ONNX graph: how to give it images and read its output, and what the graph itself does not say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Literal

from perturb.core.errors import PerturbError, SegmenterError
from perturb.images.decoding import MAX_SIDE
from perturb.segmenters.onnx.checks import HOW, check_file, check_memory, first_line
from perturb.segmenters.onnx.runtime import onnx
from perturb.segmenters.onnx.scaling import ORDERS, SCALES, Order, Scale, Scaling, scaling_of, settle
from perturb.segmenters.onnx.shapes import (
    Layout,
    channels_taken,
    check_channels,
    class_names,
    input_layout,
    input_of,
    kind_of,
    output_layout,
    outputs_of,
)

Kind = Literal["logits", "probabilities"]

KINDS = {
    "logits": "logits: any numbers, before a softmax or sigmoid",
    "probabilities": "probabilities, after a softmax or sigmoid",
}
LAYOUTS = {"NCHW": "channels first", "NHWC": "channels last"}
CHOICES = {
    "layout": tuple(LAYOUTS),
    "output_layout": tuple(LAYOUTS),
    "scale": tuple(SCALES),
    "order": tuple(ORDERS),
    "kind": tuple(KINDS),
}
MAX_MULTIPLE = 256


@dataclass(frozen=True)
class OnnxSpec:
    """How to give images to a graph, and how to read its output.

    Attributes:
        input: name of the input.
        output: name of the output with the scores.
        layout: layout of the input.
        size: fixed H, W of the graph: images are resized to it, and the logits back. None if it accepts any size.
        multiple: images are padded (by repeating the border) to sides that are multiples of this; 1 for none.
        scale: scaling of the input values, see `SCALES`.
        kind: kind of the output, see `KINDS`.
        output_layout: layout of the output.
        mean, std: used instead of those of the scale, which is then `unit` or `bytes` and gives the range of the
            values: one number, or one for each channel in the network's order. Empty for those of the scale.
        order: channel order of the input, see `ORDERS`.
    """

    input: str
    output: str
    layout: Layout = "NCHW"
    size: tuple[int, int] | None = None
    multiple: int = 1
    scale: Scale = "imagenet"
    kind: Kind = "logits"
    output_layout: Layout = "NCHW"
    # Not in the repr: digests of segmenters are computed from it, and these fields were added later.
    mean: tuple[float, ...] = field(default=(), repr=False)
    std: tuple[float, ...] = field(default=(), repr=False)
    order: Order = field(default="RGB", repr=False)

    @property
    def scaling(self) -> Scaling:
        """Scaling of the input values."""
        return scaling_of(self.scale, self.mean, self.std, self.order)

    @property
    def identity(self) -> str:
        """The spec as text, for digests; equal specs have equal text."""
        more = (self.mean, self.std, self.order)
        return repr(self) + ("" if more == ((), (), "RGB") else repr(more))

    def __str__(self) -> str:
        """Description of the network's input, for people."""
        size = f"resized to {self.size[1]} × {self.size[0]} px" if self.size else "of any size"
        return f"{self.order} ({ORDERS[self.order]}) {size}, {self.layout}, {self.scaling}"


@dataclass(frozen=True)
class OnnxGraph:
    """Facts about a graph that are known before it is run.

    Attributes:
        spec: the spec, with common defaults for fields that the graph does not determine.
        unknown: fields of the spec that the graph does not determine.
        outputs: names of the outputs that may hold scores.
        channels: channels of the output; None if unknown.
        classes: class names in the file's metadata; usually empty.
        colours: channels of the input: 3, or 1 for grey.
        dtype: of the input: `FLOAT`, `FLOAT16`, `DOUBLE` or `UINT8`.
        batch: batch size: 1, or None for any.
        facts: nodes, weights, operator set and the program that wrote the file, for people.
    """

    spec: OnnxSpec
    unknown: tuple[str, ...]
    outputs: tuple[str, ...]
    channels: int | None
    classes: tuple[str, ...]
    colours: int
    dtype: str
    batch: int | None
    facts: dict[str, str]


def read_spec(data: bytes, name: str = "the file", *, output: str = "", layout: str = "") -> OnnxGraph:
    """Check an ONNX file and derive its spec from the graph. Nothing is run.

    The shapes determine input size, layout and number of channels. A final softmax or sigmoid means probabilities, a
    final convolution logits. The graph does not contain the scaling of the input, but the file's metadata may. Its
    entries `scale` (one of `SCALES`) or `mean` and `std`, `order` (RGB or BGR), and `classes` (names separated by
    commas, or a JSON list) are read.

    Args:
        data: bytes of the file.
        name: name of the file in messages.
        output: the output to read, if there are several.
        layout: layout of the input, if the graph does not determine it.

    Raises:
        SegmenterError: the file is rejected (see `perturb.segmenters.onnx.checks`), or the graph is not a segmenter of
            images.
    """
    try:
        return _read_spec(data, name, output, layout)
    except PerturbError:
        raise
    except MemoryError as error:
        raise SegmenterError(f"'{name}' needs more memory than is available. Export a smaller network.") from error
    except Exception as error:  # an untrusted file can cause any error
        raise SegmenterError(f"'{name}' cannot be understood: {first_line(error)}. {HOW}") from error


def _read_spec(data: bytes, name: str, output: str, layout: str) -> OnnxGraph:
    model = check_file(data, name)
    value = input_of(model, name)
    dims = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    unknown: list[str] = []
    read, colours, sure = input_layout(dims, channels_taken(model, value.name), value.name, name)
    if not sure:
        unknown.append("layout")
        read = _choice("layout", layout) if layout else read
    sides = (dims[2], dims[3]) if read == "NCHW" else (dims[1], dims[2])
    size = (sides[0], sides[1]) if all(sides) else None
    # A known aspect ratio, by which the image axes of the output can be recognized.
    height, width = size or (sides[0] or MAX_SIDE, sides[1] or 3 * MAX_SIDE // 4)
    shape = (1, colours, height, width) if read == "NCHW" else (1, height, width, colours)
    bare = check_memory(model, {value.name: shape}, name)
    check_channels(model, bare, name)
    outputs = outputs_of(bare, name)
    chosen = output or next(iter(outputs))
    if chosen not in outputs:
        raise SegmenterError(f"'{name}' has no output of scores '{chosen}'; expected one of {', '.join(outputs)}.")
    out_layout, out_sure = output_layout(outputs[chosen], height, width, read)
    if not out_sure:
        unknown.append("output_layout")
    kind = kind_of(model, chosen)
    if not kind:
        unknown.append("kind")
    carried = {entry.key: entry.value for entry in model.metadata_props}
    dtype = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type)
    order: Order = "grey" if colours == 1 else "BGR" if carried.get("order") == "BGR" else "RGB"
    scale, mean, std = ("bytes", (), ()) if dtype == "UINT8" else _carried_scale(carried, order, name)
    if not scale:
        unknown.append("scale")
    spec = OnnxSpec(
        input=value.name,
        output=chosen,
        layout=read,
        size=(height, width) if size or any(sides) else None,
        scale=scale or ("imagenet" if colours == 3 else "unit"),  # type: ignore[arg-type]
        kind=kind or "logits",  # type: ignore[arg-type]
        output_layout=out_layout,
        mean=mean,
        std=std,
        order=order,
    )
    channels = outputs[chosen][1 if out_layout == "NCHW" else 3] if outputs[chosen] else 0
    weights = sum(math.prod(tensor.dims) for tensor in model.graph.initializer)
    return OnnxGraph(
        spec=spec,
        unknown=tuple(unknown),
        outputs=tuple(outputs),
        channels=channels or None,
        classes=class_names(carried.get("classes", "")),
        colours=colours,
        dtype=dtype,
        batch=dims[0] or None,
        facts={
            "nodes": f"{len(model.graph.node):,}",
            "weights": f"{weights:,}",
            "operator set": str(max(entry.version for entry in model.opset_import)),
            "written by": f"{model.producer_name} {model.producer_version}".strip() or "unknown",
        },
    )


def _carried_scale(
    carried: Mapping[str, str], order: str, name: str
) -> tuple[str, tuple[float, ...], tuple[float, ...]]:
    """Scale, mean and std from the metadata of a file; empty if missing or invalid."""
    scale = carried.get("scale", "")
    given = {"scale": scale} if scale in SCALES else {key: carried[key] for key in ("mean", "std") if key in carried}
    try:
        return settle(given, order, name) if given else ("", (), ())
    except SegmenterError:
        return "", (), ()


def complete(graph: OnnxGraph, given: dict[str, Any], name: str) -> OnnxSpec:
    """Complete the graph's spec with given fields.

    Args:
        graph: from `read_spec`.
        given: fields of `OnnxSpec`, as values or as text.
        name: name of the file in messages.

    Raises:
        SegmenterError: a field does not exist, its value is invalid or contradicts the graph, or a field that the graph
            does not determine is missing.
    """
    known = {each.name: getattr(graph.spec, each.name) for each in fields(OnnxSpec)}
    for key, value in given.items():
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise SegmenterError(f"An ONNX segmenter has no setting '{key}'; expected one of {', '.join(known)}.{hint}")
        value = _choice(key, str(value)) if key in CHOICES else value
        if key == "multiple":
            value = _multiple(value)
        settled = (
            key in ("input", "size")
            or (key in ("layout", "output_layout") and key not in graph.unknown)
            or (key == "order" and (value == "grey") != (graph.colours == 1))
        )
        if settled and value != known[key]:
            raise SegmenterError(f"'{key}' is determined by the graph of '{name}': got {value}, expected {known[key]}.")
        known[key] = value
    scaled = {key: value for key, value in given.items() if key in ("scale", "mean", "std")}
    missing = [key for key in graph.unknown if key not in given and not (key == "scale" and scaled)]
    if missing:
        choices = "; ".join(f"{key} is one of {', '.join(CHOICES[key])}" for key in missing)
        also = " Or give mean and std instead of scale, such as mean=128 and std=256." * ("scale" in missing)
        raise SegmenterError(
            f"The graph of '{name}' does not say its {' and '.join(missing)}; give it: {choices}.{also}"
        )
    if scaled:
        known["scale"], known["mean"], known["std"] = settle(scaled, known["order"], name)
    spec = OnnxSpec(**known)
    if graph.dtype == "UINT8" and (spec.scale, spec.mean, spec.std) != ("bytes", (), ()):
        raise SegmenterError(
            f"'{name}' takes whole numbers from 0 to 255 (uint8), so nothing can be scaled: got {spec.scaling}; leave out "
            "scale, mean and std."
        )
    return spec


def _choice(field: str, value: str) -> Any:
    if value not in CHOICES[field]:
        raise SegmenterError(f"There is no {field} '{value}'; expected one of {', '.join(CHOICES[field])}.")
    return value


def _multiple(value: object) -> int:
    number = int(value) if str(value).isdigit() else 0  # type: ignore[call-overload]
    if not 1 <= number <= MAX_MULTIPLE:
        raise SegmenterError(f"'multiple' must be a whole number from 1 to {MAX_MULTIPLE}: got '{value}'.")
    return number
