"""Charts of a comparison of maps. Each method has one colour throughout; uninformative baselines are grey."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from perturb.core.colour import distinct_palette
from perturb.metrics.base import MapScores
from perturb.metrics.scorecard import Faithfulness

HUES = (
    "#c2410c", "#1d4ed8", "#0f766e", "#a21caf", "#a16207", "#4d7c0f", "#be123c", "#475569",
    "#0ea5e9", "#7c3aed", "#16a34a", "#ec4899", "#78350f", "#06b6d4",
)  # fmt: skip
"""Well apart on light and on dark pages; `hues` gives any number."""
GREYS = ("#8a8f98", "#a8adb5", "#6b7078")


def hues(count: int) -> list[str]:
    """Colours for any number of methods, as #rrggbb, no two alike: those of `HUES` first."""
    further = (f"#{bytes(colour).hex()}" for colour in distinct_palette(2 * count + len(HUES)))
    return [*HUES, *(colour for colour in dict.fromkeys(further) if colour not in HUES)][:count]


def curves(made: Faithfulness, kind: str) -> Any:
    """One kind of curve for all maps; uninformative baselines are dashed."""
    done = "restored" if kind == "insertion" else "hidden"
    return (
        alt.Chart(_lines(made, kind))
        .mark_line(point={"size": 20})
        .encode(
            x=alt.X("fraction:Q", title=f"pixels {done}", axis=alt.Axis(format="%", tickCount=5)),
            y=alt.Y("score:Q", title="share of the clean probability"),
            color=_colour(made.maps),
            strokeDash=alt.StrokeDash(
                "kind:N", scale=alt.Scale(domain=["method", "control"], range=[[1, 0], [5, 4]]), legend=None
            ),
            tooltip=[
                "map",
                alt.Tooltip("fraction:Q", title=f"pixels {done}", format=".1%"),
                alt.Tooltip("score:Q", title="share of the clean probability", format=".3f"),
                alt.Tooltip("iou:Q", title="IoU with the clean mask", format=".3f"),
            ],
        )
        .properties(height=320)
    )


def agreement(made: Faithfulness, *, overlap: bool) -> Any:
    """Heat map of a pairwise agreement matrix: overlap of the top pixels, or Spearman's rank correlation."""
    matrix = made.overlap if overlap else made.spearman
    names = [judged.name for judged in made.maps]
    frame = pd.DataFrame(
        [(a, b, matrix[i, j]) for i, a in enumerate(names) for j, b in enumerate(names)], columns=["a", "b", "value"]
    )
    axis = alt.Axis(title=None, labelAngle=-40, labelLimit=120, labelOverlap=False)
    base = alt.Chart(frame).encode(
        x=alt.X("a:N", sort=names, axis=axis), y=alt.Y("b:N", sort=names, axis=alt.Axis(title=None, labelLimit=120))
    )
    low = 0 if overlap else -1
    scale = alt.Scale(scheme="viridis" if low == 0 else "redblue", domain=[low, 1], reverse=low == -1)
    cells = base.mark_rect().encode(
        color=alt.Color("value:Q", scale=scale, legend=None),
        tooltip=["a", "b", alt.Tooltip("value:Q", format=".3f")],
    )
    dark = "abs(datum.value) > 0.55" if low == -1 else "datum.value < 0.5"
    text = base.mark_text(fontSize=12).encode(
        text=alt.Text("value:Q", format=".2f"), color=alt.condition(dark, alt.value("white"), alt.value("black"))
    )
    return (cells + text).properties(height=380)


def noise_against_cost(made: Faithfulness) -> Any:
    """Scatter plot of total variation against forward passes, one point for each map."""
    rows = [(m.name, m.kind, m.values.get("forwards") or 0, m.values.get("total_variation")) for m in made.maps]
    frame = pd.DataFrame(rows, columns=["map", "kind", "forwards", "noise"]).dropna()
    # A constant map has no variation, and a logarithm of 0 has no place on an axis: symlog is linear below the constant.
    smallest = float(frame["noise"][frame["noise"] > 0].min()) if (frame["noise"] > 0).any() else 1.0
    base = alt.Chart(frame).encode(
        x=alt.X("forwards:Q", title="forward passes (log scale)", scale=alt.Scale(type="symlog", padding=40)),
        y=alt.Y("noise:Q", title="noise (total variation)", scale=alt.Scale(type="symlog", constant=smallest)),
        color=_colour(made.maps, legend=False),  # every point is labelled
        tooltip=["map", alt.Tooltip("forwards:Q", format=","), alt.Tooltip("noise:Q", format=".4f")],
    )
    points = base.mark_point(size=90, filled=True)
    labels = base.mark_text(align="left", dx=8).encode(text="map:N")
    return (points + labels).properties(height=300)


def _lines(made: Faithfulness, kind: str) -> pd.DataFrame:
    return pd.concat(
        pd.DataFrame(
            {
                "map": judged.name,
                "kind": judged.kind,
                "fraction": judged.curves[kind].fraction,
                "score": judged.curves[kind].score[0],
                "iou": judged.curves[kind].iou[0],
            }
        )
        for judged in made.maps
        if kind in judged.curves
    )


def _colour(maps: tuple[MapScores, ...], *, legend: bool = True) -> alt.Color:
    names = [judged.name for judged in maps]
    own, greys = iter(hues(len(names))), iter(GREYS)
    colours = [next(own) if judged.kind == "method" else next(greys) for judged in maps]
    scale = alt.Scale(domain=names, range=colours)
    key = alt.Legend(orient="bottom", columns=3) if legend else None
    return alt.Color("map:N", title=None, scale=scale, legend=key)
