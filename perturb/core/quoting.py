"""Text that a stranger wrote, quoted for where it is pasted: one function for each language.

Class names come from the metadata of network files, image names from uploads. Whatever puts such text into Python or
shell code, HTML, Markdown, a CSV cell, a JSON file or a file name goes through this module, so that text stays text.
"""

from __future__ import annotations

import html
import json
import math
import re
import shlex
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

FILE_NAME_BYTES = 120
"""Longest stem of a file name in UTF-8. File systems allow 255 bytes, some archivers and paths on Windows less."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_FORMULA = re.compile(r"'|\s*[=+\-@＝＋－＠]|[\t\r\n]")
_RESERVED = re.compile(r"(con|prn|aux|nul|conin|conout|(com|lpt)[0-9¹²³])(\..*)?", re.IGNORECASE)
_ACTIVE = re.compile(r"([\\`*_\[\]<>&~$|{}])")
_FIRST = re.compile(r"^([#+=-]|\d+(?=[.)](?: |$)))")
_JOINED = re.compile(r"(:(?=\S)|@|www(?=\.))", re.IGNORECASE)


def python_literal(value: Any) -> str:
    """A Python expression that gives the value back, on one line and in printable characters only.

    Args:
        value: text, a number, a truth value, None, or lists, tuples and dicts of these.

    Raises:
        TypeError: anything else, whose `repr` need not be an expression.
    """
    if isinstance(value, str):
        # Double quotes as in the rest of the code. The apostrophe in front makes `repr` choose them.
        return repr(value) if '"' in value else '"' + repr("'" + str(value))[2:]
    if value is None or isinstance(value, bool | int):
        return repr(value)
    if isinstance(value, float):
        return repr(float(value)) if math.isfinite(value) else f'float("{float(value)}")'
    if isinstance(value, list):
        return f"[{', '.join(map(python_literal, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(python_literal, value))}{',' * (len(value) == 1)})"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{python_literal(k)}: {python_literal(v)}' for k, v in value.items())}}}"
    raise TypeError(f"No literal for a {type(value).__name__}: expected text, numbers, lists, tuples or dicts.")


def shell_line(words: Iterable[str]) -> str:
    """One command for a POSIX shell that receives exactly these words.

    Unprintable characters become U+FFFD: a terminal acts on them while they are pasted, whatever quotes surround them.
    """
    return shlex.join("".join(letter if letter.isprintable() else "\ufffd" for letter in word) for word in words)


def join_names(names: Sequence[str]) -> str:
    """Class names as `--classes` reads them back: with commas between them, or as JSON where these would not do."""
    text = ",".join(names)
    plain = all(name and name == name.strip() and "," not in name for name in names)
    return text if plain and text.isprintable() and not text.startswith("[") else json.dumps(names)


def html_text(text: str) -> str:
    """Text for HTML or SVG, between tags and in quoted attributes; what UTF-8 cannot encode becomes U+FFFD."""
    return html.escape(encodable(text), quote=True)


def csv_cell(value: Any) -> Any:
    """A value for `csv.writer` that no spreadsheet takes for a formula; numbers stay numbers.

    Text that begins like a formula gets an apostrophe in front, and so does text that begins with an apostrophe.
    Whoever reads the file gets the text back by taking one leading apostrophe away.
    """
    if not isinstance(value, str):
        return value
    text = encodable(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def file_name(text: str, suffix: str = "", *, otherwise: str = "untitled") -> str:
    """A file name that every file system takes, and that is neither hidden nor leads elsewhere.

    Args:
        text: what to call it. Letters, digits, points and underscores stay; each run of anything else becomes a hyphen.
        suffix: appended as it is, such as ".zip".
        otherwise: its name where nothing of the text can stay.

    Returns:
        at most `FILE_NAME_BYTES` bytes of UTF-8 and the suffix.
    """
    kept = "".join(letter if _in_file_name(letter) else "-" for letter in unicodedata.normalize("NFC", text))
    stem = re.sub("-+", "-", kept).encode()[:FILE_NAME_BYTES].decode(errors="ignore").strip("-.")
    # Windows opens a device under these names, with any suffix.
    return ("_" if _RESERVED.fullmatch(stem) else "") + (stem or otherwise) + suffix


def _in_file_name(letter: str) -> bool:
    return letter in "._" or unicodedata.category(letter)[0] in "LMN"


def markdown_text(text: str) -> str:
    """Text for Markdown as Streamlit shows it: no markup, links, images, formulas, icons or colours come of it.

    Invisible word joiners break what is recognised even behind a backslash: addresses and `:names:`.
    """
    flat = _ACTIVE.sub(r"\\\1", " ".join(encodable(text).split()))
    flat = _FIRST.sub(lambda found: found[1] + "\\" if found[1].isdecimal() else "\\" + found[1], flat)
    return _JOINED.sub("\\1\u2060", flat)


def json_file(value: Any) -> bytes:
    """Plain data as an indented JSON file in UTF-8; any text comes back as it was."""
    # Half of a surrogate pair is no UTF-8; with a backslash it is JSON's own escape.
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode(errors="backslashreplace")


def encodable(text: str) -> str:
    """The text with U+FFFD in place of what UTF-8 cannot encode."""
    return _SURROGATE.sub("\ufffd", text)
