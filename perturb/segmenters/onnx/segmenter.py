"""Segmenters from ONNX files of any framework."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from perturb.core.errors import SegmenterError
from perturb.core.quoting import class_list, python_literal, shell_option
from perturb.images.image import Image
from perturb.segmenters.base import Frame
from perturb.segmenters.card import Card
from perturb.segmenters.onnx.checks import MAX_BYTES
from perturb.segmenters.onnx.layers import OnnxLayers
from perturb.segmenters.onnx.model import LoadedModel, OnnxModel
from perturb.segmenters.onnx.scaling import LUMINANCE, Scaling, text_of
from perturb.segmenters.onnx.session import TYPES
from perturb.segmenters.onnx.spec import OnnxGraph, OnnxSpec, complete
from perturb.segmenters.onnx.summary import graph_summary
from perturb.segmenters.summary import Part

FLOOR = 1e-7
"""Lower bound of probabilities before their logarithm; about the resolution of float32 near 1."""


class OnnxSegmenter(OnnxLayers):
    """A network in an ONNX file, run by onnxruntime on the CPU.

    Images in [0, 1] are scaled as the spec says. For a graph of fixed size, the image is resized to that size
    (bilinear, with antialiasing when shrinking; the aspect ratio is not kept). A graph of any size gets the image
    itself, or padded to a multiple. The output is converted to logits and resized bilinearly to the image.
    Probabilities become log max(p, 1e-7), whose softmax is the probabilities. A single channel z (or a probability p,
    with z = log p − log (1 − p)) becomes two classes with the logits (0, z).

    Activations in the graph can be read and changed; there are no gradients.

    Args:
        model: the file.
        graph: its facts.
        spec: from `complete`.
        classes: K class names; for a single channel, the name of its class, or of background and class.
        name: name in results and links.
        palette: colours of the classes, uint8 `(K, 3)`.

    Attributes:
        digest: 32 hexadecimal digits of blake2b of the file, then a hyphen and 8 digits of the spec and the class
            names: the same file with another scale is another segmenter.

    Raises:
        SegmenterError: the number of names does not match the channels.
    """

    def __init__(
        self,
        model: OnnxModel,
        graph: OnnxGraph,
        spec: OnnxSpec,
        *,
        classes: Sequence[str],
        name: str,
        palette: npt.NDArray[np.uint8] | None = None,
    ) -> None:
        self.file_digest = model.digest
        words = tuple(classes) or tuple(f"class {index}" for index in range(graph.channels or 0))
        self._binary = graph.channels == 1 or (graph.channels is None and len(words) == 1)
        if self._binary and len(words) == 1:
            words = ("background", "thing" if words == ("class 0",) else words[0])
        expected = 2 if self._binary else graph.channels
        if expected is not None and len(words) != expected:
            raise SegmenterError(
                f"'{name}' gives {graph.channels} channels, got {len(words)} class names ({', '.join(words[:20])[:200]}); "
                f"expected {'one name' if self._binary else f'{expected} names, in the order of the channels'}."
            )
        if not words:
            raise SegmenterError(f"'{name}' does not say how many classes it has; give their names, in order.")
        settings = hashlib.blake2b(f"({spec.identity}, {words!r})".encode(), digest_size=4).hexdigest()
        super().__init__(name, classes=words, palette=palette, digest=f"{self.file_digest}-{settings}", device="cpu")
        self.model, self.graph, self.spec = model, graph, spec
        arguments = {"classes": list(words), **self.load_options}
        literals = "".join(f", {key}={python_literal(value)}" for key, value in arguments.items())
        self.recipe = f"perturb.load_onnx({python_literal(name)}{literals})"
        self.options = (
            *shell_option("--segmenter", name),
            *shell_option("--classes", class_list(words)),
            *(part for key, value in self.load_options.items() for part in ("--onnx", f"{key}={value}")),
        )

    def load(self) -> None:
        """Load the network now instead of for the first image.

        Raises:
            SegmenterError: onnxruntime cannot load it.
        """
        self.model.load()

    @property
    def input_note(self) -> str:
        return str(self.spec)

    def card(self) -> Card:
        return Card(
            architecture="ONNX graph; " + ", ".join(f"{name} {value}" for name, value in self.graph.facts.items()),
            classes=self.classes,
            megabytes=self.model.size / 1e6,
            input=self.input_note,
            abilities=("logits", *sorted(self.abilities)),
        )

    def summary(self, image: Image) -> Part:
        return graph_summary(self, image)

    @property
    def load_options(self) -> dict[str, str]:
        """The arguments of `load_onnx` that load it again, except the file and the class names."""
        spec, said = self.spec, self.graph.spec
        options = {
            field: str(getattr(spec, field))
            for field in ("layout", "order", "kind", "output_layout")
            if field in self.graph.unknown or getattr(spec, field) != getattr(said, field)
        }
        if "scale" in self.graph.unknown or (spec.scale, spec.mean, spec.std) != (said.scale, said.mean, said.std):
            numbers = {"mean": text_of(spec.mean), "std": text_of(spec.std)} if spec.mean else {}
            options |= {"scale": spec.scale, **numbers}
        if len(self.graph.outputs) > 1:
            options["output"] = spec.output
        return options | ({"multiple": str(spec.multiple)} if spec.multiple > 1 else {})

    def logits(self, batch: Tensor) -> Tensor:
        given = self.prepare(batch)
        step = len(given) if self.graph.batch is None else 1
        parts = [self.run(given[start : start + step]) for start in range(0, len(given), max(1, step))]
        return self.read(np.concatenate(parts), *batch.shape[2:])

    def read(self, answer: npt.NDArray[np.float32], height: int, width: int) -> Tensor:
        """Logits `(N, K, H, W)` for images of `height` × `width`, from the graph's output for their `prepare`d input.

        Raises:
            SegmenterError: the number of channels differs from the classes, or the values are not probabilities.
        """
        scores = torch.from_numpy(answer)
        if self.spec.output_layout == "NHWC":
            scores = scores.permute(0, 3, 1, 2)
        channels = 1 if self._binary else len(self.classes)
        if scores.shape[1] != channels:
            raise SegmenterError(
                f"'{self.name}' gave {scores.shape[1]} channels (shape {tuple(scores.shape)}, {self.spec.output_layout}), "
                f"expected {channels}. Give as many class names as there are channels, and check the output's layout."
            )
        values = self._as_logits(scores)
        seen = self.spec.size or (self._padded(height), self._padded(width))
        if tuple(values.shape[2:]) != seen:
            values = interpolate(values, seen, mode="bilinear", align_corners=False)
        if self.spec.size is None:
            return values[..., :height, :width]
        return interpolate(values, (height, width), mode="bilinear", align_corners=False)

    @property
    def pads_to(self) -> int:
        """Images are padded at the bottom and right to sides that are multiples of this."""
        return 1 if self.spec.size is not None else self.spec.multiple

    def frame(self, height: int, width: int) -> Frame:
        return Frame(0, 0, self._padded(height), self._padded(width))

    def _padded(self, side: int) -> int:
        return -(-side // self.pads_to) * self.pads_to

    def prepare(self, batch: Tensor) -> npt.NDArray[Any]:
        height, width = batch.shape[2:]
        if self.spec.size is not None:
            if (height, width) != self.spec.size:
                batch = interpolate(batch, self.spec.size, mode="bilinear", align_corners=False, antialias=True)
        elif self.pads_to > 1:
            padding = (0, self._padded(width) - width, 0, self._padded(height) - height)
            batch = pad(batch, padding, mode="replicate")
        batch = _scaled(_in_order(batch, self.spec.order), self.spec.scaling)
        if self.spec.layout == "NHWC":
            batch = batch.permute(0, 2, 3, 1)
        kind = TYPES[self.graph.dtype]
        values = batch.clamp(0, 255).round() if kind is np.uint8 else batch
        return np.ascontiguousarray(values.numpy(), dtype=kind)

    def run(self, given: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """The graph's output for `prepare`d images, float32 with four axes.

        Raises:
            SegmenterError: the graph cannot run on them, or its output has another form.
        """
        scores = self.model.run(given, self.spec.input, self.spec.output)
        if scores.ndim != 4 or scores.shape[0] != len(given) or not scores.size:
            raise SegmenterError(
                f"'{self.name}' gave scores of shape {scores.shape} for {len(given)} images, expected four axes, none of "
                f"them empty: {self.spec.output_layout}. Choose another output, or export it without the operations after "
                "the scores."
            )
        return scores

    def _as_logits(self, scores: Tensor) -> Tensor:
        if self.spec.kind == "probabilities":
            low, high = float(scores.min()), float(scores.max())
            if not (low >= -1e-3 and high <= 1 + 1e-3) and math.isfinite(low + high):
                raise SegmenterError(
                    f"'{self.name}' gave values from {low:.3g} to {high:.3g}, which are not probabilities. Read its output "
                    "as logits (kind=logits)."
                )
            thing = torch.log(scores.clamp(min=FLOOR))
            scores = thing - torch.log((1 - scores).clamp(min=FLOOR)) if self._binary else thing
        return torch.cat([torch.zeros_like(scores), scores], 1) if self._binary else scores


def _in_order(batch: Tensor, order: str) -> Tensor:
    """Convert RGB images `(N, 3, H, W)` to a channel order: `(N, 3, H, W)`, or `(N, 1, H, W)` for grey."""
    if order == "grey":
        return (batch * torch.tensor(LUMINANCE).view(1, 3, 1, 1)).sum(1, keepdim=True)
    return batch.flip(1) if order == "BGR" else batch


def _scaled(batch: Tensor, scaling: Scaling) -> Tensor:
    """Scale images `(N, C, H, W)` in [0, 1] whose channels are in the network's order."""
    mean, std = (torch.tensor(numbers).view(1, -1, 1, 1) for numbers in (scaling.mean, scaling.std))
    return (batch * scaling.full - mean) / std


def load_onnx(source: str | Path | bytes, *, classes: Sequence[str] = (), name: str = "", **spec: Any) -> OnnxSegmenter:
    """Load a segmenter from an ONNX file.

        perturb.load_onnx("model.onnx", classes=["road", "car"], scale="imagenet")

    Fields of the spec that the graph does not determine must be given: nearly always `scale`.

    Args:
        source: path or bytes of the file.
        classes: class names, in the order of the channels; numbered by default.
        name: name in results and links; by default the file name.
        spec: fields of `perturb.segmenters.onnx.spec.OnnxSpec`.

    Raises:
        SegmenterError: the file cannot be read, is rejected (see `perturb.segmenters.onnx.checks`) or is not a
            segmenter, or the spec is incomplete or contradicts the graph.
    """
    return _load(source, classes, name, spec)


def load_onnx_options(path: str | Path, options: Mapping[str, str], classes: Sequence[str] = ()) -> OnnxSegmenter:
    """Load a segmenter from an ONNX file and options as text, as on the command line.

    Args:
        path: path of the file.
        options: fields of `OnnxSpec`, and `classes`: names separated by commas.
        classes: class names, if not in `options`.

    Raises:
        SegmenterError: as in `load_onnx`.
    """
    spec = dict(options)
    names = [word.strip() for word in spec.pop("classes", "").split(",") if word.strip()]
    return _load(path, names or classes, "", spec)


def _load(source: str | Path | bytes, classes: Sequence[str], name: str, spec: Mapping[str, Any]) -> OnnxSegmenter:
    data, called = (source, "model") if isinstance(source, bytes) else _read(Path(source))
    name = name or called
    hints = {field: str(spec[field]) for field in ("output", "layout") if field in spec}
    model = LoadedModel(data, name, torch.get_num_threads())
    graph = model.facts(**hints)
    return OnnxSegmenter(model, graph, complete(graph, dict(spec), name), classes=classes or graph.classes, name=name)


def _read(path: Path) -> tuple[bytes, str]:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise SegmenterError(
                f"'{path.name}' is too large: got {size / 1e6:.0f} MB, expected at most {MAX_BYTES / 1e6:.0f} MB."
            )
        return path.read_bytes(), path.name
    except (OSError, ValueError) as error:  # a path with a zero byte is a ValueError
        why = getattr(error, "strerror", None) or error
        raise SegmenterError(f"The ONNX file '{path}' cannot be read ({why}). Check the path.") from error
