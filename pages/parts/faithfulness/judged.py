"""Views of a comparison of maps: verdicts, table, curves, agreement, noise and cost, consensus, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

from pages.parts.app import address, elements
from pages.parts.app.shell import Scene
from pages.parts.faithfulness import fill_ranks
from pages.parts.figures import charts, drawing
from pages.parts.figures.metric_cards import tip
from perturb.core.colour import outline, overlay, readable_limit, tint
from perturb.core.files import zip_of
from perturb.core.quoting import file_name, markdown_text
from perturb.metrics.base import GROUPS
from perturb.metrics.registry import METRICS
from perturb.metrics.scorecard import Faithfulness, contents
from perturb.metrics.verdict import FALL, SMALLEST_GAP
from perturb.targets.quality import true_labels, wrong_pixels

MAIN = (
    "deletion_auc",
    "insertion_auc",
    "road_combined",
    "map_iou",
    "pointing_15",
    "total_variation",
    "forwards",
    "seconds",
)
CURVES = {
    "deletion": "Pixels are replaced by a blurred image, most important first. A faithful map gives a curve that falls quickly.",
    "insertion": "Pixels are restored in a blurred image, most important first. A faithful map gives a curve that rises quickly.",
    "road_morf": "Pixels are imputed from their surroundings, most relevant first. A faithful map gives a curve that falls quickly.",
    "road_lerf": "Pixels are imputed from their surroundings, least relevant first. A faithful map gives a curve that stays high.",
}
FLAT = {"deletion and insertion under blur": "deletion_auc", "ROAD": "road_morf"}
"""One metric of each group that hides pixels in the order of a map, to detect that hiding has no effect."""
ERROR_COLOUR = (255, 0, 200)


def show(made: Faithfulness, scene: Scene, prefix: str) -> None:
    """All views of a comparison, the summary first."""
    _verdicts(made)
    _maps(made, scene)
    _table(made, prefix)
    fill_ranks.show(made, prefix)
    left, right = st.columns((1.2, 1), gap="medium")
    with left:
        _curves(made, prefix)
    with right:
        _agreement(made, prefix)
    left, middle, right = st.columns(3, gap="medium")
    with left:
        _cost(made)
    with middle:
        _ranks(
            made.consensus, 1.0, scene, "Consensus", "mean rank, from 0 (least important) to 1 (most important)",
            "The mean rank of each pixel over all methods, without the uninformative baselines.",
        )  # fmt: skip
    with right:
        _ranks(
            made.disagreement, 0.5, scene, "Disagreement", "standard deviation of the ranks, 0 where all agree",
            "The standard deviation of a pixel's rank over the methods. Where it is high, do not rely on a single map.",
        )  # fmt: skip
    _errors(made, scene, prefix)
    st.download_button(
        "Download the comparison (zip)",
        data=lambda: zip_of(contents(made)),
        file_name=file_name(f"{scene.image.name}-faithfulness", ".zip"),
        mime="application/zip",
        key=f"{prefix}compare_zip",
        on_click="ignore",
        icon=":material/download:",
        help="The table, the ranks under both fills, the curves, both agreement matrices, the raw maps, consensus and disagreement, and the metric cards.",
    )


def _verdicts(made: Faithfulness) -> None:
    lost: dict[str, list[str]] = {judged.name: [] for judged in made.methods}
    for name, metric, controls in made.unbeaten():
        lost[name].append(f"{METRICS[metric].title} {METRICS[metric].arrow} ({', '.join(controls)})")
    decided = made.decided()
    lines = []
    for judged in made.methods:
        count = sum(judged.values.get(name) is not None for name in decided)
        best = f"**{judged.name}** beats all three uninformative baselines on **{count - len(lost[judged.name])} of {count}** metrics"
        lines.append(f"- {best}" + (f"; not on {'; '.join(lost[judged.name])}." if lost[judged.name] else "."))
    tied = sum(bool(METRICS[name].arrow) for name in made.maps[0].values) - len(decided)
    same = (
        f" {tied} more metrics cannot distinguish the maps on this image: all values are equal, or hiding lowers the score by less "
        f"than {FALL:.0%} of its clean value."
        if tied
        else ""
    )
    st.markdown(
        "**Better than uninformative baselines?**\n" + "\n".join(lines),
        help="A faithful map scores better than three maps that do not depend on the segmenter: random values, a blurred random map, "
        f"and the edges of the image. For metrics that hide pixels, a difference below {SMALLEST_GAP:g} of the clean score counts "
        "as equal.",
    )
    flat = [group for group, metric in FLAT.items() if metric in made.maps[0].values and not made.informative(metric)]
    if flat:
        st.warning(
            f"Inconclusive for {' and '.join(flat)}: hiding pixels, even all of them, lowers the score by less than {FALL:.0%} of "
            "its clean value. These metrics cannot assess the maps on this image.",
            icon=":material/help:",
        )
    st.caption(f"In brackets: the baselines that score as well or better.{same}")
    if len(made.methods) == 1:
        st.info("One method only: it is compared with the uninformative baselines alone.", icon=":material/info:")
    for judged in made.methods:
        for note in judged.notes:
            st.info(f"**{judged.name}**: {markdown_text(note)}", icon=":material/info:")


def _maps(made: Faithfulness, scene: Scene) -> None:
    with st.container(horizontal=True):
        for judged in made.maps:
            with st.container(width=170, gap="xsmall"):
                limit = readable_limit(judged.heatmap)
                tile = overlay(scene.image.pixels, judged.heatmap, limit=limit, signed=judged.signed)
                ends = drawing.ends(judged.heatmap, limit, signed=judged.signed)
                elements.show(tile, alt=f"Map of {judged.name}", caption=f"{judged.name} ({ends})")
    st.caption(
        "Each map has its own colour scale, since their units differ, and uses its method's default settings. Red supports the class. "
        "Unsigned maps are green and yellow. The last three are the uninformative baselines."
    )


@address.fragment
def _table(made: Faithfulness, prefix: str) -> None:
    groups = ("main", *GROUPS, "all")
    group = st.segmented_control(
        "Metrics",
        groups,
        default="main",
        required=True,
        key=f"{prefix}group",
        bind="query-params",
        help="The columns to show. " + " ".join(f"**{name}**: {title}." for name, title in GROUPS.items()),
    )
    if group in GROUPS:
        st.caption(GROUPS[group])
    known = list(made.maps[0].values)
    names = [
        name for name in known if group == "all" or (group == "main" and name in MAIN) or METRICS[name].group == group
    ]
    frame = pd.DataFrame([[m.values.get(name) for name in names] for m in made.maps], columns=names, dtype="float64")
    frame.insert(0, "map", [m.name for m in made.maps])
    texts = {name: _texts(made, name) for name in names}
    # The cells hold the numbers, so that a click on a header sorts by them; the text is only the display.
    styled = frame.style
    for name in names:
        for row, text in enumerate(texts[name]):
            styled = styled.format(lambda _, text=text: text, subset=pd.IndexSlice[[row], [name]])
    styled = styled.set_properties(subset=pd.IndexSlice[len(made.methods) :, :], **{"color": "#6b7078"})
    config: dict[str, Any] = {
        name: st.column_config.Column(f"{METRICS[name].title} {METRICS[name].arrow}".strip(), help=tip(METRICS[name]))
        for name in names
    }
    config["map"] = st.column_config.Column("Map", pinned=True)
    st.dataframe(styled, hide_index=True, column_config=config, key=f"{prefix}table")
    st.caption(
        "(1): best method on that metric. ✗: no better than one of the uninformative baselines (grey). n/a: undefined. "
        "Ranks differ between metrics. Hover over a header for the metric's card."
    )


def _texts(made: Faithfulness, metric: str) -> list[str]:
    ranks = made.ranks(metric) if len(made.methods) > 1 and metric in made.decided() else {}
    beaten = {name for name, other, _ in made.unbeaten() if other == metric}
    texts = []
    for judged in made.maps:
        value = judged.values.get(metric)
        text = "n/a" if value is None else elements.number(float(value))
        if judged.kind == "method" and value is not None:
            text += f"  ({ranks[judged.name]})" if judged.name in ranks else ""
            text += "  ✗" if judged.name in beaten else ""
        texts.append(text)
    return texts


@address.fragment
def _curves(made: Faithfulness, prefix: str) -> None:
    st.markdown("**Curves**", help="Dashed and grey: the uninformative baselines.")
    kind = st.segmented_control(
        "Curve",
        tuple(CURVES),
        default="deletion",
        required=True,
        key=f"{prefix}curve",
        bind="query-params",
        help=" ".join(f"**{name}**: {text}" for name, text in CURVES.items()),
    )
    kind = kind if kind in CURVES else "deletion"
    st.caption(CURVES[kind])
    chart = charts.curves(made, kind)
    st.altair_chart(chart, width="stretch", alt=f"{kind} curves of all maps and uninformative baselines")


@address.fragment
def _agreement(made: Faithfulness, prefix: str) -> None:
    st.markdown("**Agreement**", help="How similarly two maps rank the pixels.")
    kind = st.segmented_control(
        "Measure",
        ("spearman", "top 10 %"),
        default="spearman",
        required=True,
        key=f"{prefix}agreement",
        bind="query-params",
        help="**spearman**: rank correlation over all pixels, −1 to 1. **top 10 %**: share of the 10 % most important "
        "pixels that two maps have in common, 0 to 1. Random maps reach 0.1.",
    )
    chart = charts.agreement(made, overlap=kind == "top 10 %")
    st.altair_chart(chart, width="stretch", alt=f"Agreement of all maps by {kind}")


def _cost(made: Faithfulness) -> None:
    st.markdown(
        "**Noise and cost**",
        help="Total variation of the map, scaled to a range of 1, against its forward passes. Fewer passes often mean a noisier map. "
        "A smooth map is not more faithful for that.",
    )
    st.altair_chart(charts.noise_against_cost(made), width="stretch", alt="Noise of each map against its cost")


def _ranks(values: npt.NDArray[np.float32], limit: float, scene: Scene, name: str, unit: str, text: str) -> None:
    st.markdown(f"**{name}**", help=text)
    elements.show(overlay(scene.image.pixels, values, limit=limit, signed=False), alt=f"{name} of the methods")
    drawing.colour_bar(limit, unit, signed=False)


@address.fragment
def _errors(made: Faithfulness, scene: Scene, prefix: str) -> None:
    st.subheader(
        "The segmenter's own errors",
        help="A map that highlights wrongly segmented pixels may be a faithful explanation of a wrong prediction. Needs ground truth.",
    )
    if made.wrong_share is None:
        st.caption(
            "This image has no ground truth for these classes, so the segmenter's errors are unknown. The sample images have one."
        )
        return
    names = [judged.name for judged in made.methods]
    name = st.selectbox("Map", names, key=f"{prefix}error_map", help="The map to show with the errors.")
    judged = next(m for m in made.methods if m.name == (name if name in names else names[0]))
    wrong = wrong_pixels(scene.labels, true_labels(scene.image, scene.segmenter.classes))
    limit = readable_limit(judged.heatmap)
    left, right = st.columns(2, gap="medium")
    with left:
        canvas = tint(
            overlay(scene.image.pixels, np.zeros_like(judged.heatmap), limit=0.0, opacity=0.0), wrong, ERROR_COLOUR
        )
        elements.show(canvas, alt="Wrongly segmented pixels, in pink", caption="Wrong pixels, in pink")
    with right:
        canvas = outline(
            overlay(scene.image.pixels, judged.heatmap, limit=limit, signed=judged.signed), wrong, ERROR_COLOUR
        )
        elements.show(
            canvas,
            alt=f"Map of {judged.name} with the wrong pixels outlined",
            caption=f"{judged.name}, errors outlined",
        )
    share = judged.values.get("error_share")
    if share is not None:
        ratio = share / made.wrong_share if made.wrong_share else float("nan")
        more = "as much as" if 0.8 < ratio < 1.25 else "more than" if ratio > 1 else "less than"
        st.caption(
            f"**{elements.percent(share)}** of the map's magnitude lies on the {elements.percent(made.wrong_share)} of pixels that "
            f"are wrong: {more} a uniform map would have there."
        )
