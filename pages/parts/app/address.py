"""Keep the address in step with the widgets where Streamlit's own binding (`bind="query-params"`) does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from urllib.parse import parse_qs

import streamlit as st
from streamlit.runtime.scriptrunner import StopException, get_script_run_ctx
from streamlit.runtime.scriptrunner_utils.script_run_context import ScriptRunContext
from streamlit.runtime.state.common import WidgetMetadata, user_key_from_element_id
from streamlit.runtime.state.query_params import parse_url_param

P = ParamSpec("P")
R = TypeVar("R")

# Set in a session once an address was written from here. Such a message can cross a change that the browser has just
# written, and would undo it. From then on every run sends the whole address; the browser ignores one it already has.
_WRITTEN = "address_written"


def keep(name: str) -> None:
    """Keep a value in the address when the page changes. Call it right after the widget, on every page.

    When the page changes, Streamlit removes from the address all values bound to widgets that the browser has not drawn
    yet. While the first page loads, that is the whole sidebar, so a link clicked then would lose its image.
    Only the server's record of the binding is dropped here; the browser keeps writing the widget's changes.
    The caller must remove the value (`forget`) where the widget is not drawn.
    """
    context = get_script_run_ctx()
    if context is None:
        return
    with context.session_state.query_params() as query:
        binding = query.get_binding_for_param(name)
        if binding is not None:
            query.unbind_widget(binding.widget_id)


def forget(name: str) -> None:
    """Remove a value from the address while its widget is not drawn."""
    keep(name)  # Streamlit refuses to remove a bound value
    st.query_params.pop(name, None)


def assign(name: str, value: int | str, default: int | str) -> None:
    """Set a widget's value before it is drawn, and write it to the address. Call it in a callback.

    Streamlit writes only the values of widgets that existed in the previous run.
    """
    st.session_state[name] = value
    if value != default:
        with suppress(st.errors.StreamlitAPIException):  # the widget existed, so Streamlit writes the value
            st.query_params[name] = str(value)


@contextmanager
def followed() -> Iterator[None]:
    """Context manager around a page's script: afterwards the address holds the page's settings.

    The browser writes a bound widget's changes by itself until the widget moves on the page, for example because an
    element above it was removed. Removing the old copy then unregisters the new one too.
    """
    try:
        yield
    except StopException:  # from `st.stop`; if the visitor ended the run, `_write` raises it again
        _write()
        raise
    _write()


def fragment(function: Callable[P, R]) -> Callable[P, R]:
    """`st.fragment` that also updates the address after a run of the fragment alone."""

    @wraps(function)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> R:
        result = function(*args, **kwargs)
        context = get_script_run_ctx()
        if context is not None and context.fragment_ids_this_run:
            _write()
        return result

    return st.fragment(drawn)


def settle() -> None:
    """Update `st.query_params` from the widgets drawn so far. The browser receives it at the end of the run."""
    context = get_script_run_ctx()
    if context is not None:
        _collect(context)


def _write() -> None:
    """Send the browser the address if it differs from the one it holds."""
    context = get_script_run_ctx()
    if context is None:
        return
    differs = _collect(context)
    with context.session_state.query_params() as query:
        if not context.fragment_ids_this_run:
            # Streamlit does this after the run, in a message of its own, which would add a step to the history.
            drawn = context.shared.widget_ids_this_run
            for binding in list(query._bindings_by_widget.values()):
                if binding.widget_id not in drawn:
                    query.unbind_widget(binding.widget_id)
                    differs |= query.discard_param_no_forward_msg(binding.param_key)
        if differs:
            st.session_state[_WRITTEN] = True
        if st.session_state.get(_WRITTEN):
            query._send_query_param_msg()


def _collect(context: ScriptRunContext) -> bool:
    """Write the values of the bound widgets drawn so far to the server's query. Returns whether the browser's differs."""
    held = parse_qs(context.query_string, keep_blank_values=True)  # as received, or as last sent
    differs = False
    with context.session_state.query_params() as query:
        state = context.session_state._state
        for widget_id in sorted(context.shared.widget_ids_this_run.snapshot()):
            metadata, name = state.get_widget_metadata(widget_id), user_key_from_element_id(widget_id)
            if metadata is None or name is None or metadata.bind != "query-params":
                continue
            wanted = _in_address(metadata, state[widget_id], held.get(name))
            differs |= wanted != held.get(name)
            if wanted is None:
                query.discard_param_no_forward_msg(name)
            else:
                query.set_with_no_forward_msg(name, wanted[0] if len(wanted) == 1 else wanted)
    return differs


def _in_address(metadata: WidgetMetadata[Any], value: Any, held: list[str] | None) -> list[str] | None:
    """A widget's value as written in the address; None for the default. An equivalent spelling in the address is kept."""
    if value == metadata.deserializer(None):
        return None
    if held is not None:
        with suppress(ValueError, TypeError, IndexError):
            if metadata.deserializer(parse_url_param(held, metadata.value_type)) == value:
                return held
    plain = metadata.serializer(value)
    if plain is None or plain == []:
        return [""] if metadata.clearable else None
    return [_word(each) for each in (plain if isinstance(plain, list | tuple) else [plain])]


def _word(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
