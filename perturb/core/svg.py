"""Line charts and colour bars as SVG, for documents that stand alone: no scripts, readable on white and on black."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from perturb.core.colour import colour_map
from perturb.core.quoting import html_text

WIDTH, HEIGHT = 460, 250
LEFT, RIGHT, TOP, BOTTOM = 58, 20, 28, 40
STOPS = 33


@dataclass(frozen=True, eq=False)
class Line:
    """One line of a chart.

    Attributes:
        name: in the legend.
        x, y: its points, float `(n,)`.
        colour: as `#rrggbb`.
        dashed: so that lines differ by more than their colour.
        low, high: a band around it, float `(n,)`; or None.
    """

    name: str
    x: npt.NDArray[Any]
    y: npt.NDArray[Any]
    colour: str
    dashed: bool = False
    low: npt.NDArray[Any] | None = None
    high: npt.NDArray[Any] | None = None


def line_chart(lines: Sequence[Line], *, alt: str, x_title: str, y_title: str) -> str:
    """A chart as SVG: x from 0 to 100 %, y from the lowest value or 0 to the highest or 1, with a legend above.

    Args:
        lines: at least one; x in [0, 1].
        alt: what it shows, in words.
        x_title, y_title: of the axes.
    """
    every = [values for line in lines for values in (line.y, line.low, line.high) if values is not None]
    low = min(0.0, *(float(values.min()) for values in every))
    high = max(1.0, *(float(values.max()) for values in every))

    def at(x: float, y: float) -> str:
        across = LEFT + x * (WIDTH - LEFT - RIGHT)
        return f"{across:.1f},{HEIGHT - BOTTOM - (y - low) / (high - low) * (HEIGHT - TOP - BOTTOM):.1f}"

    def path(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> str:
        return " ".join(at(float(a), float(b)) for a, b in zip(x, y, strict=True))

    parts = []
    for value in np.linspace(0.0, 1.0, 5) if low == 0 and high < 1.25 else np.linspace(low, high, 5):
        y = at(0, float(value)).split(",")[1]
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="currentColor" opacity=".15"/>')
        parts.append(_text(LEFT - 6, float(y) + 4, f"{value:.2f}", anchor="end"))
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(_text(float(at(share, low).split(",")[0]), HEIGHT - BOTTOM + 16, f"{share:.0%}"))
    place = float(LEFT)
    for line in lines:
        dash = ' stroke-dasharray="6 4"' if line.dashed else ""
        if line.low is not None and line.high is not None:
            band = f"{path(line.x, line.low)} {path(line.x[::-1], line.high[::-1])}"
            parts.append(f'<polygon points="{band}" fill="{line.colour}" opacity=".25"/>')
        stroke = f'fill="none" stroke="{line.colour}" stroke-width="2.2"{dash}'
        parts.append(f'<polyline points="{path(line.x, line.y)}" {stroke}/>')
        parts.append(f'<line x1="{place:.0f}" x2="{place + 24:.0f}" y1="12" y2="12" {stroke}/>')
        parts.append(_text(place + 30, 16, line.name, anchor="start"))
        place += 48 + 6.2 * len(line.name)
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_title))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    turned = f'<g transform="translate(11 {middle:.0f}) rotate(-90)">{_text(0, 0, y_title)}</g>'
    return _svg(WIDTH, HEIGHT, alt, "".join([*parts, turned]))


def colour_bar(limit: float, unit: str, *, signed: bool) -> str:
    """A colour bar with five numbers as SVG: from −limit for signed maps, from 0 for sizes."""
    low = -limit if signed else 0.0
    places = np.linspace(0.0, 1.0, STOPS)
    colours = colour_map((places * 2 - 1 if signed else places)[None], limit=1.0, signed=signed)[0].tolist()
    # Side by side and not as a gradient: a gradient needs an identifier, and a page has many bars.
    width = (WIDTH - 60) / STOPS
    cells = "".join(
        f'<rect x="{30 + index * width:.2f}" y="2" width="{width + 0.5:.2f}" height="14" fill="rgb({r},{g},{b})"/>'
        for index, (r, g, b) in enumerate(colours)
    )
    ticks = np.linspace(low, limit, 5)
    numbers = "".join(
        _text(30 + index * (WIDTH - 60) / 4, 32, number(float(value), signed=signed))
        for index, value in enumerate(ticks)
    )
    name = f"Colour bar from {number(float(ticks[0]))} to {number(float(ticks[-1]))} {unit}"
    return _svg(WIDTH, 54, name, cells + numbers + _text(WIDTH / 2, 48, unit))


def number(value: float, *, signed: bool = False) -> str:
    """Three digits, a true minus sign, and a plus where signs matter."""
    text = f"{abs(value):.3g}"
    if float(text) == 0:
        return "0"
    return ("−" if value < 0 else "+" if signed else "") + text


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html_text(text)}</text>'


def _svg(width: int, height: int, alt: str, inside: str) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{html_text(alt)}" font-size="12" '
        f'fill="currentColor">{inside}</svg>'
    )
