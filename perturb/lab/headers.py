"""ASGI middleware for the app's server: security headers on every response, and no metrics for visitors.

Streamlit has no setting for either. `streamlit.App` takes the middleware, see `streamlit_app.py`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_INLINE_SCRIPT = re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", re.DOTALL | re.IGNORECASE)
_METRICS = "/_stcore/metrics"


def security_headers(page: str, frame_ancestors: str) -> dict[str, str]:
    """The headers of every response.

    Args:
        page: HTML of Streamlit's page; its inline scripts are allowed by their hashes.
        frame_ancestors: sites that may show the app in a frame, as in `HostLimits`.
    """
    hashes = (hashlib.sha256(script.encode()).digest() for script in _INLINE_SCRIPT.findall(page))
    scripts = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in hashes]
    ancestors = " ".join(f"'{word}'" if word.lower() in ("self", "none") else word for word in frame_ancestors.split())
    policy = {
        "default-src": "'none'",
        # Streamlit imports the JavaScript of an inline component from a blob that it creates itself.
        "script-src": " ".join(["'self'", "blob:", *scripts]),
        # Streamlit's widgets write style elements and attributes.
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "media-src": "'self' blob:",
        # A camera shot is read back from the data URL that the browser made of it.
        "connect-src": "'self' data: blob:",
        "manifest-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": ancestors,
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=()",
    }


class HardenedApp:
    """ASGI middleware that sets headers on every response and answers 404 where the metrics of the server would be.

    Args:
        app: what it wraps.
        headers: names and values. They replace headers of the same name.
    """

    def __init__(self, app: Application, headers: Mapping[str, str]) -> None:
        self._app = app
        self._headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
        self._names = {name for name, _ in self._headers}

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                kept = [(name, value) for name, value in message.get("headers", ()) if name.lower() not in self._names]
                message["headers"] = [*kept, *self._headers]
            await send(message)

        if scope["type"] == "http" and _METRICS in scope["path"]:
            await send_with_headers(
                {"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]}
            )
            await send_with_headers({"type": "http.response.body", "body": b""})
            return
        await self._app(scope, receive, send_with_headers)
