"""Foreground and background: the channels of a layer ablated inside the region, and outside it."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

import perturb
from pages.parts.app import elements
from pages.parts.figures import drawing
from pages.parts.runs import jobs, planning
from pages.parts.runs.task import Task
from perturb.core.colour import limit_of, outline, overlay
from perturb.core.quoting import markdown_text
from perturb.engine.runner import Progress

GROUNDS = {
    "foreground": ("Inside the region", "Foreground: channels set to zero inside the region"),
    "background": ("Outside the region", "Background: channels set to zero outside it"),
}
Pair = tuple[perturb.Attribution, perturb.Attribution]


def section(asked: planning.Plan, prefix: str) -> None:
    """Run both at the layer chosen above, and compare the maps on one colour scale and the effects of the channels.

    Args:
        asked: the plan of the page; its layer, target and image are used.
        prefix: of the page's keys.
    """
    st.subheader(
        "Foreground and background",
        help="Each channel of the layer above is set to zero only inside the region, then only outside it. Does the class "
        "depend on the object itself, or on its surroundings?",
    )
    if asked.frozen is None:
        st.caption("This needs a region; see the message above.")
        return
    plans = [
        planning.plan(asked.scene, asked.target, asked.method, {**asked.settings, "ablation": ground}, prefix)
        for ground in GROUNDS
    ]
    task: Task[Pair] = Task(f"{prefix}grounds", json.dumps([plan.key for plan in plans]))
    passes, seconds = sum(plan.forwards for plan in plans), sum(plan.map_seconds for plan in plans)
    cost = f"Layer {asked.settings['layer']}: {passes} forward passes of the sub-network after it, about {jobs.duration(seconds)}."
    running = task.offer(
        "Run both",
        cost,
        key=f"{prefix}grounds_run",
        seconds=seconds,
        fits=lambda _: "a layer with fewer channels, or a smaller image",
    )
    if running:
        inside, outside = plans

        def both(progress: Progress) -> Pair:
            # The first map is cached by now.
            return planning.compute_map(inside, progress), planning.compute_map(outside, progress)

        task.run(
            planning.part_of(inside, "Foreground", partial(planning.compute_map, inside)),
            planning.part_of(outside, "Background", both),
        )
    if task.made is not None:
        with st.container(key=f"{prefix}grounds_{'fresh' if task.fresh else 'stale'}"):
            _show(task.made)


def _show(pair: Pair) -> None:
    limit = max(limit_of(result.heatmap) for result in pair)
    lowest, highest = (float(f([f(result.heatmap) for result in pair])) for f in (np.min, np.max))
    st.markdown("**Both maps on one colour scale**")
    for column, result, (title, text) in zip(st.columns(2, gap="medium"), pair, GROUNDS.values(), strict=True):
        with column:
            canvas = outline(
                overlay(result.image.pixels, result.heatmap, limit=limit), result.frozen.region, (20, 20, 20)
            )
            elements.show(canvas, alt=f"{title}: heat map of {result.frozen.name}", caption=text)
    drawing.colour_bar(limit, pair[0].unit(), signed=True, used=(lowest, highest))
    first = pair[0]
    share = float(first.frozen.region.mean())
    sizes = [float(np.abs(drops(result)).mean()) for result in pair]
    st.table(pd.DataFrame([_row(result) for result in pair], index=[title for title, _ in GROUNDS.values()]))
    larger, smaller = ("inside", "outside") if sizes[0] >= sizes[1] else ("outside", "inside")
    st.caption(
        f"Means over all {len(first.readings)} channels of layer {markdown_text(str(first.facts['layer']))}, except the largest drop. "
        f"Clean score ({first.frozen.target.score}): {elements.number(float(first.clean.score[0]))}. On average, ablating a "
        f"channel {larger} the region changes the score more than {smaller} it. The region covers "
        f"{elements.percent(share)} of the image."
    )
    for note in dict.fromkeys(note for result in pair for note in result.notes):
        st.info(markdown_text(note), icon=":material/info:")


def drops(result: perturb.Attribution) -> npt.NDArray[np.float64]:
    """Drop of the score without each channel, float64 `(C,)`."""
    return np.asarray(result.clean.score[0] - result.readings.score)


def _row(result: perturb.Attribution) -> dict[str, str]:
    drop, readings = drops(result), result.readings
    return {
        "Drop of the score": elements.number(float(drop.mean()), signed=True),
        "Change of the score": elements.number(float(np.abs(drop).mean())),
        "Largest drop": elements.number(float(drop.max()), signed=True),
        "Pixels lost": elements.number(float(readings.lost.mean())),
        "Pixels gained": elements.number(float(readings.gained.mean())),
    }
