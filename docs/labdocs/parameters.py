"""The pages of methods and fills: what each does, its source, and all of its settings."""

from __future__ import annotations

import inspect
from typing import Any

import perturb

from .commands import listed
from .markdown import code, escaped, table

HEADERS = ("setting", "default", "values", "what it does")


def methods() -> str:
    """A table of all methods, then a section each; settings that several methods share stand once, at the end."""
    every = listed("methods")
    shared = _shared(every)
    parts = [
        table(
            ("name", "what the map shows", "source"),
            [(f"[`{m['name']}`](#method-{m['name']})", m["summary"], m["citation"]) for m in every],
        )
    ]
    parts += [_method(method, shared) for method in every]
    parts += ["(shared-settings)=\n## Settings that several methods share", table(HEADERS, map(_row, shared.values()))]
    return "\n\n".join(parts)


def _shared(every: tuple[dict[str, Any], ...]) -> dict[str, dict[str, Any]]:
    """Settings that at least three methods have in common, word for word."""
    known = [setting for method in every for setting in method["settings"]]
    return {setting["name"]: setting for setting in known if known.count(setting) > 2}


def _method(method: dict[str, Any], shared: dict[str, dict[str, Any]]) -> str:
    own = [setting for setting in method["settings"] if shared.get(setting["name"]) != setting]
    common = [setting["name"] for setting in method["settings"] if shared.get(setting["name"]) == setting]
    parts = [f"(method-{method['name']})=\n## {method['title']}", f"`{method['name']}` · {method['summary']}"]
    parts += [escaped(part) for part in (inspect.getdoc(perturb.METHODS[method["name"]]) or "").split("\n\n")]
    parts.append(f"Source: {method['citation']}.")
    if own:
        parts.append(table(HEADERS, map(_row, own)))
    if common:
        also = "also " if own else ""
        parts.append(f"It {also}takes the [shared settings](#shared-settings) {', '.join(map(code, common))}.")
    return "\n\n".join(parts)


def _row(setting: dict[str, Any]) -> tuple[str, str, str, str]:
    values = setting["kind"]
    if "choices" in setting:
        values = ", ".join(map(code, setting["choices"]))
    elif "low" in setting:
        values = f"{setting['low']:g} to {setting['high']:g}"
    elif setting["kind"] == "colour":
        values = "`#rrggbb`"
    elif setting["kind"] == "layer":
        values = "name of a layer"
    default = code(setting["default"]) if setting["default"] != "" else "chosen by the method"
    return code(setting["name"]), default, values, setting["help"]


def fills() -> str:
    """A table of all fills."""
    rows = [(code(fill["name"]), fill["title"], fill["summary"], fill["citation"]) for fill in listed("fills")]
    return table(("name", "title", "what it shows", "source"), rows)
