"""What the address bar must hold beyond what Streamlit puts there by itself (`bind="query-params"`)."""

from __future__ import annotations

from contextlib import suppress

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx


def keep(name: str) -> None:
    """Leave a value in the address on the way to another page; to be called right after its widget, on every page.

    When the page changes, Streamlit removes from the address whatever is bound to a widget that the browser has not
    drawn yet. While a first page loads that is the whole sidebar, so a link that is pressed then would lose its image.
    Only the server's note of the binding is dropped here: the browser goes on writing the widget's changes.
    Whoever calls this must remove the value (`forget`) where the widget is not drawn.
    """
    context = get_script_run_ctx()
    if context is None:
        return
    with context.session_state.query_params() as query:
        binding = query.get_binding_for_param(name)
        if binding is not None:
            query.unbind_widget(binding.widget_id)


def forget(name: str) -> None:
    """Remove a value from the address whose widget is not drawn."""
    keep(name)  # Streamlit refuses to remove what it knows as bound
    st.query_params.pop(name, None)


def assign(name: str, value: int | str, default: int | str) -> None:
    """Give a widget a value before it is drawn, and write it to the address; to be called in a callback.

    Streamlit writes only the values of widgets that were there in the run before.
    """
    st.session_state[name] = value
    if value != default:
        with suppress(st.errors.StreamlitAPIException):  # it was there, so Streamlit writes it
            st.query_params[name] = str(value)
