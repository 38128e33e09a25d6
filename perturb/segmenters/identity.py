"""The identity of a torch network: digests of its weights and of its operations."""

from __future__ import annotations

import hashlib
from types import CodeType, FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn

from perturb.segmenters.tracing import trace_module

_OF_EVERY_MODULE = frozenset(vars(nn.Module()))
"""Attributes that do not affect what a module computes: hooks, and containers of weights and modules."""


def weights_digest(module: nn.Module) -> str:
    """32 hexadecimal digits of blake2b over the names and bytes of a module's state."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def network_digest(module: nn.Module, *also: object) -> str:
    """32 hexadecimal digits of blake2b over a network's weights and operations.

    Args:
        module: in evaluation mode.
        also: other plain values that belong to it, such as the normalisation of its input.
    """
    text = repr((weights_digest(module), operations(module), also))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def weights_mark(module: nn.Module) -> tuple[object, ...]:
    """A value that changes whenever a weight changes, even by `weight.data.mul_(2)`, which torch does not track.

    Much faster than `weights_digest`, but valid in this process only.
    """
    tensors = [*module.parameters(), *module.buffers()]
    with torch.inference_mode():
        return tuple((t.data_ptr(), 0 if t.is_inference() else t._version, float(t.sum())) for t in tensors)


def operations(module: nn.Module) -> str:
    """32 hexadecimal digits of blake2b over the operations of a network, the same in every process.

    They cover the traced graph. For a network that cannot be traced, they cover the classes, plain attributes and
    bytecode of its modules.
    """
    return _graph(module) or _hex(_structure(module, attributes=True))


def operations_mark(module: nn.Module) -> str:
    """A value that changes whenever `operations` does, except for attributes of a network that cannot be traced.

    Such attributes may be counters, which do not affect the output. Takes some milliseconds.
    """
    return _graph(module) or _hex(_structure(module, attributes=False))


def _graph(module: nn.Module) -> str:
    """A digest of the graph that `torch.fx` traces; empty if the network cannot be traced.

    The digest covers all operations in order, with the settings of their modules. It changes with an attribute or a
    patched `forward` that affects the computation, and not with anything else.
    """
    try:
        traced, _ = trace_module(module)
    except Exception:  # tracing runs the network's own code, which may fail in any way
        return ""
    called = sorted({str(node.target) for node in traced.graph.nodes if node.op == "call_module"})
    leaves = [(name, _settings(traced.get_submodule(name))) for name in called]
    read = sorted({str(node.target) for node in traced.graph.nodes if node.op == "get_attr"})
    weights = {name for name, _ in (*module.named_parameters(), *module.named_buffers())}
    loose = [(name, _plain(_attribute(traced, name))) for name in read if name not in weights]
    nodes = [
        (node.name, node.op, _target(node.target), repr(node.args), repr(node.kwargs)) for node in traced.graph.nodes
    ]
    return _hex((nodes, leaves, loose))


def _target(target: Any) -> str:
    return target if isinstance(target, str) else str(getattr(target, "__name__", type(target).__name__))


def _structure(module: nn.Module, *, attributes: bool) -> list[object]:
    found: list[object] = []
    for name, part in module.named_modules():
        own = [each for each in type(part).__mro__ if not each.__module__.startswith(("torch.", "builtins"))]
        code = [
            _plain(value) for each in own for _, value in sorted(vars(each).items()) if isinstance(value, FunctionType)
        ]
        patched = [(key, _plain(value)) for key, value in sorted(vars(part).items()) if isinstance(value, FunctionType)]
        found.append((name, type(part).__qualname__, _settings(part) if attributes else patched, code))
    return found


def _settings(module: nn.Module) -> tuple[object, ...]:
    """Class and plain attributes of one module."""
    own = {key: value for key, value in vars(module).items() if key not in _OF_EVERY_MODULE}
    kind = type(module)
    return (kind.__module__, kind.__qualname__, [(key, _plain(value)) for key, value in sorted(own.items())])


def _plain(value: Any) -> object:
    """A value as something whose `repr` is the same in every process."""
    if value is None or isinstance(value, bool | int | float | str | bytes | torch.dtype):
        return value
    if isinstance(value, Tensor):
        return (str(value.dtype), tuple(value.shape), hashlib.blake2b(_bytes(value)).hexdigest())
    if isinstance(value, tuple | list | set | frozenset):
        parts = [_plain(part) for part in value]
        return sorted(map(repr, parts)) if isinstance(value, set | frozenset) else parts
    if isinstance(value, dict):
        return [(repr(key), _plain(part)) for key, part in value.items()]
    if isinstance(value, MethodType | FunctionType):
        return _code(value.__code__)
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _code(code: CodeType) -> object:
    constants = [_code(each) if isinstance(each, CodeType) else repr(each) for each in code.co_consts]
    return (code.co_name, code.co_code, code.co_names, code.co_varnames, constants)


def _attribute(module: nn.Module, path: str) -> Any:
    value: Any = module
    for part in path.split("."):
        value = getattr(value, part)
    return value


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data


def _hex(value: object) -> str:
    return hashlib.blake2b(repr(value).encode(), digest_size=16).hexdigest()
