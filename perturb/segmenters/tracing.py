"""A network's own operations, read off by `torch.fx`."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn

_TRACING = threading.Lock()
"""Tracing patches `nn.Module` itself; two at once would leave it patched."""


def trace_module(module: nn.Module) -> tuple[fx.GraphModule, dict[str, fx.Node]]:
    """A network's operations in order, and which of them gives each of its modules' output, by the module's name.

    A module that is used several times has no one output.

    Raises:
        Exception: whatever a network does that tracing does not stand, such as control flow that depends on values.
    """
    if "forward" in vars(module):
        raise TypeError("its forward method was replaced")  # torch.fx would trace that of its class
    tracer = _Tracer()
    with _TRACING:
        graph = tracer.trace(module)
    return fx.GraphModule(tracer.root, graph), tracer.outputs


class _Tracer(fx.Tracer):
    """Notes which node of the graph each module's output is, also of modules that are traced through.

    Tracing replaces functions of `nn.Module` for all threads; whatever another thread runs meanwhile is passed through.
    """

    def __init__(self) -> None:
        super().__init__()
        self.outputs: dict[str, fx.Node] = {}
        self._used: set[str] = set()
        self._own = threading.get_ident()

    def call_module(
        self, m: torch.nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if threading.get_ident() != self._own:
            return forward(*args, **kwargs)
        output = super().call_module(m, forward, args, kwargs)
        # A module that hands its input on has no node of its own, and replacing the input would change more than it.
        given = {id(value.node) for value in (*args, *kwargs.values()) if isinstance(value, fx.Proxy)}
        name = self.path_of_module(m)
        if name in self._used:  # which of its outputs is meant cannot be said
            self.outputs.pop(name, None)
        elif isinstance(output, fx.Proxy) and id(output.node) not in given:
            self.outputs[name] = output.node
        self._used.add(name)
        return output

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        if threading.get_ident() != self._own:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)
