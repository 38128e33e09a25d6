"""Who a visitor is: a browser, with all of its tabs and after a reload; and whether it is on the server itself."""

from __future__ import annotations

from binascii import Error, unhexlify
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

COOKIE = "_streamlit_xsrf"
"""Streamlit's own cookie. A host behind a proxy does not know addresses, and a classroom shares one."""


def visitor() -> str:
    """A name for the visitor of this script run: of the browser, or of the tab if it keeps no cookies."""
    return _browser(st.context.cookies.get(COOKIE, "")) or f"tab {_tab()}"


def on_the_server() -> bool:
    """Whether this visit comes from the machine of the server, as far as that can be known."""
    headers = st.context.headers
    return is_local(st.get_option("server.address"), headers.get("Host", ""), headers)


def is_local(address: str | None, host: str, headers: Iterable[str]) -> bool:
    """Whether a request was made on the machine of the server.

    Args:
        address: that the server listens at.
        host: that the request names.
        headers: names of the request's headers. A proxy on the machine adds some, and passes on requests of others.
    """
    try:
        named = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    forwarded = any(name.lower() in _FORWARDED for name in headers)
    return _loopback(address or "") and _loopback(named) and not forwarded


_FORWARDED = {"forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"}


def _loopback(address: str) -> bool:
    try:
        return address == "localhost" or ip_address(address).is_loopback
    except ValueError:
        return False


def _tab() -> str:
    context = get_script_run_ctx()
    return "" if context is None else context.session_id


def _browser(cookie: str) -> str:
    """The token in the cookie; empty if there is none. Its value changes, as the token is masked anew for each tab."""
    try:
        version, mask, token, _ = cookie.strip("\"'").split("|")
        key, hidden = unhexlify(mask), unhexlify(token)
    except (ValueError, Error):
        return ""
    if version != "2" or len(key) != 4 or not 8 <= len(hidden) <= 64:
        return ""
    return "browser " + bytes(byte ^ key[index % 4] for index, byte in enumerate(hidden)).hex()
