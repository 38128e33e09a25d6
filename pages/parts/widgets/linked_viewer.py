"""Pictures of one scene under one eye: zoomed and moved together, or two of them under a slider that swaps them.

All pictures have the same number of pixels and take the same transformation, so a pixel of one lies where it lies in the
others. The component keeps zoom, place and slider itself: looking around runs no script.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from pages.parts.widgets.components import component


@dataclass(frozen=True)
class View:
    """One image of a linked viewer.

    Attributes:
        title: stands above it.
        png: the bytes of a PNG.
        alt: what it shows, in words.
        below: HTML that stands under it, such as a colour bar. Made by the lab: it is not escaped.
    """

    title: str
    png: bytes
    alt: str
    below: str = ""


_PANORAMA = component(__file__)


def linked_viewer(
    views: Sequence[View],
    *,
    width: int,
    height: int,
    key: str,
    swap: bool = False,
    focus: tuple[float, float] | None = None,
) -> None:
    """Show pictures of one scene, beside each other or two of them under a slider.

    The wheel, a pinch, a double click, the buttons and the keys + − 0 zoom all of them; a drag and the arrow keys move
    them.

    Args:
        views: of `width` × `height` pixels each; exactly two for the slider.
        width, height: of every picture, in pixels.
        key: of the component; must not contain a double underscore.
        swap: lay the first over the second, up to a slider that the visitor moves.
        focus: x and y, in pixels, of what the first press of + goes to; by default the middle.
    """
    told = [
        {
            "title": view.title,
            "src": "data:image/png;base64," + b64encode(view.png).decode("ascii"),
            "alt": view.alt,
            "below": view.below,
        }
        for view in views
    ]
    _PANORAMA(key=key, data={"width": width, "height": height, "views": told, "swap": swap, "focus": focus})
