"""A stranger's ONNX file, read and run in a confined process of its own."""

from __future__ import annotations

import time
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from perturb.core.errors import SegmenterError
from perturb.sandbox.process import Confined, Limits, StoppedError
from perturb.segmenters.onnx.model import Array, GraphNode, MapTensor, OnnxModel
from perturb.segmenters.onnx.session import TYPES
from perturb.segmenters.onnx.spec import OnnxGraph

T = TypeVar("T")
_FACTS = TypeAdapter(OnnxGraph)
_MAPS = TypeAdapter(tuple[MapTensor, ...])
_NODES = TypeAdapter(tuple[GraphNode, ...])


class ConfinedModel(OnnxModel):
    """An ONNX file in a process of its own, with limits on memory and time, without files and network.

    The process starts on the first use. When it was stopped, a call says why, and the next call starts another one.

    Args:
        data, name: as in `OnnxModel`.
        threads: number of threads of a run.
        limits: of the process.
        most: number of such processes that run at a time; the least recently used one is ended first.
    """

    def __init__(self, data: bytes, name: str, threads: int, limits: Limits, *, most: int) -> None:
        super().__init__(data, name)
        self._threads, self._most = threads, most
        self._process = Confined("perturb.segmenters.onnx.tasks", limits, begin=self._open)

    @property
    def pid(self) -> int | None:
        """Of its process; None while it has none."""
        return self._process.pid

    def facts(self, output: str = "", layout: str = "") -> OnnxGraph:
        return _checked(_FACTS, self._call("facts", (output, layout))[0], self.name)

    def load(self) -> None:
        self._call("load")

    def run(self, given: Array, source: str, output: str) -> npt.NDArray[np.float32]:
        return self._scores("run", (source, output), (given,))

    def maps(self, given: Array, source: str, output: str) -> tuple[MapTensor, ...]:
        return _checked(_MAPS, self._call("maps", (source, output), (given,))[0], self.name)

    def nodes(self, given: Array, source: str) -> tuple[GraphNode, ...]:
        return _checked(_NODES, self._call("nodes", (source,), (given,))[0], self.name)

    def observe(self, given: Array, source: str, output: str, tensor: str) -> tuple[npt.NDArray[np.float32], Array]:
        _, made = self._call("observe", (source, output, tensor), (given,))
        if len(made) != 2:
            raise _unfit(self.name)
        return np.array(made[0], dtype=np.float32), np.array(made[1])

    def run_from(self, values: Array, given: Array, source: str, output: str, tensor: str) -> npt.NDArray[np.float32]:
        return self._scores("run_from", (source, output, tensor), (values, given))

    def close(self) -> None:
        """End its process."""
        self._process.close()

    def _open(self, process: Confined) -> None:
        process.call("open", (self.name, self._threads), (np.frombuffer(self.data, dtype=np.uint8),))
        _make_room(self)

    def _scores(self, task: str, names: Sequence[str], arrays: Sequence[Array]) -> npt.NDArray[np.float32]:
        _, made = self._call(task, names, arrays)
        if len(made) != 1:
            raise _unfit(self.name)
        return np.array(made[0], dtype=np.float32)  # a copy: the process may still write to its memory

    def _call(self, task: str, arguments: Sequence[Any] = (), arrays: Sequence[Array] = ()) -> tuple[Any, list[Array]]:
        try:
            return self._process.call(task, arguments, arrays)
        except StoppedError as error:
            remedy = (
                "Run the file with onnxruntime on your own machine to see why."
                if error.crashed
                else "Use a smaller network or image, or run it on your own machine, where nothing limits it."
            )
            raise SegmenterError(f"'{self.name}' was stopped: {error}. {remedy}") from error


def rehearse(model: OnnxModel, graph: OnnxGraph, height: int, width: int) -> float | None:
    """Run a network once on zeros.

    Args:
        model: the network.
        graph: its facts.
        height, width: size of the image, unless the graph has a fixed size.

    Returns:
        Seconds of the run; None if it failed, which is not an error: the graph may need an image of another size.

    Raises:
        SegmenterError: the network cannot be loaded, or its process was stopped.
    """
    model.load()
    sides = graph.spec.size or (height, width)
    shape = (1, graph.colours, *sides) if graph.spec.layout == "NCHW" else (1, *sides, graph.colours)
    began = time.perf_counter()
    try:
        model.run(np.zeros(shape, dtype=TYPES[graph.dtype]), graph.spec.input, graph.spec.output)
    except SegmenterError as error:
        if isinstance(error.__cause__, StoppedError):
            raise
        return None
    return time.perf_counter() - began


_RUNNING: OrderedDict[int, weakref.ref[ConfinedModel]] = OrderedDict()
_COUNTING = Lock()


def _make_room(model: ConfinedModel) -> None:
    """End the least recently started processes while there are too many."""
    with _COUNTING:
        for key, known in list(_RUNNING.items()):
            other = known()
            if other is None or other.pid is None:
                del _RUNNING[key]
        _RUNNING[id(model)] = weakref.ref(model)
        _RUNNING.move_to_end(id(model))
        ended = [_RUNNING.popitem(last=False)[1]() for _ in range(len(_RUNNING) - model._most)]
    for each in ended:
        if each is not None:
            each.close()


def _checked(adapter: TypeAdapter[T], value: Any, name: str) -> T:
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise _unfit(name) from error


def _unfit(name: str) -> SegmenterError:
    return SegmenterError(f"'{name}' was stopped: its process gave an answer that is none.")
