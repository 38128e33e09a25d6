"""From widgets to a result: what it will cost, when it runs, and what is shown while it is stale."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, NoReturn

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

import perturb
from pages.parts.app import report, shell
from pages.parts.app.shell import Scene
from pages.parts.figures import result_view
from pages.parts.runs import jobs
from pages.parts.widgets import controls
from perturb.core.quoting import markdown_text
from perturb.core.settings import Value
from perturb.engine.runner import Progress
from perturb.experiments.estimates import HEAVY, remedies
from perturb.methods.base import Outcome, Request
from perturb.methods.registry import METHODS
from perturb.metrics.curves import curve_forwards
from perturb.targets.target import Frozen

AT_ONCE = 600
"""Forward passes. A run that takes no more starts by itself when a visitor comes to a page or to another picture."""
SHORTER = 0.5
"""A pass of a torch network in a run, as part of a whole one by itself: a guess until one was measured, and rather too long."""
SOON = 180
"""Seconds. A run that is expected to take longer waits for a press, however few its passes are."""


class Explained(NamedTuple):
    """What a run makes: the map, and the curves that test it."""

    result: perturb.Attribution
    curves: perturb.Curves


@dataclass(frozen=True, eq=False)
class Plan:
    """A run as the widgets ask for it.

    Attributes:
        scene, target, method, settings: what to run.
        prefix: of the page's keys.
        key: the same as text: two plans with one key have one result.
        frozen: the target on the picture; None where it does not fit.
        forwards: passes of the method's own run.
        map_seconds, curves_seconds: how long each is expected to take.
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
    map_seconds: float
    curves_seconds: float
    error: str


def plan(
    scene: Scene,
    target: perturb.Target,
    method: str,
    settings: dict[str, Value],
    prefix: str,
    region: Frozen | None = None,
) -> Plan:
    """Work out what a run would cost and whether it can be, without running anything.

    Args:
        scene, target, method, settings, prefix: as in `Plan`.
        region: the target as another segmenter fixes it on this picture; by default the scene's own segmenter does.
    """
    image, segmenter = scene.image, scene.segmenter
    what = [image.key, segmenter.name, segmenter.digest, target.label, target.region, target.score, method]
    frozen, forwards, error = None, 0, ""
    try:
        if region is None:
            frozen = target.freeze(image, scene.labels, segmenter.classes)
        else:
            what.append(region.digest())
            frozen = region.moved_to(scene.labels, segmenter.classes)
        forwards = METHODS[method].forwards(Request(image, segmenter, frozen, settings))
    except perturb.PerturbError as problem:
        error = str(problem)
    shorter = isinstance(segmenter, perturb.TorchSegmenter) and not _backward(method)
    pace = partial(jobs.workshop().pass_seconds, *_size(scene), scene.seconds * (SHORTER if shorter else 1))
    return Plan(
        scene=scene,
        target=target,
        method=method,
        settings=settings,
        prefix=prefix,
        key=json.dumps([*what, *sorted(settings.items())]),
        frozen=frozen,
        forwards=forwards,
        map_seconds=forwards * pace(what=_pace(method, settings)),
        curves_seconds=curve_forwards() * pace(),
        error=error,
    )


def explain(names: Sequence[str], prefix: str) -> tuple[Plan, Explained | None]:
    """All that a page of experiments shares: target, method and its settings, the run, the map and its curves.

    Args:
        names: of the methods to choose from.
        prefix: of the page's keys.

    Returns:
        The run as the widgets ask for it, and what it made; None while that is nothing.
    """
    scene = shell.scene()
    with st.container(border=True):
        if len(names) == 1 and not controls.able(names):
            st.stop()  # the reason stands there
        target = controls.target_widgets(scene, prefix)
        method = METHODS[controls.method_widget(names, prefix) if len(names) > 1 else names[0]]
        settings = controls.method_settings(method.settings, prefix, scene)
    asked = plan(scene, target, method.name, settings, prefix)
    return asked, show(asked)


def task_of(plan: Plan) -> jobs.Task[Explained]:
    """The run of a plan on its page."""
    return jobs.Task(f"{plan.prefix}run", plan.key)


def rest(plan: Plan, name: str = "rest") -> DeltaGenerator:
    """A place, by name, for what stands below the map and belongs to the same result; it looks stale when that is."""
    return st.container(key=f"{plan.prefix}{name}_{'fresh' if task_of(plan).fresh else 'stale'}")


def soon(forwards: int, seconds: float, *, curves: int = 0) -> bool:
    """Whether so long a run may start by itself when a visitor comes to its page; one of a heavy network never does.

    Args:
        forwards: passes of the maps.
        seconds: of the whole run, its curves included.
        curves: passes of the curves.
    """
    return forwards <= AT_ONCE and seconds <= SOON and seconds <= HEAVY * (forwards + curves)


def show(plan: Plan) -> Explained | None:
    """The run button with its cost, the picture, the map and its curves; runs what is due. None while there is no result."""
    task = task_of(plan)
    shop = jobs.workshop()
    known, known_curves = shop.results.get(plan.key), shop.curves.get(plan.key)
    if known is not None and known_curves is not None:
        task.keep(Explained(known, known_curves))
    running = _status(plan, task)
    if task.fresh:
        report.remember(plan.prefix)
    progress = st.container()
    left, middle, right = st.columns((1, 1.25, 1.15), gap="medium")
    with left:
        result_view.segmentation(plan.scene, plan.frozen, plan.target, plan.prefix)
    look = "fresh" if task.fresh or running else "stale"  # a stale result stays readable, and looks stale
    # The places are made in every run, so that a result stays where it stood while it was being made.
    note, map_place = middle.empty(), middle.container(key=f"{plan.prefix}map_{look}")
    curves_place = right.container(key=f"{plan.prefix}curves_{look}")

    def draw(result: perturb.Attribution) -> None:
        with map_place:
            result_view.heat_map(result, plan.prefix, _cell(result))

    if running:
        with progress:
            _run(plan, task, known, draw, note)
    if task.made is None:
        if not task.ended and not plan.error:  # else the reason stands above
            note.info("Nothing has been run on this page yet.", icon=":material/play_arrow:")
        return None
    draw(task.made.result)
    with curves_place:
        result_view.curves(task.made.curves, plan.prefix)
    return task.made


def _status(plan: Plan, task: jobs.Task[Explained]) -> bool:
    """The run button, and beside it what a press will cost or why it cannot be pressed. Returns whether to run now."""
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button(
            "Run",
            type="primary",
            icon=":material/play_arrow:",
            key=f"{plan.prefix}run",
            disabled=bool(plan.error) or task.fresh,
            help="Run the method, and draw its map and the curves that test it.",
        )
        if plan.error:
            st.error(markdown_text(plan.error), icon=":material/error:")
            return False
        # Who comes to the page or to another picture wants to see it explained; who moves a slider may not be done.
        arrived = st.session_state["just_entered"] or (
            task.made is not None and task.made.result.image.key != plan.scene.image.key
        )
        seconds = plan.map_seconds + plan.curves_seconds
        at_once = arrived and soon(plan.forwards, seconds, curves=curve_forwards()) and not task.stopped
        running = not task.fresh and (pressed or task.interrupted or at_once)
        passes = "forward and backward passes" if _backward(plan.method) else "forward passes"
        cost = (
            f"{plan.forwards} {passes} for the map and {curve_forwards()} for its curves, "
            f"about {jobs.duration(seconds)}"
        )
        if task.fresh:
            st.caption(f"Up to date: the result below belongs to these settings ({cost}).")
        elif running:
            st.caption("Running; changing a setting stops the run.")
        elif task.ended:
            st.warning(f"{task.ended} It takes {cost}.", icon=":material/stop_circle:")
        elif task.made is not None:
            st.warning(
                f"Stale: the settings have changed since the result below. Run: {cost}.", icon=":material/history:"
            )
        else:
            st.caption(f"{cost}.")
    if plan.scene.seconds > HEAVY and not task.fresh and not running:
        _advise(plan)
    return running


def _advise(plan: Plan) -> None:
    """Before a run of a heavy network: what a pass took, what the run will take, and what would help."""
    scene, total = plan.scene, plan.map_seconds + plan.curves_seconds
    st.info(
        f"A pass of **{scene.segmenter.name}** took {scene.seconds:.1f} s on this image, and this run takes about "
        f"{jobs.duration(total)}. It starts when you press Run. What makes it shorter: {remedies(plan.method, scene.segmenter)}.",
        icon=":material/hourglass_top:",
    )


def _cell(result: perturb.Attribution) -> tuple[int, int]:
    """The cells that a click on the map picks, in pixels: the steps of a sliding window, else single pixels."""
    stride = int(result.settings.get("stride", 1))
    return stride, stride


def _run(
    plan: Plan,
    task: jobs.Task[Explained],
    known: perturb.Attribution | None,
    draw: Callable[[perturb.Attribution], None],
    draft: DeltaGenerator,
) -> NoReturn:
    """Run the map, unless it is known, and then its curves; the map is drawn as soon as it is there, roughly before."""
    result = known

    def preview(outcome: Outcome) -> None:
        if plan.frozen is not None:
            with draft.container():
                result_view.draft(outcome, plan.scene, plan.frozen)

    def make_map(progress: Progress) -> None:
        nonlocal result
        result = compute_map(plan, progress, preview)
        draft.empty()
        draw(result)

    def make_curves(progress: Progress) -> Explained:
        assert result is not None
        return Explained(result, compute_curves(plan.key, result, progress))

    curves = jobs.Part("Curves", curve_forwards(), plan.curves_seconds, make_curves)
    if known is not None:
        draw(known)
        task.run(curves)
    task.run(jobs.Part("Map", plan.forwards, plan.map_seconds, make_map), curves)


def compute_map(
    plan: Plan, progress: Progress, preview: Callable[[Outcome], None] | None = None
) -> perturb.Attribution:
    """The map of a plan, known from now on to all visitors; to be called as a part of a job."""
    scene, shop = plan.scene, jobs.workshop()
    known = shop.results.get(plan.key)
    if known is not None:
        return known
    result = perturb.explain(
        scene.image,
        scene.segmenter,
        plan.target,
        method=plan.method,
        progress=progress,
        preview=preview,
        frozen=plan.frozen,
        **plan.settings,
    )
    shop.keep(plan.key, result)
    shop.seconds[*_size(scene), _pace(plan.method, plan.settings)] = result.seconds / result.forwards
    return result


def compute_curves(key: str, result: perturb.Attribution, progress: Progress) -> perturb.Curves:
    """The curves of a plan's result, known from now on to all visitors; to be called as a part of a job.

    Args:
        key: of the plan.
        result: of the plan.
        progress: as for `perturb.curves`.
    """
    shop = jobs.workshop()
    known = shop.curves.get(key)
    if known is not None:
        return known
    made = perturb.curves(result, progress=progress)
    shop.keep_curves(key, made)
    shop.seconds[result.segmenter.name, result.image.height, result.image.width, ""] = made.seconds / made.forwards
    return made


def _size(scene: Scene) -> tuple[str, int, int]:
    return scene.segmenter.name, scene.image.height, scene.image.width


def _pace(method: str, settings: Mapping[str, Any]) -> str:
    """The kind of passes that a run takes: with gradients, of what follows a layer, or of the whole network."""
    return "gradients" if _backward(method) else str(settings.get("layer", ""))


def _backward(method: str) -> bool:
    return "gradients" in METHODS[method].needs
