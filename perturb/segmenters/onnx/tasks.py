"""The tasks of a confined process that holds one ONNX file; see `perturb.sandbox.child`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from perturb.segmenters.onnx.model import Array, LoadedModel
from perturb.segmenters.onnx.runtime import import_packages, onnx

_opened: list[LoadedModel] = []

Answer = tuple[Any, list[Array]]


def _model() -> LoadedModel:
    return _opened[-1]


def _open(name: str, threads: int, data: Array) -> Answer:
    _opened[:] = [LoadedModel(data.tobytes(), name, threads)]
    return None, []


def _facts(output: str, layout: str) -> Answer:
    return asdict(_model().facts(output, layout)), []


def _load() -> Answer:
    _model().load()
    return None, []


def _run(source: str, output: str, given: Array) -> Answer:
    return None, [_model().run(given, source, output)]


def _maps(source: str, output: str, given: Array) -> Answer:
    return [asdict(each) for each in _model().maps(given, source, output)], []


def _nodes(source: str, given: Array) -> Answer:
    return [asdict(each) for each in _model().nodes(given, source)], []


def _observe(source: str, output: str, tensor: str, given: Array) -> Answer:
    return None, list(_model().observe(given, source, output, tensor))


def _run_from(source: str, output: str, tensor: str, values: Array, given: Array) -> Answer:
    return None, [_model().run_from(values, given, source, output, tensor)]


TASKS = {
    "open": _open,
    "facts": _facts,
    "load": _load,
    "run": _run,
    "maps": _maps,
    "nodes": _nodes,
    "observe": _observe,
    "run_from": _run_from,
}


def prepare() -> None:
    """Do once on a tiny network what a visitor's network may need, so that all code is imported."""
    import_packages()
    make = onnx.helper
    kind = onnx.TensorProto.FLOAT
    weights = onnx.numpy_helper.from_array(np.ones((2, 3, 1, 1), dtype=np.float32), "weights")
    nodes = [
        make.make_node("Conv", ["image", "weights"], ["features"]),
        make.make_node("Softmax", ["features"], ["scores"], axis=1),
    ]
    graph = make.make_graph(
        nodes,
        "tiny",
        [make.make_tensor_value_info("image", kind, ["N", 3, "H", "W"])],
        [make.make_tensor_value_info("scores", kind, ["N", 2, "H", "W"])],
        [weights],
    )
    made = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
    image = np.ones((1, 3, 4, 4), dtype=np.float32)
    _open("tiny", 1, np.frombuffer(made.SerializeToString(), dtype=np.uint8))
    _facts("", "")
    _run("image", "scores", image)
    _maps("image", "scores", image)
    _nodes("image", image)
    _, (_, values) = _observe("image", "scores", "features", image)
    _run_from("image", "scores", "features", values, image)
    _opened.clear()
