"""A four-step guide for visitors who arrive without a link. Once dismissed, it stays hidden for the session."""

from __future__ import annotations

import streamlit as st

STEPS = (
    ":material/image: **Choose an image** in the sidebar: a drawn street or your own photographs.",
    ":material/ads_click: **Choose what to explain** on a page: a class such as car, or a part of it that you click.",
    ":material/play_arrow: **Run.** The map is red where the image supports the class, and blue where it speaks against it.",
    ":material/balance: **Check it.** The curves next to the map test it against a random order of the pixels. The address "
    "of the page is a link to what you see.",
)


def show() -> None:
    """Show the steps on the first page of a session, unless it was opened by a link or they were dismissed."""
    state = st.session_state
    if "guide_page" not in state:
        # A link with settings should show its result at once, without a guide above it.
        state["guide_page"] = None if st.query_params else state["page"]
    if state["guide_page"] != state["page"]:
        return
    with st.container(border=True, key="guide"):
        *columns, last = st.columns((3,) * len(STEPS) + (1.6,), vertical_alignment="center")
        for column, step in zip(columns, STEPS, strict=True):
            column.caption(step)
        last.button("Got it", key="guide_done", on_click=_dismiss, help="Hide this box for the rest of the session.")


def _dismiss() -> None:
    st.session_state["guide_page"] = None
