"""Results over many images: means with confidence intervals, and model × metric tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

import perturb
from pages.parts.figures.metric_cards import tip
from perturb.core.quoting import csv_cell, markdown_text
from perturb.experiments.bootstrap import read_table, summarise
from perturb.metrics.registry import METRICS

BUNDLED = Path(__file__).parents[3] / "docs" / "evaluation.parquet"
COMMAND = """python -m perturb evaluate FOLDER --methods occlusion,feature-ablation,rise \\
    --metrics deletion_auc,insertion_auc,road_combined,map_iou --out evaluation"""


def section(prefix: str) -> None:
    """Show an uploaded table, or one of the samples until one is uploaded."""
    file = st.file_uploader(
        "A table from `python -m perturb evaluate`",
        type=("parquet",),
        key=f"{prefix}table_file",
        help="`table.parquet` from the folder that the command wrote. It contains numbers and names, no images.",
    )
    with st.expander("How to make a table", icon=":material/terminal:"):
        st.code(COMMAND, language="bash")
        st.caption(
            "Give a folder of images, or `samples`. Every sufficiently large class is explained. Broken images are reported "
            "and skipped. An interrupted run continues where it stopped."
        )
    try:
        if file is not None:
            table = _read(file.getvalue(), file.name)
        elif BUNDLED.exists():
            table = _read(BUNDLED.read_bytes(), BUNDLED.name)
            st.caption(f"Example: {BUNDLED.name}, an evaluation on the drawn samples. Open your own table above.")
        else:
            return
    except perturb.PerturbError as error:
        st.error(markdown_text(str(error)), icon=":material/broken_image:")
        return
    _show(table, prefix)


@st.cache_data(max_entries=4, show_spinner="Reading the table …")
def _read(data: bytes, name: str) -> pd.DataFrame:
    return read_table(data, name)


def _show(table: pd.DataFrame, prefix: str) -> None:
    images, classes = table["picture"].nunique(), table["class"].nunique()
    st.caption(
        f"{len(table):,} rows: {images} images, {classes} classes, {table['segmenter'].nunique()} segmenters, "
        f"{table['map'].nunique()} maps (including uninformative baselines)."
    )
    metrics = [name for name in METRICS if name in table]
    left, right = st.columns(2)
    with left:
        metric = st.selectbox(
            "Metric",
            metrics,
            key=f"{prefix}many_metric",
            bind="query-params",
            help="The metric to compare the maps by.",
        )
    with right:
        names = sorted(table["class"].unique())
        chosen = st.multiselect(
            "Classes",
            names,
            key=f"{prefix}many_classes",
            placeholder="all",
            help="Restrict the table to these classes.",
        )
    metric = metric if metric in metrics else metrics[0]
    part = table[table["class"].isin(chosen)] if chosen else table
    card = METRICS[metric]
    st.markdown(f"**{card.title} {card.arrow}**", help=tip(card))
    summary = summarise(part, metrics)
    st.altair_chart(
        _means(summary[summary["metric"] == metric], card.title), width="stretch", alt=f"{card.title} by map"
    )
    st.caption(
        "Dots: means over all rows. Bars: 95 % confidence intervals from a cluster bootstrap over images (1,000 resamples)."
    )
    st.markdown("**Model × metric**", help="Means over all rows of a segmenter, for one map.")
    maps = list(dict.fromkeys(part["map"]))
    name = st.selectbox(
        "Map", maps, key=f"{prefix}many_map", bind="query-params", help="The map whose means are shown by segmenter."
    )
    wide = summary[summary["map"] == (name if name in maps else maps[0])].pivot(
        index="segmenter", columns="metric", values="mean"
    )
    wide = wide[[metric for metric in metrics if metric in wide]]
    config: dict[str, Any] = {
        m: st.column_config.NumberColumn(
            f"{METRICS[m].title} {METRICS[m].arrow}".strip(), format="%.3f", help=tip(METRICS[m])
        )
        for m in wide
    }
    st.dataframe(wide, column_config=config)
    st.markdown("**Map × metric**", help="Means over all rows of all segmenters.")
    across = part.groupby("map", sort=False)[metrics].mean()
    config |= {
        m: st.column_config.NumberColumn(
            f"{METRICS[m].title} {METRICS[m].arrow}".strip(), format="%.3f", help=tip(METRICS[m])
        )
        for m in metrics
    }
    st.dataframe(across, column_config=config)
    st.download_button(
        "Download the means (CSV)",
        data=summary.map(csv_cell).to_csv(index=False),
        file_name="means.csv",
        mime="text/csv",
        key=f"{prefix}many_csv",
        on_click="ignore",
        icon=":material/download:",
        help="Mean, confidence interval, number of rows and of images for every metric, map and segmenter.",
    )


def _means(summary: pd.DataFrame, title: str) -> Any:
    y = alt.Y("map:N", sort=None, title=None, axis=alt.Axis(labelLimit=160))
    colour = alt.Color("segmenter:N", title=None, legend=alt.Legend(orient="top"))
    offset = alt.YOffset("segmenter:N")
    tips = [
        "segmenter",
        "map",
        *(alt.Tooltip(f"{name}:Q", format=".4g") for name in ("mean", "low", "high")),
        "rows",
        alt.Tooltip("pictures:Q", title="images"),
    ]
    base = alt.Chart(summary)
    bars = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", title=title, scale=alt.Scale(zero=False)), x2="high:Q", y=y, yOffset=offset, color=colour
    )
    dots = base.mark_point(filled=True, size=70).encode(x="mean:Q", y=y, yOffset=offset, color=colour, tooltip=tips)
    return (bars + dots).properties(height=alt.Step(26))
