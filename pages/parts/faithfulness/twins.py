"""Known answers on the page: one street, two twins, one cue, and whether a method's map finds it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import streamlit as st

from pages.parts.app import elements, shell
from pages.parts.figures import drawing
from pages.parts.runs import jobs
from perturb.core.colour import blend, label_colours, limit_of, outline, overlay, to_uint8
from perturb.images.planted import PLANTED_SEEDS, load_planted
from perturb.methods.registry import METHODS
from perturb.metrics.planted_shortcut import SETTINGS, TWINS, Case, Flip, Search, flip, search, search_forwards

STREETS = {f"Street {number}": seed for number, seed in enumerate(PLANTED_SEEDS, 1)}
PREFIX = "twins_"
CUE_COLOUR = (255, 255, 0)


def section() -> None:
    """Choose a street; see what both twins make of it without and with the board; explain, and see who finds the board."""
    st.subheader("Known answers", help="Two twins, and a cue that is known to decide what one of them says.")
    st.caption(
        "`streets-shortcut` is `streets-unet` with a planted flaw: it was taught to call the car a bicyclist when a small "
        "magenta board stands at the roadside. The two pictures of a street are the same but for the board, so whatever "
        "changes in a prediction is the board's doing. A map of the flawed twin that does not show the board is wrong."
    )
    left, right = st.columns(2)
    with left:
        street = st.selectbox(
            "Street",
            tuple(STREETS),
            key=f"{PREFIX}street",
            bind="query-params",
            help="Drawn streets that neither twin was trained on.",
        )
    with right:
        method = st.selectbox(
            "Method",
            tuple(SETTINGS),
            key=f"{PREFIX}method",
            bind="query-params",
            help="Explains the car's class, with the board in the picture, under both twins. About 120 forward passes each.",
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
            alt=f"Segmentation by {segmenter.name} {words}; the car is called {one.name}",
            caption=f"{words}: *{one.name}*",
        )
    drawing.legend(made.shown.frozen.labels, segmenter.classes, segmenter.palette, made.shown.name)
    share = f"{elements.percent(made.changed)} of the car's pixels change"
    if made.flipped:
        st.markdown(f"The board alone turns the **{made.without.name}** into a **{made.shown.name}**: {share}.")
    else:
        st.markdown(f"With and without the board it is a **{made.shown.name}**: {share}.")


def _search(method: str, seed: int, cases: list[Case]) -> None:
    """The run button, and both maps on one scale with how well they find the board."""
    task: jobs.Task[list[Search]] = jobs.Task(f"{PREFIX}search", f"{method} {seed}")
    passes = search_forwards(cases, method)
    first = cases[0]
    seconds = passes * jobs.workshop().pass_seconds(first.segmenter.name, first.image.height, first.image.width, 0.04)
    cost = f"Both twins, {passes:,} forward passes, about {jobs.duration(seconds)}."
    running = task.offer(
        "Run",
        cost,
        key=f"{PREFIX}run",
        text="Explain the car's class under both twins, with the board in the picture.",
        stale="Stale: the maps below belong to other settings. Run:",
    )
    if running:
        task.run(jobs.Part("Search", passes, seconds, lambda progress: search(cases, method, progress=progress)))
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
                help="The chance that a pixel of the board ranks above one of the rest of the background (AUC). 1 is a "
                "perfect find, 0.5 is chance. On the honest twin it says what the board's place alone is worth.",
            )
    drawing.colour_bar(limit, made[0].unit, signed=True)


def _mark(canvas: npt.NDArray[np.uint8], one: Case) -> npt.NDArray[np.uint8]:
    """The same picture with a ring around the board, where there is one; a ring on it would cover what is so small."""
    if not one.scene.shown:
        return canvas
    around = cv2.dilate(one.scene.cue.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    return outline(canvas, around, CUE_COLOUR)
