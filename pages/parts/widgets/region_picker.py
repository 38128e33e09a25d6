"""An image to pick from: a click picks a pixel, a drag a box, and in cell mode a click picks a cell.

The picker has no state. Number inputs bound to the URL are the state, because links, keyboards and tests can all set
them. The picker only sets those inputs, in `on_pick`, which runs before the inputs are drawn again:

    def write(pick: Pick) -> None:
        st.session_state["occ_x"], st.session_state["occ_y"] = pick.x0, pick.y0

    region_picker(png, width=w, height=h, alt="…", key="occ_picker", box=(x, y, x + 1, y + 1), on_pick=write)
    st.number_input("x", 0, w - 1, key="occ_x", bind="query-params")
"""

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import streamlit as st

from pages.parts.widgets.components import component

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Pick:
    """One pick, in image pixels: the half-open rectangle [x0, x1) × [y0, y1). A pixel has x1 = x0 + 1, y1 = y0 + 1.

    `nonce` differs between any two picks of a browser tab, so the same pixel picked twice is two different picks.
    """

    kind: Literal["pixel", "box", "cell"]
    x0: int
    y0: int
    x1: int
    y1: int
    nonce: str


_PICKER = component(__file__)


def region_picker(
    png: bytes,
    *,
    width: int,
    height: int,
    alt: str,
    key: str,
    box: Box | None = None,
    outline_label: str = "",
    cell: tuple[int, int] | None = None,
    on_pick: Callable[[Pick], None] | None = None,
) -> Pick | None:
    """Show an image at its true aspect ratio, as wide as its container, and let the visitor pick from it.

    `png` holds the bytes of a PNG, `width` and `height` its pixels. `box` is drawn as an outline, with `outline_label`
    as its name. With `cell=(w, h)` the image is a grid of cells of that many pixels, counted from the upper left, and
    only whole cells can be picked. `key` must not contain a double underscore. The picker cannot be used in a form. In an
    `st.empty` that each run fills again it loses the keyboard focus; in a container it keeps it.

    Returns the pick that caused this run, or None: a pick is an event, so any later rerun returns None. `on_pick` gets
    the same pick before the script runs, and may set widgets of the page. Use one of the two.

    Picks come from a browser: they are clipped to the image, and invalid ones are None.
    """
    data = {
        "src": "data:image/png;base64," + b64encode(png).decode("ascii"),
        "width": width,
        "height": height,
        "alt": alt,
        "box": box,
        "label": outline_label,
        "cell": cell,
    }

    def picked() -> None:
        pick = _read(st.session_state[key].get("pick"), width, height)
        if pick is not None and on_pick is not None:
            on_pick(pick)

    return _read(_PICKER(key=key, data=data, on_pick_change=picked).get("pick"), width, height)


def _read(raw: object, width: int, height: int) -> Pick | None:
    if not isinstance(raw, Mapping):
        return None
    values: Mapping[str, Any] = raw
    kind, nonce = values.get("kind"), values.get("nonce")
    corners: list[Any] = [values.get(name) for name in ("x0", "y0", "x1", "y1")]
    if kind not in ("pixel", "box", "cell") or not all(type(corner) is int for corner in corners):
        return None
    x0, y0 = max(0, corners[0]), max(0, corners[1])
    x1, y1 = min(width, corners[2]), min(height, corners[3])
    return Pick(kind, x0, y0, x1, y1, str(nonce)) if x0 < x1 and y0 < y1 else None
