"""Markdown from plain data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def cell(text: object) -> str:
    """Text for a cell of a table."""
    return str(text).replace("|", "\\|").replace("\n", " ").strip() or " "


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; its cells are Markdown."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines)


def code(text: object) -> str:
    """Text as code."""
    return f"`{text}`" if str(text) else ""


def escaped(text: str) -> str:
    """Plain text that Markdown would otherwise take for markup: formulas with `*`, `_` or `<`."""
    return "".join("\\" + letter if letter in "\\`*_{}[]<>#$~|" else letter for letter in text)
