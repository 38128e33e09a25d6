"""The API reference: every public name, read from `perturb.__all__`."""

from __future__ import annotations

import inspect

import perturb


def _kind(name: str) -> str:
    value = getattr(perturb, name)
    if inspect.isclass(value):
        return "exception" if issubclass(value, BaseException) else "class"
    return "function" if callable(value) else "data"


GROUPS = {"function": "Functions", "class": "Classes", "exception": "Errors", "data": "Registries and constants"}


def api() -> str:
    """An entry for every name of `perturb.__all__`, from its docstring."""
    names = sorted(perturb.__all__, key=str.lower)
    parts = []
    for kind, title in GROUPS.items():
        entries = [_entry(kind, name) for name in names if _kind(name) == kind]
        parts += [f"## {title}", "```{eval-rst}\n" + "\n\n".join(entries) + "\n```"]
    return "\n\n".join(parts)


def _entry(kind: str, name: str) -> str:
    if kind == "data":
        return f".. py:data:: perturb.{name}\n\n   {_described(getattr(perturb, name))}"
    options = {"class": ["   :members:"], "exception": ["   :show-inheritance:"], "function": []}[kind]
    return "\n".join([f".. auto{kind}:: perturb.{name}", *options])


def _described(value: object) -> str:
    """What a constant holds; it has no docstring of its own."""
    if isinstance(value, dict):
        return f"A dictionary by name: {', '.join(f'``{name}``' for name in value)}."
    return f"``{value!r}``"
