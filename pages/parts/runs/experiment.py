"""From widgets to a result: cost estimate, run, and display, also while the result is stale."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

import perturb
from pages.parts.app import report, shell
from pages.parts.app.shell import Scene
from pages.parts.figures import result_view
from pages.parts.runs import expected, jobs
from pages.parts.runs.paces import Meter, Pace
from pages.parts.widgets import controls
from perturb.core.quoting import markdown_text
from perturb.core.settings import Value
from perturb.engine.runner import Progress
from perturb.experiments.estimates import HEAVY, changes_that_fit, remedies
from perturb.methods.base import Outcome, Request
from perturb.methods.registry import METHODS
from perturb.metrics.curves import curve_forwards
from perturb.targets.target import Frozen

AT_ONCE = 600
"""Forward passes. A run that takes no more starts automatically when a visitor opens a page or changes the image."""
SOON = 180
"""Seconds. A run that is expected to take longer never starts automatically."""


class Explained(NamedTuple):
    """The outcome of a run: the map and its curves."""

    result: perturb.Attribution
    curves: perturb.Curves


@dataclass(frozen=True, eq=False)
class Plan:
    """A run as configured by the widgets.

    Attributes:
        scene, target, method, settings: what to run.
        prefix: of the page's keys.
        key: the same as text; plans with equal keys have equal results.
        frozen: the target on this image; None if it does not fit.
        forwards: passes of the method's own run.
        pace: expected pace of the map.
        curves_seconds: expected duration of the curves.
        error: why it cannot run; empty if it can.
    """

    scene: Scene
    target: perturb.Target
    method: str
    settings: dict[str, Any]
    prefix: str
    key: str
    frozen: Frozen | None
    forwards: int
    pace: Pace
    curves_seconds: float
    error: str

    @property
    def map_seconds(self) -> float:
        """Expected duration of the map."""
        return self.pace.seconds(self.forwards)

    def fits(self, seconds: float) -> str:
        """What would take at most so many seconds, in words."""
        if self.frozen is None:
            return remedies(self.method, self.scene.segmenter)
        request = Request(self.scene.image, self.scene.segmenter, self.frozen, self.settings)
        changes = changes_that_fit(request, self.method, lambda passes: self.pace.seconds(passes) <= seconds)
        return ", or ".join(changes) or remedies(self.method, self.scene.segmenter)


def plan(
    scene: Scene,
    target: perturb.Target,
    method: str,
    settings: dict[str, Value],
    prefix: str,
    region: Frozen | None = None,
) -> Plan:
    """Estimate the cost of a run and check whether it is possible, without running anything.

    Args:
        scene, target, method, settings, prefix: as in `Plan`.
        region: the target as defined by another segmenter on this image; by default by the scene's own.
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
    request = None if frozen is None or error else Request(image, segmenter, frozen, settings)
    key = json.dumps([*what, *sorted(settings.items())])
    return Plan(
        scene=scene,
        target=target,
        method=method,
        settings=settings,
        prefix=prefix,
        key=key,
        frozen=frozen,
        forwards=forwards,
        pace=Pace(scene.seconds) if request is None else expected.map_pace(request, method, scene.seconds),
        curves_seconds=expected.curves_seconds(segmenter, image, scene.seconds),
        error=error,
    )


def explain(names: Sequence[str], prefix: str) -> tuple[Plan, Explained | None]:
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
    asked = plan(scene, target, method.name, settings, prefix)
    return asked, show(asked)


def task_of(plan: Plan) -> jobs.Task[Explained]:
    """The task that runs a plan on its page."""
    return jobs.Task(f"{plan.prefix}run", plan.key)


def rest(plan: Plan, name: str = "rest") -> DeltaGenerator:
    """A named container for content below the map. It is greyed out while the result is stale."""
    return st.container(key=f"{plan.prefix}{name}_{'fresh' if task_of(plan).fresh else 'stale'}")


def soon(forwards: int, seconds: float, *, curves: int = 0) -> bool:
    """Whether a run is short enough to start automatically when its page is opened. Runs of heavy networks never do.

    Args:
        forwards: passes of the maps.
        seconds: of the whole run, its curves included.
        curves: passes of the curves.
    """
    return forwards <= AT_ONCE and seconds <= SOON and seconds <= HEAVY * (forwards + curves)


def show(plan: Plan) -> Explained | None:
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


def _status(plan: Plan, task: jobs.Task[Explained]) -> bool:
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
    plan: Plan,
    task: jobs.Task[Explained],
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
    """Compute the map of a plan and cache it for all visitors. Call it as a part of a job."""
    scene, shop = plan.scene, jobs.workshop()
    known = shop.results.get(plan.key)
    if known is not None:
        return known
    meter = Meter(progress, plan.forwards)
    result = perturb.explain(
        scene.image,
        scene.segmenter,
        plan.target,
        method=plan.method,
        progress=meter,
        preview=preview,
        frozen=plan.frozen,
        **plan.settings,
    )
    shop.keep(plan.key, result)
    expected.keep_map(result, meter.pace())
    return result


def compute_curves(key: str, result: perturb.Attribution, progress: Progress) -> perturb.Curves:
    """Compute the curves of a plan's result and cache them for all visitors. Call it as a part of a job.

    Args:
        key: of the plan.
        result: of the plan.
        progress: as for `perturb.curves`.
    """
    shop = jobs.workshop()
    known = shop.curves.get(key)
    if known is not None:
        return known
    meter = Meter(progress, curve_forwards())
    made = perturb.curves(result, progress=meter)
    shop.keep_curves(key, made)
    expected.keep_curves(result, meter.pace())
    return made


def _backward(method: str) -> bool:
    return "gradients" in METHODS[method].needs
