"""What the server of the app adds to Streamlit's: security headers on all routes, and a log. Imported once, when the server starts."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from streamlit import file_util

from perturb.core.errors import SettingError
from perturb.lab.headers import HardenedApp, security_headers
from perturb.lab.limits import host_limits


def log() -> None:
    """Write the log of the app to standard error, unless the host has set up logging."""
    logger = logging.getLogger("perturb.lab")
    logger.setLevel(logging.INFO)
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
        logger.addHandler(handler)


def middleware() -> list[Middleware]:
    """The middleware around all of Streamlit's routes."""
    return [Middleware(HardenedApp, headers=_headers())]


def exception_handlers() -> dict[Any, Callable[[Request, Exception], PlainTextResponse]]:
    """Starlette answers an exception outside all middleware, so that this answer needs the headers, too."""
    headers = _headers()
    return {Exception: lambda *_: PlainTextResponse("Internal Server Error", status_code=500, headers=headers)}


def _headers() -> dict[str, str]:
    page = Path(file_util.get_static_dir()) / "index.html"
    try:
        return security_headers(page.read_text(encoding="utf-8"), host_limits().frame_ancestors)
    except SettingError as error:
        raise SystemExit(f"error: {error}") from None  # the server has not started yet
