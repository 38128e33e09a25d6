"""Trace the operations of a torch module with `torch.fx`."""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensorMode

_TRACING = threading.Lock()
"""Tracing patches `nn.Module` itself; two concurrent traces would leave it patched."""


def trace_module(module: nn.Module, given: Tensor | None = None) -> tuple[fx.GraphModule, dict[str, fx.Node]]:
    """Trace a network.

    Args:
        module: in evaluation mode.
        given: an input, `(1, C, H, W)`. It allows control flow that depends on the shapes of tensors; the operations
            are then those for this height and width. Its values are not used.

    Returns:
        The traced network, and the nodes that hold the outputs of its modules, by module name. A module that is used
        several times has no single output and is left out.

    Raises:
        Exception: the network cannot be traced; for example, its control flow depends on values.
    """
    if "forward" in vars(module):
        raise TypeError("its forward method was replaced")  # torch.fx would trace the method of its class
    tracer = _Tracer(given)
    with _TRACING:
        graph = tracer.trace(module)
    return fx.GraphModule(tracer.root, graph), tracer.outputs


class _Tracer(fx.Tracer):
    """A tracer that records the output node of each module, including modules that are not leaves.

    Tracing replaces functions of `nn.Module` for all threads. Calls from other threads are passed through.
    """

    def __init__(self, given: Tensor | None) -> None:
        super().__init__()
        self.outputs: dict[str, fx.Node] = {}
        self._used: set[str] = set()
        self._own = threading.get_ident()
        self._shapes = None if given is None else _ShapePropagation(given)

    def _passes_through(self) -> bool:
        return threading.get_ident() != self._own or (self._shapes is not None and self._shapes.running)

    def call_module(
        self, m: torch.nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if self._passes_through():
            return forward(*args, **kwargs)
        output = super().call_module(m, forward, args, kwargs)
        # An identity operation has no node of its own; replacing the node of its input would change more than its
        # output.
        given = {id(value.node) for value in (*args, *kwargs.values()) if isinstance(value, fx.Proxy)}
        name = self.path_of_module(m)
        if name in self._used:  # it has no single output
            self.outputs.pop(name, None)
        elif isinstance(output, fx.Proxy) and id(output.node) not in given:
            self.outputs[name] = output.node
        self._used.add(name)
        return output

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        if self._passes_through():
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def to_bool(self, obj: fx.Proxy) -> bool:
        known, value = self._from_shapes(obj)
        return bool(value) if known else super().to_bool(obj)

    def iter(self, obj: fx.Proxy) -> Iterator[Any]:
        known, value = self._from_shapes(obj)
        return (operator.getitem(obj, index) for index in range(len(value))) if known else super().iter(obj)

    def _from_shapes(self, obj: fx.Proxy) -> tuple[bool, Any]:
        """Whether the value of a bool, number or sequence is determined by shapes alone, and the value."""
        if self._shapes is None:
            return False, None
        try:
            value = self._shapes.value(self.root, obj.node)
            return not isinstance(value, Tensor), value
        except Exception:  # it depends on values, or the operation has no shape rule
            return False, None


class _ShapePropagation:
    """Computes values of nodes that depend only on the shape of the input.

    The tensors are fake: shapes and values derived from them are exact, and reading any other value raises.

    Args:
        given: the input.

    Attributes:
        running: whether a part of the module is being run.
    """

    def __init__(self, given: Tensor) -> None:
        self._mode = FakeTensorMode(allow_non_fake_inputs=True)
        self._given = given
        self._known: dict[fx.Node, Any] = {}
        self.running = False

    def value(self, root: nn.Module, node: fx.Node) -> Any:
        """The value of a node of the graph that is being traced."""
        self.running = True
        try:
            with torch.inference_mode(False), torch.no_grad(), self._mode:
                like = torch.empty(self._given.shape, dtype=self._given.dtype, device=self._given.device)
                run = fx.Interpreter(root, garbage_collect_values=False, graph=node.graph)
                run.extra_traceback, run.env, run.args_iter = False, self._known, iter([like])
                for each in node.graph.nodes:
                    if each not in self._known:
                        self._known[each] = run.run_node(each)
        finally:
            self.running = False
        return self._known[node]
