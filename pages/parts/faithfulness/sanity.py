"""Sanity checks: the cascading parameter randomization test, and other seeds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

import perturb
from pages.parts.app import elements
from pages.parts.app.shell import Scene
from pages.parts.figures import drawing
from pages.parts.runs import jobs, planning
from pages.parts.runs.task import Task
from pages.parts.widgets import controls
from perturb.core.colour import overlay, readable_limit
from perturb.core.quoting import markdown_text
from perturb.engine.runner import Progress
from perturb.methods.registry import METHODS
from perturb.metrics.randomization import SEEDS, STAGES, Stage, randomise, reseed
from perturb.segmenters.base import lacking

ALIKE = 0.5
"""Rank correlation or structural similarity above which a map of randomized weights counts as similar."""


@dataclass(frozen=True, eq=False)
class Checked:
    """The outcome of both checks for one result."""

    result: perturb.Attribution
    stages: tuple[Stage, ...]
    seeds: tuple[Stage, ...]


def widgets(prefix: str) -> tuple[str, int]:
    """The choice of the method and the number of stages."""
    method = controls.method_widget(tuple(METHODS), f"{prefix}sanity_")
    stages = st.slider(
        "Stages",
        1,
        12,
        STAGES,
        key=f"{prefix}stages",
        bind="query-params",
        help="Number of steps in which the weights are randomized, from the logits back to the input. Each step runs the method once.",
    )
    return method, int(stages)


def section(scene: Scene, target: perturb.Target, method: str, stages: int, prefix: str) -> None:
    """Run both checks and show the results."""
    if reason := lacking(scene.segmenter, ("weights",), "this check"):
        st.info(markdown_text(reason), icon=":material/block:")
        return
    plan = planning.plan(scene, target, method, controls.default_settings(method, scene), prefix)
    task: Task[Checked] = Task(f"{prefix}sanity", json.dumps([plan.key, stages]))
    if plan.error:
        st.error(markdown_text(plan.error), icon=":material/error:")
        return
    known = plan.key in jobs.workshop().results
    runs = stages + SEEDS
    count = runs + (not known)
    cost = (
        f"{count} runs of {method}, {count * plan.forwards:,} forward passes, "
        f"about {jobs.duration(count * plan.map_seconds)}."
    )
    running = task.offer(
        "Check",
        cost,
        key=f"{prefix}sanity_run",
        seconds=count * plan.map_seconds,
        fits=lambda _: "fewer stages, a faster method or a smaller image",
        text="Explain with the trained weights, then with more and more layers randomized, then with other seeds.",
        primary=True,
        up_to_date="Up to date: the checks below belong to these settings.",
    )
    if running:
        made: dict[str, object] = {}

        def explain(progress: Progress) -> None:
            made["result"] = planning.compute_map(plan, progress)

        def randomized(progress: Progress) -> None:
            made["stages"] = randomise(_result(made), stages=stages, progress=progress)

        def draw(progress: Progress) -> Checked:
            stages_made = made["stages"]
            assert isinstance(stages_made, tuple)
            return Checked(_result(made), stages_made, reseed(_result(made), progress=progress))

        task.run(
            planning.part_of(plan, "Map", explain),
            planning.part_of(plan, "Randomized weights", randomized, stages),
            planning.part_of(plan, "Other seeds", draw, SEEDS),
        )
    if task.made is not None:
        with st.container(key=f"{prefix}sanity_{'fresh' if task.fresh else 'stale'}"):
            _show(task.made)


def _result(made: dict[str, object]) -> perturb.Attribution:
    result = made["result"]
    assert isinstance(result, perturb.Attribution)
    return result


def _show(checked: Checked) -> None:
    last = checked.stages[-1]
    st.markdown(
        "**Parameter randomization, from the logits back to the input**",
        help="Adebayo et al. 2018. A map that stays the same when the weights are randomized depends on the image, not on the trained "
        "segmenter. The weights of each layer are drawn with the layer's own mean and standard deviation. The region stays fixed.",
    )
    alike = [value for value in (last.spearman, last.ssim) if value is not None]
    numbers = (
        f"rank correlation {elements.number(last.spearman or 0.0, signed=True)}, "
        f"structural similarity {elements.number(last.ssim or 0.0, signed=True)}"
    )
    if not alike:
        st.success(
            "With all weights randomized, the map is constant: it depends on the trained weights.",
            icon=":material/check:",
        )
    elif max(alike) > ALIKE:
        st.warning(
            f"With all weights randomized, the map is still similar to the original ({numbers}): part of it comes from the image, "
            "the region or the method, not from the trained weights.",
            icon=":material/warning:",
        )
    else:
        st.success(
            f"With all weights randomized, the map differs from the original ({numbers}): it depends on the trained weights.",
            icon=":material/check:",
        )
    left, right = st.columns((1, 1.3), gap="medium")
    with left:
        st.altair_chart(
            _chart(checked), width="stretch", alt="Similarity with the original map by number of randomized layers"
        )
    with right:
        _tiles(checked.result, [("trained", checked.result.heatmap), *((s.name, s.heatmap) for s in checked.stages)])
    st.markdown(
        "**Other seeds**",
        help="The same explanation with other random seeds. Differences are due to chance. Deterministic methods do not change.",
    )
    ranks = [stage.spearman for stage in checked.seeds if stage.spearman is not None]
    if ranks and min(ranks) > 0.9999:
        st.caption("Nothing changes: with these settings the method does not depend on the seed.")
    elif ranks:
        st.caption(
            f"Rank correlation with the map of seed {checked.result.seed}: {', '.join(f'{rank:.3f}' for rank in ranks)}. "
            "Below 0.9, take more samples before interpreting details."
        )
    _tiles(
        checked.result,
        [(f"seed {checked.result.seed}", checked.result.heatmap), *((s.name, s.heatmap) for s in checked.seeds)],
    )


def _chart(checked: Checked) -> Any:
    rows = [(0, "trained", "rank correlation", 1.0), (0, "trained", "structural similarity", 1.0)]
    for stage in checked.stages:
        for measure, value in (("rank correlation", stage.spearman), ("structural similarity", stage.ssim)):
            if value is not None:
                rows.append((stage.layers, stage.name, measure, value))
    frame = pd.DataFrame(rows, columns=["layers", "down to", "measure", "similarity"])
    return (
        alt.Chart(frame)
        .mark_line(point={"size": 40})
        .encode(
            x=alt.X("layers:Q", title="randomized layers, from the logits", axis=alt.Axis(tickMinStep=1)),
            y=alt.Y("similarity:Q", title="similarity with the original map", scale=alt.Scale(domainMax=1)),
            color=alt.Color("measure:N", title=None, legend=alt.Legend(orient="top")),
            tooltip=["down to", "layers", "measure", alt.Tooltip("similarity:Q", format=".3f")],
        )
        .properties(height=300)
    )


def _tiles(result: perturb.Attribution, maps: list[tuple[str, np.ndarray]]) -> None:
    with st.container(horizontal=True):
        for name, heatmap in maps:
            with st.container(width=150, gap="xsmall"):
                values = heatmap - np.float32(result.neutral)
                limit = readable_limit(values)
                tile = overlay(result.image.pixels, values, limit=limit, signed=result.signed())
                ends = drawing.ends(values, limit, signed=result.signed())
                elements.show(tile, alt=f"Map: {name}", caption=f"{markdown_text(name)} ({ends})")
