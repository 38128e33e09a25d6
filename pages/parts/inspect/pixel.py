"""One pixel, chosen by a click on the image, and the scores of all classes there."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import numpy.typing as npt
import pandas as pd
import streamlit as st

import perturb
from pages.parts.app.shell import Scene
from pages.parts.widgets.region_picker import Pick, region_picker
from perturb.core.colour import to_uint8
from perturb.core.files import png
from perturb.core.quoting import markdown_text
from perturb.targets.quality import IGNORED, true_labels
from perturb.targets.score_maps import PixelScores, at_pixel

MOST = 12
"""Number of classes in the chart: those with the highest scores, and the true one."""
TEXT = "#7d828c"
"""Colour of the numbers: readable on a light and on a dark background."""
ROLES = {"predicted": "#c2410c", "true": "#1d4ed8", "correct": "#0f766e", "other": "#8a8f98"}


def section(scene: Scene, logits: npt.NDArray[np.float32], prefix: str) -> None:
    """Choose a pixel by a click or by its coordinates; show the scores of the classes there."""
    st.subheader("One pixel", help="The class with the highest score is predicted.")
    image = scene.image
    left, right = st.columns((1, 1.4), gap="medium")
    with left:
        place = st.container()
        x, y = _inputs(image, prefix)

        def pick(picked: Pick) -> None:
            # A dragged box selects its central pixel.
            st.session_state[f"{prefix}x"] = (picked.x0 + picked.x1 - 1) // 2
            st.session_state[f"{prefix}y"] = (picked.y0 + picked.y1 - 1) // 2

        with place:
            region_picker(
                png(to_uint8(image.pixels)),
                width=image.width,
                height=image.height,
                alt=f"{image.name}; the chosen pixel is marked",
                key=f"{prefix}pixel",
                box=(x, y, x + 1, y + 1),
                outline_label=f"x {x}, y {y}",
                on_pick=pick,
            )
    seen, true = at_pixel(logits, x, y), _true(scene, x, y)
    classes = scene.segmenter.classes
    with right:
        st.markdown(_sentence(seen, true, tuple(map(markdown_text, classes))))
        frame = _frame(seen, true, classes)
        for column, (name, title) in zip(
            st.columns(2), {"logit": "score (logit)", "probability": "probability"}.items(), strict=True
        ):
            with column:
                st.altair_chart(
                    _bars(frame, name, title),
                    width="stretch",
                    alt=f"{title} of the classes at x {x}, y {y}; {classes[seen.predicted]} is the highest",
                )
        if len(frame) < len(classes):
            st.caption(f"The {len(frame)} classes with the highest scores of {len(classes)}.")


def _inputs(image: perturb.Image, prefix: str) -> tuple[int, int]:
    values = []
    for column, (name, size) in zip(st.columns(2), (("x", image.width), ("y", image.height)), strict=True):
        with column:
            values.append(
                int(
                    st.number_input(
                        name,
                        0,
                        size - 1,
                        size // 2,
                        key=f"{prefix}{name}",
                        bind="query-params",
                        help=f"Image pixels, 0 to {size - 1}. A click on the image sets it.",
                    )
                )
            )
    return values[0], values[1]


def _true(scene: Scene, x: int, y: int) -> int | None:
    """The true class of a pixel; None if unknown."""
    try:
        value = int(true_labels(scene.image, scene.segmenter.classes)[y, x])
    except perturb.TargetError:
        return None
    return None if value == IGNORED else value


def _sentence(seen: PixelScores, true: int | None, classes: tuple[str, ...]) -> str:
    order = np.argsort(-seen.logits, kind="stable")
    first = f"The segmenter predicts **{classes[seen.predicted]}** with probability {seen.probabilities[seen.predicted]:.3f}"
    if len(order) > 1:
        first += f"; next is {classes[order[1]]} with {seen.probabilities[order[1]]:.3f}"
    if true is None:
        return f"{first}. There is no ground truth here."
    return f"{first}. The ground truth is **{classes[true]}**: {'correct' if true == seen.predicted else 'wrong'}."


def _frame(seen: PixelScores, true: int | None, classes: tuple[str, ...]) -> pd.DataFrame:
    """The classes with the highest scores and the true one, with their roles."""
    order = [int(k) for k in np.argsort(-seen.logits, kind="stable")]
    chosen = [k for place, k in enumerate(order) if place < MOST or k == true]
    roles = []
    for k in chosen:
        said, is_true = k == seen.predicted, k == true
        roles.append("correct" if said and is_true else "predicted" if said else "true" if is_true else "other")
    return pd.DataFrame(
        {
            "class": [
                classes[k] + ("" if role == "other" else f" ({role})") for k, role in zip(chosen, roles, strict=True)
            ],
            "role": roles,
            "logit": seen.logits[chosen],
            "probability": seen.probabilities[chosen],
        }
    )


def _bars(frame: pd.DataFrame, name: str, title: str) -> Any:
    share = name == "probability"
    low, high = (0.0, 1.0) if share else (min(0.0, frame[name].min()), max(0.0, frame[name].max()))
    room = 0.45 * (high - low) or 1.0  # for the number next to the longest bar
    scale = alt.Scale(domain=[low if share else low - room, high + room], nice=False)
    ticks = alt.Axis(grid=False, values=[0, 0.5, 1]) if share else alt.Axis(grid=False, tickCount=4)
    x = alt.X(f"{name}:Q", title=title, scale=scale, axis=ticks)
    y = alt.Y("class:N", sort=list(frame["class"]), title=None, axis=alt.Axis(labelLimit=190, labelOverlap=False))
    base = alt.Chart(frame).encode(
        y=y,
        tooltip=["class", alt.Tooltip("logit:Q", format=".3f"), alt.Tooltip("probability:Q", format=".5f")],
    )
    colour = alt.Color("role:N", scale=alt.Scale(domain=list(ROLES), range=list(ROLES.values())), legend=None)
    bars = base.mark_bar().encode(x=x, color=colour)
    right = base.mark_text(align="left", dx=3, color=TEXT).encode(x=x, text=alt.Text(f"{name}:Q", format=".2f"))
    layers = [bars, right]
    if not share:
        above, below = alt.datum[name] >= 0, alt.datum[name] < 0
        left = base.mark_text(align="right", dx=-3, color=TEXT).encode(x=x, text=alt.Text(f"{name}:Q", format=".2f"))
        layers = [bars, right.transform_filter(above), left.transform_filter(below)]
    return alt.layer(*layers).properties(height=28 * len(frame) + 60)
