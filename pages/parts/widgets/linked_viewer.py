"""A viewer for several images of one scene: they zoom and move together, or two of them are swapped by a slider.

All images have the same size and the same transformation, so corresponding pixels stay aligned. The component keeps zoom,
position and slider itself, so viewing triggers no script run.
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
        title: shown above it.
        png: the bytes of a PNG.
        alt: alternative text.
        below: HTML shown below it, such as a colour bar. It is not escaped, so it must be made by the lab.
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
    """Show images of one scene, side by side or two of them with a swap slider.

    Wheel, pinch, double click, buttons and the keys + − 0 zoom all images. A drag and the arrow keys move them.

    Args:
        views: of `width` × `height` pixels each; exactly two for the slider.
        width, height: of every image, in pixels.
        key: of the component; must not contain a double underscore.
        swap: show the first left of a slider and the second right of it.
        focus: x and y, in pixels, that the first press of + zooms to; by default the centre.
    """
    described = [
        {
            "title": view.title,
            "src": "data:image/png;base64," + b64encode(view.png).decode("ascii"),
            "alt": view.alt,
            "below": view.below,
        }
        for view in views
    ]
    _PANORAMA(key=key, data={"width": width, "height": height, "views": described, "swap": swap, "focus": focus})
