"""How to read the lab, in four steps, for whoever comes without a link; dismissed once, it stays away for the visit."""

from __future__ import annotations

import streamlit as st

STEPS = (
    ":material/image: **Choose a picture** in the sidebar: a drawn street, or photographs of your own.",
    ":material/ads_click: **Choose what to explain** on a page: a class such as car, all of it or a part you click.",
    ":material/play_arrow: **Run.** Parts are hidden one after the other; red is what the class needs, blue what stands in "
    "its way.",
    ":material/balance: **Doubt it.** The curves beside the map say whether it beats chance. Any setting can be changed, "
    "and the address is a link to what you see.",
)


def show() -> None:
    """The steps, on the page where a visit begins, unless it begins with a link or they were dismissed."""
    state = st.session_state
    if "guide_page" not in state:
        # Whoever follows a link came to see something; an address without settings is an arrival.
        state["guide_page"] = None if st.query_params else state["page"]
    if state["guide_page"] != state["page"]:
        return
    with st.container(border=True, key="guide"):
        *columns, last = st.columns((3,) * len(STEPS) + (1.6,), vertical_alignment="center")
        for column, step in zip(columns, STEPS, strict=True):
            column.caption(step)
        last.button(
            "Got it", key="guide_done", on_click=_dismiss, help="Takes this box away for the rest of the visit."
        )


def _dismiss() -> None:
    st.session_state["guide_page"] = None
