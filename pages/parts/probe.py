"""The probe: one perturbation, looked at closely."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import streamlit as st

import perturb
from pages.parts import figures
from perturb.colour import blend, label_colours, outline, tint, to_uint8
from perturb.masks import Windows

LOST, GAINED = (230, 97, 1), (0, 150, 220)


@st.fragment
def show(result: perturb.Result, windows: Windows, prefix: str) -> None:
    """Choose a window by its place or its rank; see the perturbed picture, its segmentation, and what changed."""
    state = st.session_state
    x_key, y_key = f"{prefix}wx", f"{prefix}wy"
    order = ranking(result)

    def step(by: int | None) -> None:
        current = windows.at(state[x_key], state[y_key])
        rank = 0 if by is None else int(np.flatnonzero(order == current)[0]) + by
        state[x_key], state[y_key] = windows.centre(int(order[rank % len(order)]))

    strongest = windows.centre(int(order[0]))
    if f"{prefix}picked" in state:
        state[x_key], state[y_key] = windows.centre(windows.at(*state.pop(f"{prefix}picked")))
    elif (state.get(x_key), state.get(y_key)) == state.get(f"{prefix}strongest") != strongest:
        # The visitor has not left the strongest window, so a new result shows its own strongest.
        state[x_key], state[y_key] = strongest
    state[f"{prefix}strongest"] = strongest
    st.subheader(
        "Probe one window", help="Runs the segmenter once more on the picture with exactly this window hidden."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        with st.container(width=130):
            x = st.number_input(
                "x",
                0,
                result.image.width - 1,
                strongest[0],
                key=x_key,
                bind="query-params",
                help="Centre of the window in picture pixels; the nearest window is shown.",
            )
        with st.container(width=130):
            y = st.number_input(
                "y",
                0,
                result.image.height - 1,
                strongest[1],
                key=y_key,
                bind="query-params",
                help="Centre of the window in picture pixels; the nearest window is shown.",
            )
        st.button(
            "Strongest",
            icon=":material/first_page:",
            on_click=step,
            args=(None,),
            help="The window with the largest change.",
        )
        st.button(
            "Stronger", icon=":material/chevron_left:", on_click=step, args=(-1,), help="One place up in the ranking."
        )
        st.button(
            "Next", icon=":material/chevron_right:", on_click=step, args=(1,), help="One place down in the ranking."
        )
    index = windows.at(int(x), int(y))
    rank = int(np.flatnonzero(order == index)[0])
    seen = perturb.probe(result, index)  # one forward pass, which need not wait for another visitor's run
    reading = seen.reading
    before, after = float(result.clean.score[0]), float(reading.score[0])
    left, middle, right = st.columns(3, gap="medium")
    with left:
        figures.show(
            outline(to_uint8(seen.pixels), seen.hidden, (255, 255, 255)), alt="The picture with the window hidden"
        )
        x0, y0, x1, y1 = windows.box(index)
        st.caption(
            f"The perturbed picture: window {index + 1} of {len(windows)}, x {x0} to {x1 - 1}, y {y0} to {y1 - 1}."
        )
    with middle:
        colours = label_colours(seen.labels, result.segmenter.palette)
        figures.show(blend(seen.pixels, colours, 0.7), alt="The new segmentation")
        st.caption("Its new segmentation, in the colours of the legend above.")
    with right:
        figures.show(_changes(result, seen.lost, seen.gained), alt="Pixels lost and gained")
        st.html(_counts(reading))
    st.markdown(
        f"Rank **{rank + 1}** of {len(order)} by change of the score. Score "
        f"{figures.number(before, signed=True)} → {figures.number(after, signed=True)}, a drop of "
        f"**{figures.number(before - after, signed=True)}** {result.frozen.target.score}; IoU with the clean mask "
        f"**{reading.iou[0]:.3f}**."
    )


def ranking(result: perturb.Result) -> npt.NDArray[np.int64]:
    """Perturbations by the size of their change of the score, largest first."""
    return np.argsort(-np.abs(result.readings.score - result.clean.score[0]), kind="stable")


def _changes(
    result: perturb.Result, lost: npt.NDArray[np.bool_], gained: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    grey = to_uint8(
        np.repeat(result.image.pixels.mean(2, keepdims=True), 3, axis=2) * np.float32(0.6) + np.float32(0.3)
    )
    canvas = tint(tint(grey, lost, LOST), gained, GAINED)
    return outline(outline(canvas, lost, LOST), gained, GAINED)


def _counts(reading: perturb.Readings) -> str:
    rows = []
    for colour, name, count, hidden in (
        (LOST, "lost", reading.lost[0], reading.lost_hidden[0]),
        (GAINED, "gained", reading.gained[0], reading.gained_hidden[0]),
    ):
        swatch = f"<span style='display:inline-block;width:.75rem;height:.75rem;border-radius:.15rem;background:rgb{colour}'></span>"
        rows.append(f"{swatch} <b>{count:,}</b> pixels {name}, {hidden:,} of them under the window")
    return f"<div style='font-size:.85rem'>{'<br>'.join(rows)}</div>"
