"""From widgets to a result: the run button with its cost, the run, and its display, also while the result is stale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, NoReturn

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

import perturb
from pages.parts.app import report, shell
from pages.parts.figures import result_view
from pages.parts.runs import jobs, planning
from pages.parts.runs.task import Task
from pages.parts.widgets import controls
from perturb.core.quoting import markdown_text
from perturb.engine.runner import Progress
from perturb.experiments.estimates import HEAVY, remedies
from perturb.methods.base import Outcome
from perturb.methods.registry import METHODS
from perturb.metrics.curves import curve_forwards


class Explained(NamedTuple):
    """The outcome of a run: the map and its curves."""

    result: perturb.Attribution
    curves: perturb.Curves


def explain(names: Sequence[str], prefix: str) -> tuple[planning.Plan, Explained | None]:
    """The common part of all experiment pages: target, method and settings, the run, the map and its curves.

    Args:
        names: of the methods to choose from.
        prefix: of the page's keys.

    Returns:
        The run as configured by the widgets, and its outcome; None while there is none.
    """
    scene = shell.scene()
    with st.container(border=True):
        if len(names) == 1 and not controls.able(names):
            st.stop()  # `able` has shown the reason
        target = controls.target_widgets(scene, prefix)
        method = METHODS[controls.method_widget(names, prefix) if len(names) > 1 else names[0]]
        settings = controls.method_settings(method.settings, prefix, scene)
    asked = planning.plan(scene, target, method.name, settings, prefix)
    return asked, show(asked)


def task_of(plan: planning.Plan) -> Task[Explained]:
    """The task that runs a plan on its page."""
    return Task(f"{plan.prefix}run", plan.key)


def rest(plan: planning.Plan, name: str = "rest") -> DeltaGenerator:
    """A named container for content below the map. It is greyed out while the result is stale."""
    return st.container(key=f"{plan.prefix}{name}_{'fresh' if task_of(plan).fresh else 'stale'}")


def show(plan: planning.Plan) -> Explained | None:
    """The run button with its cost, the image, the map and its curves. Starts a run if due. None while there is no result."""
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
    look = "fresh" if task.fresh or running else "stale"  # a stale result stays readable, but greyed out
    # These containers exist in every run, so that a result keeps its position on the page.
    note, map_place = middle.empty(), middle.container(key=f"{plan.prefix}map_{look}")
    curves_place = right.container(key=f"{plan.prefix}curves_{look}")

    def draw(result: perturb.Attribution) -> None:
        with map_place:
            result_view.heat_map(result, plan.prefix, _cell(result))

    if running:
        with progress:
            _run(plan, task, known, draw, note)
    if task.made is None:
        if not task.ended and not plan.error:  # otherwise the reason is shown above
            note.info("Nothing has been run on this page yet.", icon=":material/play_arrow:")
        return None
    draw(task.made.result)
    with curves_place:
        result_view.curves(task.made.curves, plan.prefix)
    return task.made


def _status(plan: planning.Plan, task: Task[Explained]) -> bool:
    """The run button, with the cost of a run or why it cannot start. Returns whether to run now."""
    known = plan.key in jobs.workshop().results
    seconds = plan.curves_seconds + (0.0 if known else plan.map_seconds)
    refused = ""
    if not plan.error and not task.fresh:
        refused = jobs.refusal(seconds, lambda most: plan.fits(most - plan.curves_seconds))
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button(
            "Run",
            type="primary",
            icon=":material/play_arrow:",
            key=f"{plan.prefix}run",
            disabled=bool(plan.error or refused) or task.fresh,
            help="Run the method and compute the deletion and insertion curves of its map.",
        )
        if plan.error:
            st.error(markdown_text(plan.error), icon=":material/error:")
            return False
        if refused:
            st.warning(f"{task.ended} {refused}".strip(), icon=":material/timer_off:")
            return False
        # Opening a page or changing the image starts a run; changing a setting does not, as more changes may follow.
        arrived = st.session_state["just_entered"] or (
            task.made is not None and task.made.result.image.key != plan.scene.image.key
        )
        at_once = arrived and planning.soon(plan.forwards, seconds, curves=curve_forwards()) and not task.stopped
        running = not task.fresh and (pressed or task.interrupted or at_once)
        passes = "forward and backward passes" if planning.backward(plan.method) else "forward passes"
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


def _advise(plan: planning.Plan) -> None:
    """For a heavy network: the duration of a pass, the expected duration of the run, and how to shorten it."""
    scene, total = plan.scene, plan.map_seconds + plan.curves_seconds
    st.info(
        f"A pass of **{scene.segmenter.name}** took {scene.seconds:.1f} s on this image, and this run takes about "
        f"{jobs.duration(total)}. It starts when you press Run. To shorten it: {remedies(plan.method, scene.segmenter)}.",
        icon=":material/hourglass_top:",
    )


def _cell(result: perturb.Attribution) -> tuple[int, int]:
    """Size in pixels of the cells that a click on the map picks: the stride of a sliding window, else one pixel."""
    stride = int(result.settings.get("stride", 1))
    return stride, stride


def _run(
    plan: planning.Plan,
    task: Task[Explained],
    known: perturb.Attribution | None,
    draw: Callable[[perturb.Attribution], None],
    draft: DeltaGenerator,
) -> NoReturn:
    """Compute the map, unless it is cached, then its curves. The map is drawn once complete, and previews before."""
    result = known

    def preview(outcome: Outcome) -> None:
        if plan.frozen is not None:
            with draft.container():
                result_view.draft(outcome, plan.scene, plan.frozen)

    def make_map(progress: Progress) -> None:
        nonlocal result
        result = planning.compute_map(plan, progress, preview)
        draft.empty()
        draw(result)

    def make_curves(progress: Progress) -> Explained:
        assert result is not None
        return Explained(result, planning.compute_curves(plan.key, result, progress))

    curves = jobs.Part(
        "Curves", curve_forwards(), plan.curves_seconds, make_curves, plan.method, plan.scene.segmenter.name
    )
    if known is not None:
        draw(known)
        task.run(curves, shared=True)
    task.run(planning.part_of(plan, "Map", make_map), curves, shared=True)
