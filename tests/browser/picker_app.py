"""The smallest app around the picker, for `test_picker.py`: bound number inputs are the state, picks write them."""

import json
from io import BytesIO

import numpy as np
import streamlit as st
from PIL import Image

from pages.parts.widgets.region_picker import Pick, region_picker

W, H = 97, 61  # not square, and no multiple of anything


def test_card() -> bytes:
    y, x = np.mgrid[0:H, 0:W]
    pixels = np.stack([x * 255 // W, y * 255 // H, 90 + 60 * ((x + y) % 2)], axis=-1).astype(np.uint8)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def write(pick: Pick) -> None:
    for name in ("x0", "y0", "x1", "y1"):
        st.session_state[f"pick_{name}"] = getattr(pick, name)
    st.session_state.setdefault("picks", []).append(pick)


st.session_state["runs"] = st.session_state.get("runs", 0) + 1
view = st.number_input("Width of the image on the screen", 10, 2000, 388, key="pick_view", bind="query-params")
cells = st.checkbox("Cells", key="pick_cells", bind="query-params")

# Where the inputs stand on the page does not matter: the picker's callback has run before either is made.
# A container, as `st.empty` would take the picker away for a moment in each run, and the focus with it.
place = st.container(width=int(view))
state = st.session_state
with st.container(horizontal=True):
    # Seeded by their default, the minimum, and by nothing else: a default in `session_state` would win over a link
    # that asks for the minimum, because a value equal to the widget's own default is left out of the URL.
    x0 = st.number_input("x0", 0, W - 1, key="pick_x0", bind="query-params")
    y0 = st.number_input("y0", 0, H - 1, key="pick_y0", bind="query-params")
    x1 = st.number_input("x1", 1, W, key="pick_x1", bind="query-params")
    y1 = st.number_input("y1", 1, H, key="pick_y1", bind="query-params")
with place:
    returned = region_picker(
        test_card(),
        width=W,
        height=H,
        alt="A test card",
        key="picker",
        box=(x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None,
        outline_label="region",
        cell=(10, 8) if cells else None,
        on_pick=write,
    )
st.button("Run again")

told = {"runs": state.runs, "picks": [[p.kind, p.x0, p.y0, p.x1, p.y1] for p in state.get("picks", [])]}
told["nonces"] = len({p.nonce for p in state.get("picks", [])})
told["returned"] = returned and [returned.kind, returned.x0, returned.y0, returned.x1, returned.y1]
told["state"] = [x0, y0, x1, y1]
st.text(json.dumps(told))
