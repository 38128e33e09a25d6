"""Line charts and colour bars as self-contained SVG without scripts, legible on white and on black."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from perturb.core.colour import colour_map

WIDTH, HEIGHT = 460, 250
LEFT, RIGHT, TOP, BOTTOM = 58, 20, 28, 40
STOPS = 33
Shape = tuple[str, dict[str, Any], str | None]
"""An element's tag, its attributes, and its text or None."""


def templates(folder: Path) -> Environment:
    """The Jinja2 templates of a folder. All inserted values are escaped, except `Markup`."""
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["base64"] = lambda data: b64encode(data).decode("ascii")
    return environment


TEMPLATES = templates(Path(__file__).parent)


@dataclass(frozen=True, eq=False)
class Line:
    """One line of a chart.

    Attributes:
        name: in the legend.
        x, y: the points, float `(n,)`.
        colour: as `#rrggbb`.
        dashed: whether it is dashed, so that lines differ by more than their colour.
        low, high: a band around the line, float `(n,)`; or None.
    """

    name: str
    x: npt.NDArray[Any]
    y: npt.NDArray[Any]
    colour: str
    dashed: bool = False
    low: npt.NDArray[Any] | None = None
    high: npt.NDArray[Any] | None = None


def line_chart(lines: Sequence[Line], *, alt: str, x_title: str, y_title: str) -> Markup:
    """A chart as SVG: x from 0 to 100 %, y from the lowest value or 0 to the highest or 1, with a legend above.

    Args:
        lines: at least one; x in [0, 1].
        alt: text alternative.
        x_title, y_title: of the axes.
    """
    every = [values for line in lines for values in (line.y, line.low, line.high) if values is not None]
    low = min(0.0, *(float(values.min()) for values in every))
    high = max(1.0, *(float(values.max()) for values in every))

    def at(x: float, y: float) -> tuple[float, float]:
        across = LEFT + x * (WIDTH - LEFT - RIGHT)
        return across, HEIGHT - BOTTOM - (y - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def path(x: npt.NDArray[Any], y: npt.NDArray[Any]) -> str:
        places = (at(float(a), float(b)) for a, b in zip(x, y, strict=True))
        return " ".join(f"{across:.1f},{down:.1f}" for across, down in places)

    shapes: list[Shape] = []
    for value in np.linspace(0.0, 1.0, 5) if low == 0 and high < 1.25 else np.linspace(low, high, 5):
        y = round(at(0, float(value))[1], 1)
        grid = {"x1": LEFT, "x2": WIDTH - RIGHT, "y1": y, "y2": y, "stroke": "currentColor", "opacity": ".15"}
        shapes += [("line", grid, None), _text(LEFT - 6, y + 4, f"{value:.2f}", anchor="end")]
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        shapes.append(_text(at(share, low)[0], HEIGHT - BOTTOM + 16, f"{share:.0%}"))
    place = float(LEFT)
    for line in lines:
        if line.low is not None and line.high is not None:
            band = f"{path(line.x, line.low)} {path(line.x[::-1], line.high[::-1])}"
            shapes.append(("polygon", {"points": band, "fill": line.colour, "opacity": ".25"}, None))
        stroke = {"fill": "none", "stroke": line.colour, "stroke-width": "2.2"}
        stroke |= {"stroke-dasharray": "6 4"} if line.dashed else {}
        shapes.append(("polyline", {"points": path(line.x, line.y)} | stroke, None))
        shapes.append(("line", {"x1": f"{place:.0f}", "x2": f"{place + 24:.0f}", "y1": 12, "y2": 12} | stroke, None))
        shapes.append(_text(place + 30, 16, line.name, anchor="start"))
        place += 48 + 6.2 * len(line.name)
    shapes.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_title))
    turned = f"translate(11 {(TOP + HEIGHT - BOTTOM) / 2:.0f}) rotate(-90)"
    shapes.append(_text(0, 0, y_title, transform=turned))
    return _svg(HEIGHT, alt, shapes)


def colour_bar(limit: float, unit: str, *, signed: bool) -> Markup:
    """A colour bar with five ticks as SVG: from −limit to limit for signed maps, from 0 for magnitudes."""
    low = -limit if signed else 0.0
    places = np.linspace(0.0, 1.0, STOPS)
    colours = colour_map((places * 2 - 1 if signed else places)[None], limit=1.0, signed=signed)[0].tolist()
    # Rectangles instead of an SVG gradient, which would need a unique identifier; a page has many bars.
    width = (WIDTH - 60) / STOPS
    shapes: list[Shape] = []
    for index, (r, g, b) in enumerate(colours):
        place = {"x": f"{30 + index * width:.2f}", "y": 2, "width": f"{width + 0.5:.2f}", "height": 14}
        shapes.append(("rect", place | {"fill": f"rgb({r},{g},{b})"}, None))
    ticks = [float(value) for value in np.linspace(low, limit, 5)]
    for index, tick in enumerate(ticks):
        shapes.append(_text(30 + index * (WIDTH - 60) / 4, 32, number(tick, signed=signed)))
    shapes.append(_text(WIDTH / 2, 48, unit))
    return _svg(54, f"Colour bar from {number(ticks[0])} to {number(ticks[-1])} {unit}", shapes)


def number(value: float, *, signed: bool = False) -> str:
    """Format a number with three significant digits and a true minus sign; with a plus sign too if `signed`."""
    text = f"{abs(value):.3g}"
    if float(text) == 0:
        return "0"
    return ("−" if value < 0 else "+" if signed else "") + text


def _text(x: float, y: float, text: str, anchor: str = "middle", **more: str) -> Shape:
    return "text", {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor} | more, text


def _svg(height: int, alt: str, shapes: Sequence[Shape]) -> Markup:
    drawing = TEMPLATES.get_template("drawing.svg.jinja")
    return Markup(drawing.render(width=WIDTH, height=height, alt=alt, shapes=shapes))
