"""Runs as configured by the widgets: what each one costs, and its map and curves, cached for all visitors."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import perturb
from pages.parts.app.shell import Scene
from pages.parts.runs import expected, jobs
from pages.parts.runs.paces import Meter, Pace
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


def soon(forwards: int, seconds: float, *, curves: int = 0) -> bool:
    """Whether a run is short enough to start automatically when its page is opened. Runs of heavy networks never do.

    Args:
        forwards: passes of the maps.
        seconds: of the whole run, its curves included.
        curves: passes of the curves.
    """
    return forwards <= AT_ONCE and seconds <= SOON and seconds <= HEAVY * (forwards + curves)


def part_of(plan: Plan, title: str, compute: Callable[[Progress], Any], times: int = 1) -> jobs.Part:
    """The part of a job that runs a plan, or `times` runs that cost as much each."""
    return jobs.Part(
        title, times * plan.forwards, times * plan.map_seconds, compute, plan.method, plan.scene.segmenter.name
    )


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


def backward(method: str) -> bool:
    """Whether a pass of the method is forward and backward."""
    return "gradients" in METHODS[method].needs
