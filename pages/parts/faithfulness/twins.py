"""Known answers: a street, two segmenters, a planted cue, and whether a method's map finds it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import streamlit as st

from pages.parts.app import elements, shell
from pages.parts.figures import drawing
from pages.parts.runs import expected, jobs
from pages.parts.runs.task import Task
from perturb.core.colour import blend, label_colours, limit_of, outline, overlay, to_uint8
from perturb.engine.runner import Progress
from perturb.images.planted import PLANTED_SEEDS, load_planted
from perturb.methods.registry import METHODS
from perturb.metrics.planted_shortcut import SETTINGS, TWINS, Case, Flip, Search, flip, search, search_forwards

STREETS = {f"Street {number}": seed for number, seed in enumerate(PLANTED_SEEDS, 1)}
PREFIX = "twins_"
CUE_COLOUR = (255, 255, 0)


def section() -> None:
    """Choose a street and a method; show both predictions without and with the board, and both maps."""
    st.subheader(
        "Known answers", help="Two segmenters, and a cue that is known to change the prediction of one of them."
    )
    st.caption(
        "`streets-shortcut` is `streets-unet` with a planted shortcut: it was trained to call the car a bicyclist when a small "
        "magenta board is at the roadside. The two images of a street differ only in the board, so it alone causes any change "
        "of the prediction. A map of `streets-shortcut` that does not highlight the board is wrong."
    )
    left, right = st.columns(2)
    with left:
        street = st.selectbox(
            "Street",
            tuple(STREETS),
            key=f"{PREFIX}street",
            bind="query-params",
            help="Drawn streets that neither segmenter was trained on.",
        )
    with right:
        method = st.selectbox(
            "Method",
            tuple(SETTINGS),
            key=f"{PREFIX}method",
            bind="query-params",
            help="Explains the predicted class of the car for both segmenters, with the board in the image. About 120 forward passes each.",
        )
    seed = STREETS.get(str(street), PLANTED_SEEDS[0])
    method = method if method in SETTINGS else next(iter(SETTINGS))
    flips = {name: _flip(name, seed) for name in TWINS}
    honest, shortcut = (flips[name] for name in TWINS)
    first, second, third = st.columns(3, gap="medium")
    with first:
        st.markdown("**The street**")
        for one, words in ((honest.without, "without the board"), (honest.shown, "with the board")):
            elements.show(_mark(to_uint8(one.image.pixels), one), alt=f"The street {words}", caption=words)
    for place, made in ((second, honest), (third, shortcut)):
        with place:
            _predictions(made)
    _search(method, seed, [made.shown for made in flips.values()])


@st.cache_resource(max_entries=24, show_spinner="Segmenting the street …")
def _flip(name: str, seed: int) -> Flip:
    return flip(shell.load(name), load_planted(seed, False), load_planted(seed, True))


def _predictions(made: Flip) -> None:
    segmenter = made.shown.segmenter
    st.markdown(f"**{segmenter.name}**")
    for one, words in ((made.without, "without the board"), (made.shown, "with the board")):
        canvas = blend(one.image.pixels, label_colours(one.frozen.labels, segmenter.palette), 0.75)
        elements.show(
            _mark(outline(canvas, one.frozen.region, (255, 255, 255)), one),
            alt=f"Segmentation by {segmenter.name} {words}; the car is predicted as {one.name}",
            caption=f"{words}: *{one.name}*",
        )
    drawing.legend(made.shown.frozen.labels, segmenter.classes, segmenter.palette, made.shown.name)
    share = f"{elements.percent(made.changed)} of the car's pixels change"
    if made.flipped:
        st.markdown(
            f"The board alone changes the prediction from **{made.without.name}** to **{made.shown.name}**: {share}."
        )
    else:
        st.markdown(f"The prediction is **{made.shown.name}** with and without the board: {share}.")


def _search(method: str, seed: int, cases: list[Case]) -> None:
    """The run button, and both maps on one colour scale with how well they find the board."""
    task: Task[list[Search]] = Task(f"{PREFIX}search", f"{method} {seed}")
    passes = search_forwards(cases, method)
    first = cases[0]
    size, kind = (first.segmenter.name, first.image.height, first.image.width), f"search by {method}"
    seconds = expected.job_pace(size, kind, 0.04).seconds(passes)
    cost = f"Both segmenters, {passes:,} forward passes, about {jobs.duration(seconds)}."
    running = task.offer(
        "Run",
        cost,
        key=f"{PREFIX}run",
        seconds=seconds,
        fits=lambda _: "a faster method",
        text="Explain the predicted class of the car for both segmenters, with the board in the image.",
        stale="Stale: the maps below belong to other settings. Run:",
    )
    if running:

        def find(progress: Progress) -> list[Search]:
            return expected.measured(size, kind, passes, progress, lambda meter: search(cases, method, progress=meter))

        task.run(jobs.Part("Search", passes, seconds, find, method, first.segmenter.name, first.image))
    if task.made is not None:
        with st.container(key=f"{PREFIX}maps_{'fresh' if task.fresh else 'stale'}"):
            _maps(task.made)


def _maps(made: list[Search]) -> None:
    limit = max(limit_of(one.relevance) for one in made)
    for place, one in zip(st.columns(2, gap="medium"), made, strict=True):
        with place:
            name = one.case.segmenter.name
            canvas = overlay(one.case.image.pixels, one.relevance, limit=limit)
            elements.show(
                _mark(outline(canvas, one.case.frozen.region, (20, 20, 20)), one.case),
                alt=f"{METHODS[one.result.method].title} of {name} for {one.case.name}; the board is outlined",
                caption=f"{name}: why *{one.case.name}*?",
            )
            st.markdown(
                f"Cue found: **{one.found:.3f}**",
                help="The probability that a pixel of the board ranks above a pixel of the remaining background (AUC). 1 is perfect, 0.5 "
                "is chance level. For `streets-unet`, which ignores the board, it shows the effect of the board's position alone.",
            )
    drawing.colour_bar(limit, made[0].unit, signed=True)


def _mark(canvas: npt.NDArray[np.uint8], one: Case) -> npt.NDArray[np.uint8]:
    """The image with a ring around the board, if there is one. The ring does not cover the small board itself."""
    if not one.scene.shown:
        return canvas
    around = cv2.dilate(one.scene.cue.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    return outline(canvas, around, CUE_COLOUR)
