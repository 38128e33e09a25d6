"""Several methods under the same metrics: cost, run, and results."""

from __future__ import annotations

import json
from collections.abc import Callable

import streamlit as st

import perturb
from pages.parts.app import report
from pages.parts.app.shell import Scene
from pages.parts.faithfulness import judged
from pages.parts.runs import expected, jobs, planning
from pages.parts.runs.task import Task
from pages.parts.widgets import controls
from perturb.core.quoting import markdown_text
from perturb.engine.runner import Progress
from perturb.export.report.items import item_of_comparison
from perturb.methods.registry import METHODS
from perturb.metrics.scorecard import Faithfulness, compare, compare_forwards

DEFAULT = ("occlusion", "feature-ablation")
IMPUTED = 2.0
"""Estimated duration of a pass of the comparison relative to a plain one, before it was measured: a third are imputed."""


def methods_widget(prefix: str) -> list[str]:
    """The choice of methods to compare."""
    names = controls.able(tuple(METHODS))
    chosen = st.multiselect(
        "Methods",
        names,
        default=[name for name in DEFAULT if name in names],
        key=f"{prefix}methods",
        bind="query-params",
        help="Each method runs with its default settings. "
        + " ".join(f"**{m.name}**: {m.summary}" for m in METHODS.values()),
    )
    return [name for name in METHODS if name in chosen]


def section(scene: Scene, target: perturb.Target, methods: list[str], prefix: str) -> None:
    """Compute the missing maps and all metrics, and show the comparison."""
    if not methods:
        st.info("Choose at least one method above. Ranks and agreement need two.", icon=":material/info:")
        return
    shop = jobs.workshop()
    plans = [planning.plan(scene, target, name, controls.default_settings(name, scene), prefix) for name in methods]
    task: Task[Faithfulness] = Task(f"{prefix}compare", json.dumps([plan.key for plan in plans]))
    if errors := [plan.error for plan in plans if plan.error]:
        st.error(markdown_text(errors[0]), icon=":material/error:")
        return
    missing = [plan for plan in plans if plan.key not in shop.results]
    passes = compare_forwards(len(plans))
    size = scene.segmenter.name, scene.image.height, scene.image.width
    seconds = expected.job_pace(size, "faithfulness", scene.seconds * IMPUTED).seconds(passes)
    total = seconds + sum(plan.map_seconds for plan in missing)
    forwards = passes + sum(plan.forwards for plan in missing)
    running = task.offer(
        "Compare",
        f"{forwards:,} forward passes for {len(plans)} map{'s' * (len(plans) > 1)} and 3 uninformative baselines, "
        f"about {jobs.duration(total)}.",
        key=f"{prefix}compare_run",
        seconds=total,
        fits=lambda _: "fewer or faster methods, or a smaller image",
        text="Run the methods, then compute the metrics of their maps and of the uninformative baselines.",
        primary=True,
        up_to_date="Up to date: the comparison below belongs to these settings.",
        at_once=st.session_state["just_entered"] and planning.soon(forwards, total) and not task.stopped,
    )
    if running:
        made: dict[str, perturb.Attribution] = {p.key: shop.results[p.key] for p in plans if p.key in shop.results}

        def explain(plan: planning.Plan) -> Callable[[Progress], None]:
            def compute(progress: Progress) -> None:
                made[plan.key] = planning.compute_map(plan, progress)

            return compute

        def measure(progress: Progress) -> Faithfulness:
            maps = [made[plan.key] for plan in plans]
            return expected.measured(
                size, "faithfulness", passes, progress, lambda meter: compare(maps, progress=meter)
            )

        parts = [planning.part_of(plan, plan.method, explain(plan)) for plan in missing]
        task.run(*parts, jobs.Part("Metrics", passes, seconds, measure))
    if task.made is None:
        return
    with st.container(key=f"{prefix}compare_{'fresh' if task.fresh else 'stale'}"):
        judged.show(task.made, scene, prefix)
    if task.fresh:
        found, image, label = task.made, scene.image, str(target.label)
        report.button(f"{prefix}compare_", [lambda link: item_of_comparison(found, image, label, link)], found)
