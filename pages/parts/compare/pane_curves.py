"""Deletion and insertion curves of all panes, with the bands of random orders, and a table of their areas."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

import perturb
from pages.parts.app import segmenter_choice
from pages.parts.compare.panes import Shown
from pages.parts.figures.charts import HUES
from pages.parts.figures.drawing import CONTROL_COLOUR
from pages.parts.runs import expected, jobs, planning
from pages.parts.runs.task import Task
from pages.parts.widgets import controls
from perturb.engine.runner import Progress
from perturb.export.comparison import AUCS, auc_rows, curve_rows
from perturb.metrics.curves import curve_forwards
from perturb.metrics.registry import METRICS
from perturb.metrics.verdict import REQUIREMENTS, verdict_on

KINDS = ("deletion", "insertion")


def section(shown: Sequence[Shown], prefix: str) -> None:
    """Compute the missing curves, and show those of all panes."""
    task, found = _task(shown, prefix), known(shown, prefix)
    missing = [(pane, _seconds(pane.result)) for pane in shown if pane.number not in found]
    if not missing:
        task.keep({pane.key: found[pane.number] for pane in shown})
    passes, total = len(missing) * curve_forwards(), sum(seconds for _, seconds in missing)
    running = task.offer(
        "Run the curves",
        f"{passes} forward passes, about {jobs.duration(total)}.",
        key=f"{prefix}curves_run",
        seconds=total,
        fits=lambda _: "compare fewer panes, or a smaller image",
        text="Hide and restore the pixels in the order of each map, and in random orders for comparison.",
        up_to_date="Up to date: the curves below belong to the maps above.",
        at_once=planning.soon(passes, total) and not task.stopped,
    )
    if running:
        made = {pane.key: found[pane.number] for pane in shown if pane.number in found}

        def measure(pane: Shown) -> Callable[[Progress], dict[str, perturb.Curves]]:
            def part(progress: Progress) -> dict[str, perturb.Curves]:
                made[pane.key] = planning.compute_curves(pane.key, pane.result, progress)
                return made  # complete after the last part

            return part

        task.run(
            *(
                jobs.Part(f"Curves of pane {pane.number}", curve_forwards(), seconds, measure(pane))
                for pane, seconds in missing
            )
        )
    if not missing:
        _show(shown, found, prefix)


def known(shown: Sequence[Shown], prefix: str) -> dict[int, perturb.Curves]:
    """The curves computed so far, by number of the pane, in this session's last run or by any visitor."""
    everyone, own = jobs.workshop().curves, _task(shown, prefix).made or {}
    found = {pane.number: own.get(pane.key) or everyone.get(pane.key) for pane in shown}
    return {number: made for number, made in found.items() if made is not None}


def _task(shown: Sequence[Shown], prefix: str) -> Task[dict[str, perturb.Curves]]:
    """The task that computes the missing curves. Its outcome holds those of all panes, by key of the pane."""
    return Task(f"{prefix}curves", json.dumps([[pane.number, pane.key] for pane in shown]))


def _seconds(result: perturb.Attribution) -> float:
    """Expected duration of the curves of a result, in seconds."""
    _, guess = segmenter_choice.segment(result.segmenter, result.image)
    return expected.curves_seconds(result.segmenter, result.image, guess)


def _show(shown: Sequence[Shown], found: Mapping[int, perturb.Curves], prefix: str) -> None:
    measure = controls.measure_widget(prefix)
    titles = {pane.number: pane.title for pane in shown}
    results = {pane.number: pane.result for pane in shown}
    points = pd.DataFrame(curve_rows(found), columns=["number", "curve", "draw", "fraction", "score", "iou"])
    points["pane"] = points["number"].map(titles)
    bands = _bands(shown)
    points["order"] = points["number"].map(bands)
    for column, kind in zip(st.columns(2, gap="medium"), KINDS, strict=True):
        with column:
            metric = METRICS[f"{kind}_auc"]
            st.markdown(f"**{kind.capitalize()}** {metric.arrow} ({metric.better} is better)", help=metric.summary)
            chart = _chart(points, kind, measure, list(titles.values()), bands)
            st.altair_chart(chart, width="stretch", alt=f"{kind} curves of all panes, with bands of random orders")
    st.caption(
        "Lines: the maps of the panes. Bands: the range of several random orders. A faithful map stays below its band in "
        "deletion and above it in insertion."
        + (
            " The IoU is measured against the mask that defines the region."
            if any(p.result.frozen.first for p in shown)
            else ""
        )
    )
    verdicts = [f"- **Pane {pane.number}**: {verdict_on(found[pane.number], measure)}" for pane in shown]
    st.markdown("**Verdicts**\n" + "\n".join(verdicts), help=REQUIREMENTS)
    names = [name for name in AUCS if ("iou" in name) == (measure == "iou")]
    table = pd.DataFrame(auc_rows(results, found), columns=["pane", "method", "segmenter", *AUCS])
    st.dataframe(
        table[["pane", "method", "segmenter", *names]],
        hide_index=True,
        column_config={
            name: st.column_config.NumberColumn(
                f"{METRICS[name].title} {METRICS[name].arrow}".strip(), help=METRICS[name].summary, format="%.3f"
            )
            for name in names
        },
    )


def _bands(shown: Sequence[Shown]) -> dict[int, str]:
    """Names of the bands by pane. Panes with the same segmenter and region share one, as their random orders are equal."""
    alike: dict[tuple[str, str], list[int]] = {}
    for pane in shown:
        alike.setdefault((pane.result.segmenter_digest, pane.result.frozen.digest()), []).append(pane.number)
    if len(alike) == 1:
        return {shown[0].number: "random order"}
    return {
        numbers[0]: f"random order, pane{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"
        for numbers in alike.values()
    }


def _chart(points: pd.DataFrame, kind: str, measure: str, titles: list[str], bands: dict[int, str]) -> Any:
    own = points[points["curve"] == kind]
    random = points[(points["curve"] == f"random_{kind}") & points["order"].notna()]
    done = "hidden" if kind == "deletion" else "restored"
    x = alt.X("fraction:Q", title=f"pixels {done}, most important first", axis=alt.Axis(format="%", tickCount=5))
    y_title = "IoU with the clean mask" if measure == "iou" else "share of the clean probability"
    colours = alt.Scale(domain=titles, range=[HUES[int(title.split()[0]) - 1] for title in titles])
    below, above = (alt.Legend(title=None, orient=place, columns=1, labelLimit=400) for place in ("bottom", "top"))
    # A single band is grey. Several have the colours of the first panes that they belong to.
    hues = [HUES[number - 1] for number in bands] if len(bands) > 1 else [CONTROL_COLOUR]
    band = (
        alt.Chart(random)
        .transform_aggregate(low=f"min({measure})", high=f"max({measure})", groupby=["fraction", "order"])
        .mark_area(opacity=0.22)
        .encode(
            x=x,
            y=alt.Y("low:Q", title=y_title),
            y2="high:Q",
            color=alt.Color("order:N", scale=alt.Scale(domain=list(bands.values()), range=hues), legend=above),
        )
    )
    lines = (
        alt.Chart(own)
        .mark_line(strokeWidth=2.5, point={"size": 28, "filled": True})
        .encode(
            x=x,
            y=alt.Y(f"{measure}:Q", title=y_title),
            color=alt.Color("pane:N", scale=colours, legend=below, sort=titles),
            tooltip=[
                alt.Tooltip("pane:N"),
                alt.Tooltip("fraction:Q", title=f"pixels {done}", format=".1%"),
                alt.Tooltip(f"{measure}:Q", title=y_title, format=".3f"),
            ],
        )
    )
    return alt.layer(band, lines).resolve_scale(color="independent").properties(height=360)
