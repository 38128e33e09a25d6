"""What an ONNX graph says about its images and its scores, and what has to be asked because it does not say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Literal

from perturb.core.errors import PerturbError, SegmenterError
from perturb.images.image import MAX_SIDE
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
    """How to give images to a graph, and how to read its answer.

    Attributes:
        input: name of the input.
        output: name of the output with the scores.
        layout: of the input.
        size: H, W that the graph is made for: images are resized to it, and the logits back. None if it takes any.
        multiple: images are padded (the border repeated) to sides that are multiples of this; 1 for none.
        scale: what the graph expects of the values, see `SCALES`.
        kind: what it gives, see `KINDS`.
        output_layout: of the output.
        mean, std: in place of those of the scale, which is then `unit` or `bytes` and says the range of the values: one
            number, or one for each channel in the network's order. Empty for those of the scale.
        order: of the input's channels, see `ORDERS`.
    """

    input: str
    output: str
    layout: Layout = "NCHW"
    size: tuple[int, int] | None = None
    multiple: int = 1
    scale: Scale = "imagenet"
    kind: Kind = "logits"
    output_layout: Layout = "NCHW"
    # Not in the text of a spec unless they say something: the digests of results are made of it.
    mean: tuple[float, ...] = field(default=(), repr=False)
    std: tuple[float, ...] = field(default=(), repr=False)
    order: Order = field(default="RGB", repr=False)

    @property
    def scaling(self) -> Scaling:
        """What is done to the values."""
        return scaling_of(self.scale, self.mean, self.std, self.order)

    @property
    def identity(self) -> str:
        """The spec as text; the same for the same spec."""
        more = (self.mean, self.std, self.order)
        return repr(self) + ("" if more == ((), (), "RGB") else repr(more))

    def __str__(self) -> str:
        """What the network is given, for people."""
        size = f"resized to {self.size[1]} × {self.size[0]} px" if self.size else "of any size"
        return f"{self.order} ({ORDERS[self.order]}) {size}, {self.layout}, {self.scaling}"


@dataclass(frozen=True)
class OnnxGraph:
    """What is known of a graph before it is run.

    Attributes:
        spec: complete; what the graph does not say is the usual choice.
        unknown: the fields of the spec that the graph does not say.
        outputs: names of the outputs that may hold scores.
        channels: K of the output; None where the shapes do not tell.
        classes: names that the file carries; empty for most.
        colours: channels of the input: 3, or 1 for a grey one.
        dtype: of the input: `FLOAT`, `FLOAT16`, `DOUBLE` or `UINT8`.
        batch: images that one run takes: 1 or any (None).
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
    """Check an ONNX file and read what its graph says. Nothing is run.

    Input size, layout and number of channels stand in the shapes; a softmax or sigmoid at the end means probabilities,
    a convolution logits. How values are scaled stands nowhere, unless the file carries it: the metadata `scale` (one of
    `SCALES`) or `mean` and `std`, `order` (RGB or BGR), and `classes` (names with commas, or a JSON list) are read.

    Args:
        data: bytes of the file.
        name: what messages call it.
        output: the output to read, if there are several.
        layout: of the input, where the graph does not say.

    Raises:
        SegmenterError: the file is refused (see `onnx_checks`), or the graph is no segmenter of colour images.
    """
    try:
        return _read_spec(data, name, output, layout)
    except PerturbError:
        raise
    except MemoryError as error:
        raise SegmenterError(f"'{name}' needs more memory than there is. Export a smaller network.") from error
    except Exception as error:  # of whatever kind: the file is hostile until it is parsed
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
    # Sides of a known ratio, so that the output's shape tells which of its axes are the image's.
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
    """Scale, mean and std of a file's metadata; nothing where it says none, or says what does not fit."""
    scale = carried.get("scale", "")
    given = {"scale": scale} if scale in SCALES else {key: carried[key] for key in ("mean", "std") if key in carried}
    try:
        return settle(given, order, name) if given else ("", (), ())
    except SegmenterError:
        return "", (), ()


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
            raise SegmenterError(f"'{key}' is settled by the graph of '{name}': got {value}, expected {known[key]}.")
        known[key] = value
    scaled = {key: value for key, value in given.items() if key in ("scale", "mean", "std")}
    missing = [key for key in graph.unknown if key not in given and not (key == "scale" and scaled)]
    if missing:
        choices = "; ".join(f"{key} is one of {', '.join(CHOICES[key])}" for key in missing)
        also = " Or give mean and std in place of scale, such as mean=128 and std=256." * ("scale" in missing)
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
