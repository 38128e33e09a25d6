"""Images, colour bars, legends and charts that pages share. Images are PNG, because JPEG would distort heat maps."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

from pages.parts.app.elements import number, percent, swatch
from perturb.core.colour import MAGNITUDE, SIGNED, colour_map, limit_of, outline
from perturb.core.quoting import html_text
from perturb.metrics.curves import Curves
from perturb.targets.target import shares

MAP_COLOUR = "#c2410c"
CONTROL_COLOUR = "#8a8f98"
_ENTRY = "display:inline-flex;align-items:center;gap:.3rem;max-width:100%;white-space:nowrap"
# A name may be any text of a visitor's file. Its end is cut off here and shown in the tooltip.
_NAME = "max-width:14rem;overflow:hidden;text-overflow:ellipsis"


def framed(canvas: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """The image with a mask outlined in white and black, so that the line is visible on any background."""
    return outline(outline(canvas, mask, (20, 20, 20), width=2), mask, (255, 255, 255))


def colour_bar(limit: float, unit: str, *, signed: bool, used: tuple[float, float] | None = None) -> None:
    """A numeric colour bar; see `bar_html`."""
    st.html(bar_html(limit, unit, signed=signed, used=used))


def ends(values: npt.NDArray[Any], limit: float, *, signed: bool) -> str:
    """The range of a colour scale for a caption: `± 0.3`, or `0 to 0.3 and more` if values are clipped."""
    text = f"± {number(limit)}" if signed else f"0 to {number(limit)}"
    return text + (" and more" if limit < limit_of(values) else "")


def bar_html(limit: float, unit: str, *, signed: bool, used: tuple[float, float] | None = None) -> str:
    """A numeric colour bar as HTML, with zero in the middle for signed maps and at the left for magnitudes.

    Args:
        limit: the value at its right end.
        unit: written below it.
        signed: whether it goes from −limit or from 0.
        used: the lowest and highest value in the map; the bar is striped outside. None for the whole range.
    """
    low = -limit if signed else 0.0
    first, last = (0.0, 1.0) if used is None or limit <= 0 else ((value - low) / (limit - low) for value in used)
    places = np.linspace(0, 1, 21)
    colours = colour_map((places * 2 - 1 if signed else places)[None], limit=1.0, signed=signed)[0].tolist()
    stops = ",".join(f"rgb({r},{g},{b}) {place:.0%}" for place, (r, g, b) in zip(places.tolist(), colours, strict=True))
    stripes = "repeating-linear-gradient(135deg,#999 0 3px,#ddd 3px 6px)"
    layers = [
        f"{stripes} {side} / {share:.1%} 100% no-repeat"
        for side, share in (("left", max(0.0, first)), ("right", max(0.0, 1 - last)))
        if share >= 0.005
    ]
    layers.append(f"linear-gradient(90deg,{stops})")
    if len(layers) > 1:
        unit += " · striped: outside the range of the map"
    ticks = np.linspace(low, limit, 5)
    labels = "".join(f"<span>{number(value, signed=signed)}</span>" for value in ticks)
    name = f"{SIGNED if signed else MAGNITUDE} colour bar from {number(ticks[0])} to {number(ticks[-1])} {unit}"
    if (first, last) != (0.0, 1.0) and used is not None:
        name += f"; used from {number(used[0])} to {number(used[1])}"
    return (
        f"<div role='img' aria-label='{html_text(name)}' style='font-size:.8rem'>"
        f"<div style='height:.8rem;border-radius:.2rem;border:1px solid #8884;"
        f"background:{','.join(layers)};background-origin:border-box'>"
        f"</div><div style='display:flex;justify-content:space-between;font-variant-numeric:tabular-nums'>{labels}</div>"
        f"<div style='opacity:.75'>{html_text(unit)}</div></div>"
    )


def legend(labels: npt.NDArray[Any], classes: tuple[str, ...], palette: npt.NDArray[np.uint8], chosen: str) -> None:
    """The classes of a segmentation; see `legend_html`."""
    st.html(legend_html(labels, classes, palette, chosen))


def legend_html(labels: npt.NDArray[Any], classes: tuple[str, ...], palette: npt.NDArray[np.uint8], chosen: str) -> str:
    """The classes of a segmentation with colours and shares, largest first, as HTML. The chosen class is highlighted."""
    items = []
    for name, share in shares(labels, classes):
        r, g, b = palette[classes.index(name)].tolist()
        weight = "font-weight:700;text-decoration:underline" if name == chosen else ""
        items.append(
            f"<span style='{_ENTRY};{weight}'>{swatch((r, g, b))}"
            f"<span style='{_NAME}' title='{html_text(name)}'>{html_text(name)}</span> {percent(share)}</span>"
        )
    return f"<div style='display:flex;flex-wrap:wrap;gap:.15rem .8rem;font-size:.82rem'>{''.join(items)}</div>"


def key(items: list[tuple[tuple[int, int, int], str]]) -> None:
    """A legend of colours with their labels."""
    rows = [f"{swatch(colour)} {html_text(words)}" for colour, words in items]
    st.html(f"<div style='font-size:.85rem'>{'<br>'.join(rows)}</div>")


def curve_chart(made: Curves, kind: str, measure: str) -> Any:
    """Deletion or insertion curve, with the band of random orders behind it.

    Args:
        made: from `perturb.curves`.
        kind: "deletion" or "insertion".
        measure: "score" or "iou".
    """
    own, control = getattr(made, kind), getattr(made, f"random_{kind}")
    values, draws = getattr(own, measure)[0], getattr(control, measure)
    frame = pd.DataFrame(
        {
            "fraction": own.fraction,
            "map": values,
            "random": draws.mean(0),
            "low": draws.min(0),
            "high": draws.max(0),
        }
    )
    done = "hidden" if kind == "deletion" else "restored"
    y_title = "IoU with the clean mask" if measure == "iou" else f"share of the clean {made.score}"
    x = alt.X("fraction:Q", title=f"pixels {done}, most important first", axis=alt.Axis(format="%", tickCount=5))
    top = max(1.0, float(frame[["map", "high"]].max().max()))
    scale = alt.Scale(domain=[min(0.0, float(frame[["map", "low"]].min().min())), top], nice=False)
    tips = [
        alt.Tooltip("fraction:Q", title=f"pixels {done}", format=".1%"),
        alt.Tooltip("map:Q", title="this map", format=".3f"),
        alt.Tooltip("random:Q", title="random order, mean", format=".3f"),
        alt.Tooltip("low:Q", title="random order, lowest", format=".3f"),
        alt.Tooltip("high:Q", title="random order, highest", format=".3f"),
    ]
    base = alt.Chart(frame)
    colours = alt.Scale(domain=["this map", "random order"], range=[MAP_COLOUR, CONTROL_COLOUR])
    # The charts are stacked, so one legend serves both.
    key = alt.Legend(title=None, orient="top") if kind == "deletion" else None
    return alt.layer(
        base.mark_area(opacity=0.3, color=CONTROL_COLOUR).encode(
            x=x, y=alt.Y("low:Q", title=y_title, scale=scale), y2="high:Q"
        ),
        base.transform_calculate(order="'random order'")
        .mark_line(strokeDash=[5, 4])
        .encode(x=x, y=alt.Y("random:Q", scale=scale), color=alt.Color("order:N", scale=colours, legend=key)),
        base.transform_calculate(order="'this map'")
        .mark_line(strokeWidth=2.5, point={"size": 28, "filled": True})
        .encode(
            x=x, y=alt.Y("map:Q", scale=scale), color=alt.Color("order:N", scale=colours, legend=key), tooltip=tips
        ),
    ).properties(height=270 if kind == "deletion" else 235)
