"""From widgets to a result: what it will cost, when it runs, and what is shown while it is stale."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st

import perturb
from pages.parts import jobs, views
from pages.parts.shell import Scene
from perturb.curves import curve_forwards
from perturb.engine import Progress
from perturb.methods import METHODS
from perturb.settings import Value
from perturb.targets import Frozen

AT_ONCE = 600
"""Forward passes. A run that takes no more starts by itself when a visitor comes to a page or to another picture."""


@dataclass(frozen=True, eq=False)
class Plan:
    """A run as the widgets ask for it.

    Attributes:
        scene, target, method, settings: what to run.
        prefix: of the page's keys.
        key: the same as text: two plans with one key have one result.
        frozen: the target on the picture; None where it does not fit.
        forwards: passes of the method's own run.
        seconds: how long map and curves are expected to take.
        error: why it cannot run, in words; empty if it can.
    """

    scene: Scene
    target: perturb.Target
    method: str
    settings: dict[str, Any]
    prefix: str
    key: str
    frozen: Frozen | None
    forwards: int
    seconds: float
    error: str


def plan(scene: Scene, target: perturb.Target, method: str, settings: dict[str, Value], prefix: str) -> Plan:
    """Work out what a run would cost and whether it can be, without running anything."""
    image, segmenter = scene.image, scene.segmenter
    what = [image.digest, segmenter.name, segmenter.digest, target.label, target.region, target.score, method]
    frozen, forwards, error = None, 0, ""
    try:
        frozen = target.freeze(image, scene.labels, segmenter.classes)
        forwards = METHODS[method].forwards(image, segmenter, frozen, settings)
    except perturb.PerturbError as problem:
        error = str(problem)
    each = jobs.workshop().pass_seconds(segmenter.name, image.height, image.width, scene.seconds)
    return Plan(
        scene=scene,
        target=target,
        method=method,
        settings=settings,
        prefix=prefix,
        key=json.dumps([*what, *sorted(settings.items())]),
        frozen=frozen,
        forwards=forwards,
        seconds=(forwards + curve_forwards()) * each,
        error=error,
    )


def show(plan: Plan) -> perturb.Result | None:
    """The run button with its cost, the picture, the map and its curves; runs what is due. None while there is no result."""
    state, shop = st.session_state, jobs.workshop()
    slot, pending, stopped = (f"{plan.prefix}{name}" for name in ("result", "pending", "stopped"))
    known = shop.results.get(plan.key)
    if known is not None and known.latest_curves is not None:
        state[slot] = (plan.key, known)
    held: tuple[str, perturb.Result | None] = state.get(slot, ("", None))
    key, result = held

    def stop() -> None:
        state.pop(pending, None)
        state[stopped] = plan.key

    fresh = key == plan.key
    pressed = _status(plan, fresh=fresh, has_result=result is not None)
    # A run that a widget interrupted goes on if it is still the one that is asked for; a stopped one does not.
    interrupted = state.get(pending) == plan.key
    # Who comes to the page or to another picture wants to see it explained; who moves a slider may not be done.
    arrived = state["just_entered"] or (result is not None and result.image.digest != plan.scene.image.digest)
    at_once = arrived and plan.forwards <= AT_ONCE and state.get(stopped) != plan.key
    due = pressed or interrupted or at_once
    left, middle, right = st.columns((1, 1.25, 1.15), gap="medium")
    with left:
        views.segmentation(plan.scene, plan.frozen, plan.target, plan.prefix)
    running = due and not fresh and not plan.error
    look = "fresh" if fresh or running else "stale"  # a stale result stays readable, and looks stale
    # The places are made in every run, so that a result stays where it stood while it was being made.
    map_progress, map_place = middle.container(), middle.container(key=f"{plan.prefix}map_{look}")
    curves_progress, curves_place = right.container(), right.container(key=f"{plan.prefix}curves_{look}")
    st.html("<style>[class*='_stale'] {opacity: .45; filter: grayscale(.5)}</style>")
    if running:
        state[pending] = plan.key
        with map_progress:
            result = known or _map(plan, stop)
        with map_place:
            views.heat_map(result, plan.prefix, _cell(result))
        with curves_progress:
            _curves(result, stop)
        state.pop(pending, None)
        state[slot] = (plan.key, result)
        st.rerun()  # so that everything above the result says what is now true
    with map_place:
        if result is None:
            st.info("Nothing has been run on this page yet.", icon=":material/play_arrow:")
            return None
        views.heat_map(result, plan.prefix, _cell(result))
    with curves_place:
        views.curves(result, plan.prefix)
    return result


def _status(plan: Plan, *, fresh: bool, has_result: bool) -> bool:
    """The run button, and beside it what a press will cost or why it cannot be pressed. Returns whether it was."""
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button(
            "Run",
            type="primary",
            icon=":material/play_arrow:",
            key=f"{plan.prefix}run",
            disabled=bool(plan.error) or fresh,
            help="Hide each part in turn, run the segmenter again, and draw the map and its curves.",
        )
        if plan.error:
            st.error(plan.error, icon=":material/error:")
            return False
        cost = (
            f"{plan.forwards} forward passes for the map and {curve_forwards()} for its curves, "
            f"about {jobs.duration(plan.seconds)}"
        )
        if fresh:
            st.caption(f"Up to date: the result below belongs to these settings ({cost}).")
        elif has_result:
            st.warning(
                f"Stale: the settings have changed since the result below. Run: {cost}.", icon=":material/history:"
            )
        else:
            st.caption(f"{cost}.")
    return pressed


def _cell(result: perturb.Result) -> tuple[int, int]:
    """The cells that a click on the map picks, in pixels: the steps of a sliding window, else single pixels."""
    stride = int(result.settings.get("stride", 1))
    return stride, stride


def _map(plan: Plan, stop: Callable[[], None]) -> perturb.Result:
    scene = plan.scene

    def compute(progress: Progress) -> perturb.Result:
        return perturb.explain(
            scene.image, scene.segmenter, plan.target, method=plan.method, progress=progress, **plan.settings
        )

    share = plan.forwards / (plan.forwards + curve_forwards())
    result = jobs.work("Map", plan.forwards, share * plan.seconds, compute, stop=stop)
    shop = jobs.workshop()
    shop.keep(plan.key, result)
    shop.seconds[scene.segmenter.name, scene.image.height, scene.image.width] = result.seconds / result.forwards
    return result


def _curves(result: perturb.Result, stop: Callable[[], None]) -> None:
    passes = curve_forwards()
    seconds = passes * result.seconds / result.forwards
    jobs.work("Curves", passes, seconds, lambda progress: perturb.curves(result, progress=progress), stop=stop)
