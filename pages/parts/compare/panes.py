"""The panes of a comparison: their settings, their total cost, and one run for all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import streamlit as st

import perturb
from pages.parts.app import segmenter_choice, shell
from pages.parts.app.shell import Scene
from pages.parts.runs import jobs, planning
from pages.parts.runs.task import Task
from pages.parts.widgets import controls
from perturb.core.quoting import markdown_text
from perturb.core.settings import Value
from perturb.engine.runner import Progress
from perturb.methods.registry import METHODS
from perturb.targets.target import Frozen, Target

COUNTS = ("2", "3", "4")
SIDEBAR = "as in the sidebar"
DEFAULTS = ("occlusion", "feature-ablation", "grad-cam", "integrated-gradients")
"""Default methods of the panes. Each takes seconds; the first two can explain every segmenter."""
REGIONS = {
    "shared": "All panes explain the same pixels: the region as pane 1's segmenter predicts it.",
    "own": "Each pane explains the region that its own segmenter predicts.",
}


@dataclass(frozen=True, eq=False)
class Pane:
    """One pane as configured by its widgets.

    Attributes:
        number: 1 to 4, as in its keys in the address.
        plan: its run; None if its segmenter cannot be used.
        trouble: why it cannot run; empty if it can.
    """

    number: int
    plan: planning.Plan | None
    trouble: str


@dataclass(frozen=True, eq=False)
class Shown:
    """One pane with its result. Equal keys mean equal results."""

    number: int
    key: str
    result: perturb.Attribution

    @property
    def title(self) -> str:
        """Number, method and segmenter."""
        return f"{self.number} · {self.result.method} · {self.result.segmenter.name}"


@dataclass(frozen=True, eq=False)
class Outcome:
    """The outcome of the last run.

    Attributes:
        panes: those that could run, in order.
        fresh: whether they belong to the current settings.
    """

    panes: tuple[Shown, ...]
    fresh: bool


def choose(prefix: str) -> list[Pane]:
    """The widgets of the page: the target, then the segmenter, method and settings of each pane."""
    with st.container(border=True):
        goal = st.container()  # shown first, although its classes are those of pane 1's segmenter
        left, right = st.columns(2)
    with left:
        count = st.segmented_control(
            "Panes",
            COUNTS,
            default=COUNTS[0],
            required=True,
            key=f"{prefix}panes",
            bind="query-params",
            help="The number of explanations to compare.",
        )
    with right:
        whose = st.segmented_control(
            "Region from",
            tuple(REGIONS),
            default="shared",
            required=True,
            key=f"{prefix}whose",
            bind="query-params",
            help=" ".join(f"**{name}**: {text}" for name, text in REGIONS.items())
            + " With the same segmenter in all panes it makes no difference.",
        )
    asked = []
    places = st.columns(int(count) if count in COUNTS else 2, gap="small")
    for number, place in enumerate(places, start=1):
        with place, st.container(border=True):
            asked.append(_widgets(number, prefix, narrow=len(places) > 2))
    lead = next((scene for scene, *_ in asked if scene is not None), shell.scene())
    with goal:
        named = "each pane's own segmenter" if whose == "own" else "pane 1's segmenter"
        target = controls.target_widgets(lead, prefix, named)
    region, lost = (None, "") if whose == "own" else _region(target, lead)
    panes = []
    for number, (scene, method, settings, trouble) in enumerate(asked, start=1):
        plan = None
        if scene is not None and not trouble:
            # With the same segmenter the region is the same, so the result is shared with the other pages.
            foreign = (scene.segmenter.name, scene.segmenter.digest) != (lead.segmenter.name, lead.segmenter.digest)
            plan = planning.plan(scene, target, method, settings, prefix, region if foreign else None)
            trouble = (lost if foreign else "") or plan.error
        panes.append(Pane(number, plan, trouble))
    return panes


def _region(target: Target, lead: Scene) -> tuple[Frozen | None, str]:
    """The region as defined by one segmenter, or why it cannot be."""
    try:
        frozen = target.freeze(lead.image, lead.labels, lead.segmenter.classes)
        return replace(frozen, first=lead.segmenter), ""
    except perturb.PerturbError as error:
        return None, str(error)


def _widgets(number: int, prefix: str, *, narrow: bool) -> tuple[Scene | None, str, dict[str, Value], str]:
    """One pane's segmenter, method and settings: its scene, the method, the settings, and why it cannot run."""
    key = f"{prefix}{number}_"
    st.markdown(f"**Pane {number}**")
    left, right = (st.container(), st.container()) if narrow else st.columns(2, gap="small")
    with left:
        scene, trouble = _scene(number, key)
    if scene is None:
        return None, "", {}, trouble
    able = [name for name, method in METHODS.items() if not method.lacking(scene.segmenter)]
    names = _kept(able, METHODS, f"{key}method")
    default = DEFAULTS[number - 1]
    with right:
        chosen = st.selectbox(
            "Method",
            names,
            index=able.index(default) if default in able else 0,
            key=f"{key}method",
            bind="query-params",
            help=f"The method of pane {number}. All methods that can explain this segmenter are listed.",
        )
    method = METHODS[chosen if chosen in names else names[0]]
    if others := [name for name in METHODS if name not in able]:
        st.caption(
            f":material/block: Not for {markdown_text(scene.segmenter.name)}: {', '.join(others)}.",
            help=markdown_text(METHODS[others[0]].lacking(scene.segmenter)),
        )
    if reason := method.lacking(scene.segmenter):
        return scene, method.name, {}, reason
    with st.expander("Settings", key=f"{key}settings"):
        st.caption(f"{method.summary} Source: {method.citation}.")
        settings = controls.method_settings(method.settings, key, scene, across=1 if narrow else 2)
    return scene, method.name, settings, ""


def _scene(number: int, key: str) -> tuple[Scene | None, str]:
    """The image with a pane's own segmenter, or why that segmenter cannot be used."""
    here = shell.scene()
    every = segmenter_choice.names()
    ready = [name for name in every if name not in perturb.SEGMENTERS or perturb.SEGMENTERS[name].ready()]
    name = st.selectbox(
        "Segmenter",
        _kept([SIDEBAR, *ready], every, f"{key}segmenter"),
        key=f"{key}segmenter",
        bind="query-params",
        help=f"The network that pane {number} explains. The sidebar has {markdown_text(here.segmenter.name)}; missing weights can be "
        "downloaded there.",
    )
    if name in (SIDEBAR, here.segmenter.name):
        return here, ""
    if name not in ready:
        return None, f"The weights of '{name}' have not been downloaded yet. Choose it in the sidebar to download them."
    own = segmenter_choice.own_segmenter()
    try:
        segmenter = own if own is not None and own.name == name else segmenter_choice.load(name)
        return Scene(here.image, segmenter, *segmenter_choice.segment(segmenter, here.image)), ""
    except perturb.SegmenterError as error:
        return None, str(error)


def _kept(names: Sequence[str], every: Sequence[str] | dict[str, perturb.Method], key: str) -> list[str]:
    """The names, and the current choice if it exists but cannot be used, so that the pane can say why."""
    present = str(st.session_state.get(key) or st.query_params.get(key))
    return [*names, present] if present in every and present not in names else list(names)


def run(panes: Sequence[Pane], prefix: str) -> Outcome | None:
    """One run button for all panes, with its cost. Starts a run if due. None while there is nothing to show."""
    able = [(pane.number, pane.plan) for pane in panes if pane.plan is not None and not pane.trouble]
    for pane in panes:
        if pane.trouble:
            st.error(f"**Pane {pane.number}** is left out. {markdown_text(pane.trouble)}", icon=":material/block:")
    shop = jobs.workshop()
    task: Task[tuple[Shown, ...]] = Task(f"{prefix}run", json.dumps([[number, plan.key] for number, plan in able]))
    known = {plan.key: shop.results[plan.key] for _, plan in able if plan.key in shop.results}
    missing = {plan.key: (number, plan) for number, plan in able if plan.key not in known}
    if able and not missing and not task.fresh:
        task.keep(tuple(Shown(number, plan.key, known[plan.key]) for number, plan in able))
    if able:
        forwards = sum(plan.forwards for _, plan in missing.values())
        seconds = sum(plan.map_seconds for _, plan in missing.values())
        arrived = st.session_state["just_entered"] or (
            task.made is not None and task.made[0].result.image.digest != able[0][1].scene.image.digest
        )
        cost = f"{forwards:,} forward passes for {len(missing)} maps, about {jobs.duration(seconds)}."
        running = task.offer(
            "Run all panes",
            cost.replace(" 1 maps", " 1 map"),
            key=f"{prefix}run_all",
            seconds=seconds,
            fits=lambda most: _fits([plan for _, plan in missing.values()], able, most),
            text="Compute the missing maps.",
            primary=True,
            up_to_date="Up to date: the maps below belong to these settings.",
            stale="Stale: the settings have changed since the maps below.",
            at_once=arrived and planning.soon(forwards, seconds) and not task.stopped,
        )
        if running:

            def compute(number: int, plan: planning.Plan) -> Callable[[Progress], object]:
                def part(progress: Progress) -> object:
                    try:
                        known[plan.key] = planning.compute_map(plan, progress)
                    except perturb.PerturbError as error:
                        raise type(error)(f"Pane {number}: {error}") from error
                    # Complete after the last part.
                    return tuple(Shown(n, p.key, known[p.key]) for n, p in able if p.key in known)

                return part

            task.run(
                *(
                    planning.part_of(plan, f"Pane {number}: {plan.method}", compute(number, plan))
                    for number, plan in missing.values()
                )
            )
    return None if task.made is None else Outcome(task.made, task.fresh)


def _fits(missing: Sequence[planning.Plan], able: Sequence[tuple[int, planning.Plan]], seconds: float) -> str:
    """What would take at most so many seconds: a change of each map that takes more than its share, with its panes."""
    left, changes = seconds, []
    by_cost = sorted(missing, key=lambda plan: plan.map_seconds)
    for index, plan in enumerate(by_cost):
        share = left / (len(by_cost) - index)
        if plan.map_seconds > share:
            numbers = [str(number) for number, other in able if other.key == plan.key]
            changes.append(f"pane{'s' * (len(numbers) > 1)} {', '.join(numbers)}: {plan.fits(share)}")
        left -= min(plan.map_seconds, share)
    return "; ".join(sorted(changes))
