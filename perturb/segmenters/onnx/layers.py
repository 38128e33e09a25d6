"""Layer access for ONNX graphs: their activation maps, and the sub-network downstream of each."""

from __future__ import annotations

import re
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from perturb.core.errors import SettingError
from perturb.images.image import Image, to_tensor
from perturb.segmenters.base import check_logits
from perturb.segmenters.layers import Layer, LayerAccess
from perturb.segmenters.onnx.model import OnnxModel
from perturb.segmenters.onnx.spec import OnnxGraph, OnnxSpec


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
        model: the file.
        graph: its facts.
        spec: from `complete`.
    """

    part_noun: ClassVar[str] = "nodes"
    summary_note: ClassVar[str] = (
        "A graph contains every step of the computation. Groups are derived from the names written by the exporter."
    )
    model: OnnxModel
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

    def one(self, image: Image) -> npt.NDArray[Any]:
        """Input of the graph for one image."""
        return self.prepare(to_tensor(image, self.device)[None])

    def find_layers(self, image: Image) -> tuple[GraphLayer, ...]:
        found: dict[str, GraphLayer] = {}
        for each in self.model.maps(self.one(image), self.spec.input, self.spec.output):
            if len(each.shape) != 4 or each.shape[0] != 1 or each.shape[2] * each.shape[3] < 2:
                continue
            name = plain = re.sub(r"\W+", ".", each.tensor).strip(".")[:150] or "map"
            while name in found:
                name = f"{plain}.{len(found)}"
            shape = each.shape[1], each.shape[2], each.shape[3]
            found[name] = GraphLayer(name, each.operator, shape, each.parameters, len(found), each.tensor)
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
        self._given = segmenter.one(image)
        self._names = segmenter.spec.input, segmenter.spec.output, layer.tensor
        scores, values = segmenter.model.observe(self._given, *self._names)
        self.clean = segmenter.read(scores, image.height, image.width)
        self.activation = torch.from_numpy(np.asarray(values, dtype=np.float32))
        self._dtype = values.dtype
        self.note = ""

    def __call__(self, activation: Tensor) -> Tensor:
        """Logits `(N, K, H, W)` for the activation `(N, C, h, w)`.

        Raises:
            SegmenterError: the changed graph cannot run, or its logits violate the contract.
        """
        model = self._segmenter.model
        step = len(activation) if self._segmenter.graph.batch is None else 1
        parts = [
            model.run_from(
                np.ascontiguousarray(activation[start : start + step].numpy(), dtype=self._dtype),
                self._given,
                *self._names,
            )
            for start in range(0, len(activation), step)
        ]
        batch = self._batch.expand(len(activation), -1, -1, -1)
        logits = self._segmenter.read(np.concatenate(parts), *self._batch.shape[2:])
        return check_logits(logits, batch, len(self._segmenter.classes), self._segmenter.name)
