"""The occlusion study: many occluders in one run, on one colour scale."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

import perturb
from pages.parts.app import address, elements, report
from pages.parts.app.shell import Scene
from pages.parts.figures import drawing
from pages.parts.runs import expected, jobs
from pages.parts.runs.task import Task
from perturb.core.colour import overlay
from perturb.core.files import zip_of
from perturb.core.quoting import markdown_text
from perturb.engine.runner import Progress
from perturb.experiments.study import FILL_NAMES, SIZES, Study, plan, study, study_contents, study_forwards
from perturb.export.report.items import item_of_study
from perturb.perturbations.fills.registry import FILLS

OFFERED = (24, 32, 48, 64, 96, 128)
HEADERS = {
    "occluder": ("Occluder", "Fill and width of the window in pixels."),
    "deletion_auc": ("Deletion ↓", "Area under the deletion curve; lower is better."),
    "insertion_auc": ("Insertion ↑", "Area under the insertion curve; higher is better."),
    "random_deletion_auc": ("Random", "Area under the deletion curve of a random order with the same fill."),
    "lost": ("Lost", "Pixels of the region that are no longer predicted as the class, mean over the windows."),
    "gained": ("Gained", "Pixels that become predicted as the class, mean over the windows."),
    "drop_min": ("Lowest", "Lowest value of the raw map."),
    "drop_max": ("Highest", "Highest value of the raw map."),
    "agreement": ("Agreement", "Mean Spearman rank correlation of this map with the others. 1 is the same order."),
    "forwards": ("Passes", "Forward passes of map and curves."),
    "seconds": ("Seconds", "Wall time of map and curves."),
}


def section(scene: Scene, target: perturb.Target, prefix: str) -> None:
    """Choose occluders, run them all, and compare their maps, curves and metrics."""
    st.subheader("Occlusion study", help="Does the result depend on the occluder? Run several on one image and target.")
    first, second, third = st.columns((2, 1.4, 1))
    with first:
        names = [name for name in FILLS if name != "colour"]
        fills = _choices("Fills", names, FILL_NAMES, f"{prefix}study_fills", "Each fill is run in every size.")
    with second:
        text = "Width of the window. The stride is half of it. At most the image's shorter side."
        side = min(scene.image.height, scene.image.width)
        offered = [size for size in OFFERED if size <= side] or [side]
        usual = [size for size in SIZES if size in offered] or offered[-1:]
        sizes = _choices("Sizes (px)", offered, usual, f"{prefix}study_sizes", text)
    with third:
        typed = st.text_input(
            "Colours",
            key=f"{prefix}study_colours",
            bind="query-params",
            placeholder="#ff0000, #1e90ff",
            help="Additional flat colours as #rrggbb, separated by commas.",
        )
    colours = [part.strip() for part in (typed or "").split(",") if part.strip()]
    image, segmenter = scene.image, scene.segmenter
    what = [image.key, segmenter.name, target.label, target.region, target.score, fills, sizes, colours]
    task: Task[Study] = Task(f"{prefix}study", json.dumps(what))
    try:
        plans = plan(fills, colours, sizes, 12.0)
        target.freeze(image, scene.labels, segmenter.classes)  # raises if the target does not fit
        passes = sum(study_forwards(image, plans))
    except perturb.PerturbError as error:
        st.error(markdown_text(str(error)), icon=":material/error:")
        return
    size, kind = (segmenter.name, image.height, image.width), f"study of {sizes}"
    seconds = expected.job_pace(size, kind, scene.seconds).seconds(passes)
    cost = f"{len(plans)} occluders, {passes:,} forward passes, about {jobs.duration(seconds)}."
    running = task.offer(
        "Run the study",
        cost,
        key=f"{prefix}study_run",
        seconds=seconds,
        fits=lambda _: "fewer occluders, larger windows or a smaller image",
    )

    def compute(progress: Progress) -> Study:
        def run(meter: Progress) -> Study:
            return study(image, segmenter, target, fills=fills, colours=colours, sizes=sizes, progress=meter)

        return expected.measured(size, kind, passes, progress, run)

    if running:
        task.run(jobs.Part("Study", passes, seconds, compute))
    made = task.made
    if made is not None:
        with st.container(key=f"{prefix}study_{'fresh' if task.fresh else 'stale'}"):
            _show(made, prefix)
        if task.fresh:
            report.remember(f"{prefix}study_")
        report.button(f"{prefix}study_", [lambda link: item_of_study(made, link)], made)


def _choices(label: str, options: Sequence[Any], default: Sequence[Any], key: str, text: str) -> list[Any]:
    return st.multiselect(label, options, default=default, key=key, bind="query-params", help=text)


@address.fragment
def _show(made: Study, prefix: str) -> None:
    st.markdown("**Maps on one common scale**")
    with st.container(horizontal=True):
        for trial in made.trials:
            with st.container(width=160, gap="xsmall"):  # two side by side on a phone
                tile = overlay(trial.result.image.pixels, trial.result.heatmap, limit=made.limit)
                elements.show(tile, alt=f"Heat map under {trial.name}", caption=trial.name)
    unit = made.trials[0].result.unit()
    drawing.colour_bar(made.limit, unit, signed=True, used=made.range)
    left, right = st.columns((1, 1.4), gap="medium")
    with left:
        st.markdown(
            "**Deletion curves**", help="The faster a curve falls, the better its map ranks the important pixels."
        )
        chart = _curves(made)
        st.altair_chart(chart, width="stretch", alt="Deletion curves of all occluders")
    with right:
        st.markdown("**Table** — click a header to sort")
        frame = pd.DataFrame(made.rows())[list(HEADERS)]
        config = {name: st.column_config.Column(title, help=text) for name, (title, text) in HEADERS.items()}
        digits = {name: 1 if name in ("lost", "gained", "seconds") else 4 for name in frame.select_dtypes("number")}
        st.dataframe(frame.round(digits), hide_index=True, column_config=config)
    st.download_button(
        "Download the study (zip)",
        data=lambda: zip_of(study_contents(made)),
        file_name="study.zip",
        mime="application/zip",
        key=f"{prefix}study_zip",
        on_click="ignore",
        icon=":material/download:",
        help="The table, all curves, the pairwise agreement, the raw maps, and an image of all maps.",
    )


def _curves(made: Study) -> Any:
    frame = pd.concat(
        pd.DataFrame(
            {
                "fill": row["fill"],
                "size": f"{row['size']} px",
                "fraction": trial.curves.deletion.fraction,
                "score": trial.curves.deletion.score[0],
            }
        )
        for row, trial in zip(made.rows(), made.trials, strict=True)
    )
    fills = alt.Legend(orient="bottom", columns=4)
    # Grey strokes: by default the legend would show black dots, also in the dark theme.
    sizes = alt.Legend(
        orient="top", symbolType="stroke", symbolStrokeColor=drawing.CONTROL_COLOUR, symbolFillColor="transparent"
    )
    return (
        alt.Chart(frame)
        .mark_line(point={"size": 18})
        .encode(
            x=alt.X("fraction:Q", title="pixels hidden, most important first", axis=alt.Axis(format="%", tickCount=5)),
            y=alt.Y("score:Q", title="share of the clean probability"),
            # The theme's own colours come in pairs of similar hue, which are hard to tell apart.
            color=alt.Color("fill:N", title=None, sort=None, scale=alt.Scale(scheme="tableau10"), legend=fills),
            strokeDash=alt.StrokeDash("size:N", title=None, sort=None, legend=sizes),
            tooltip=["fill", "size", alt.Tooltip("fraction:Q", format=".0%"), alt.Tooltip("score:Q", format=".3f")],
        )
        .properties(height=350)
    )
