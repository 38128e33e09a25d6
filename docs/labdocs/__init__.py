"""Generated parts of the pages: tables from the registries, the API reference, the options of the command line, the gallery.

A page asks for one with a comment on a line of its own, such as `<!-- generated: methods -->`, which is replaced before the
page is parsed. What is registered therefore appears by itself, and a page also reads well where nothing is generated.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from .cards import metrics, samples, segmenters
from .commands import command_line
from .gallery import gallery
from .hosting import host_settings
from .names import api
from .parameters import fills, methods

GENERATORS: dict[str, Callable[[Sphinx], str]] = {
    "api": lambda _: api(),
    "command-line": lambda _: command_line(),
    "fills": lambda _: fills(),
    "gallery": lambda app: gallery(app.config.lab_url),
    "host-settings": lambda _: host_settings(),
    "methods": lambda _: methods(),
    "metrics": lambda _: metrics(),
    "samples": lambda _: samples(),
    "segmenters": lambda _: segmenters(),
}
MARK = re.compile(r"^<!-- generated: ([a-z-]+) -->$", re.MULTILINE)


def _fill_in(app: Sphinx, docname: str, source: list[str]) -> None:
    def generated(found: re.Match[str]) -> str:
        if found[1] not in GENERATORS:
            raise ExtensionError(f"{docname} asks for '{found[1]}'; expected one of {', '.join(GENERATORS)}.")
        return GENERATORS[found[1]](app)

    source[0] = MARK.sub(generated, source[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the hook with Sphinx."""
    app.add_config_value("lab_url", "http://localhost:8501", "env", str)
    app.connect("source-read", _fill_in)
    return {"parallel_read_safe": True}
