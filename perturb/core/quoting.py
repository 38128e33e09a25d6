"""Quote untrusted text for the language it is inserted into: one function for each language.

Class names come from the metadata of network files, image names from uploads. All code that puts such text into Python
or shell code, HTML, Markdown, a CSV cell, a JSON file or a file name uses this module, so that it is never interpreted.
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
"""Longest stem of a file name, in bytes of UTF-8. File systems allow 255; some archivers and Windows paths allow
less."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_FORMULA = re.compile(r"'|\s*[=+\-@＝＋－＠]|[\t\r\n]")
_RESERVED = re.compile(r"(con|prn|aux|nul|conin|conout|(com|lpt)[0-9¹²³])(\..*)?", re.IGNORECASE)
_ACTIVE = re.compile(r"([\\`*_\[\]<>&~$|{}])")
_FIRST = re.compile(r"^([#+=-]|\d+(?=[.)](?: |$)))")
_JOINED = re.compile(r"(:(?=\S)|@|www(?=\.))", re.IGNORECASE)


def python_literal(value: Any) -> str:
    """A Python expression that evaluates to the value, on one line and in printable characters only.

    Args:
        value: a string, a number, a bool, None, or lists, tuples and dicts of these.

    Raises:
        TypeError: any other type, whose `repr` need not be an expression.
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

    Unprintable characters become U+FFFD: when pasted, a terminal acts on them even within quotes.
    """
    return shlex.join("".join(letter if letter.isprintable() else "\ufffd" for letter in word) for word in words)


def shell_option(option: str, value: str) -> tuple[str, ...]:
    """An option and its value as words of a command; one word if the value would otherwise be parsed as an option."""
    return (f"{option}={value}",) if value.startswith("-") else (option, value)


def class_list(names: Sequence[str]) -> str:
    """Class names as one word of a command: separated by commas, or as JSON if a name contains a comma or the like."""
    text = ",".join(names)
    plain = text.isprintable() and all(name and name == name.strip() and "," not in name for name in names)
    return text if plain and not text.startswith("[") else json.dumps(list(names))


def html_text(text: str) -> str:
    """Escape text for HTML or SVG, between tags and in quoted attributes. What UTF-8 cannot encode becomes U+FFFD."""
    return html.escape(encodable(text), quote=True)


def csv_cell(value: Any) -> Any:
    """A value for `csv.writer` that no spreadsheet reads as a formula. Numbers stay numbers.

    Text that begins like a formula, or with an apostrophe, gets an apostrophe in front.
    To get the original text, remove one leading apostrophe.
    """
    if not isinstance(value, str):
        return value
    text = encodable(value)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def file_name(text: str, suffix: str = "", *, otherwise: str = "untitled") -> str:
    """A file name that is valid on every file system, not hidden, and without path separators.

    Args:
        text: the wanted name. Letters, digits, dots and underscores are kept; each run of other characters becomes a
            hyphen.
        suffix: appended unchanged, such as ".zip".
        otherwise: the name if no character of the text can be kept.

    Returns:
        At most `FILE_NAME_BYTES` bytes of UTF-8, plus the suffix.
    """
    kept = "".join(letter if _in_file_name(letter) else "-" for letter in unicodedata.normalize("NFC", text))
    stem = re.sub("-+", "-", kept).encode()[:FILE_NAME_BYTES].decode(errors="ignore").strip("-.")
    # Windows reserves these names for devices, with any suffix.
    return ("_" if _RESERVED.fullmatch(stem) else "") + (stem or otherwise) + suffix


def _in_file_name(letter: str) -> bool:
    return letter in "._" or unicodedata.category(letter)[0] in "LMN"


def markdown_text(text: str) -> str:
    """Escape text for Streamlit's Markdown, so that it contains no markup, links, images, formulas, icons or colours.

    Addresses and `:names:` are recognized even after a backslash; an invisible word joiner breaks them.
    """
    flat = _ACTIVE.sub(r"\\\1", " ".join(encodable(text).split()))
    flat = _FIRST.sub(lambda found: found[1] + "\\" if found[1].isdecimal() else "\\" + found[1], flat)
    return _JOINED.sub("\\1\u2060", flat)


def json_file(value: Any) -> bytes:
    """Plain data as an indented JSON file in UTF-8. Any string survives the round trip."""
    # UTF-8 cannot encode half of a surrogate pair; the backslash replacement is JSON's own escape.
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode(errors="backslashreplace")


def encodable(text: str) -> str:
    """The text with U+FFFD for what UTF-8 cannot encode."""
    return _SURROGATE.sub("\ufffd", text)
