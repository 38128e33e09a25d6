"""Who a visitor is: a browser, with all of its tabs and after a reload."""

from __future__ import annotations

from binascii import Error, unhexlify

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

COOKIE = "_streamlit_xsrf"
"""Streamlit's own cookie. A host behind a proxy does not know addresses, and a classroom shares one."""


def visitor() -> str:
    """A name for the visitor of this script run: of the browser, or of the tab if it keeps no cookies."""
    return _browser(st.context.cookies.get(COOKIE, "")) or f"tab {_tab()}"


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
