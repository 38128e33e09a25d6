"""Runs as configured by the widgets: what each one costs, and its map and curves, cached for all visitors."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import perturb
from pages.parts.app.shell import Scene
from pages.parts.runs import jobs
from perturb.core.settings import Value
from perturb.engine.runner import Progress
from perturb.experiments.estimates import HEAVY
from perturb.methods.base import Outcome, Request
from perturb.methods.registry import METHODS
from perturb.metrics.curves import curve_forwards
from perturb.targets.target import Frozen

AT_ONCE = 600
"""Forward passes. A run that takes no more starts automatically when a visitor opens a page or changes the image."""
SHORTER = 0.5
"""Estimated duration of a torch pass within a run, relative to a single full pass. A cautious guess until measured."""
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
        map_seconds, curves_seconds: expected durations.
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
    shorter = isinstance(segmenter, perturb.TorchSegmenter) and not backward(method)
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
    made = perturb.curves(result, progress=progress)
    shop.keep_curves(key, made)
    shop.seconds[result.segmenter.name, result.image.height, result.image.width, ""] = made.seconds / made.forwards
    return made


def _size(scene: Scene) -> tuple[str, int, int]:
    return scene.segmenter.name, scene.image.height, scene.image.width


def _pace(method: str, settings: Mapping[str, Any]) -> str:
    """The kind of pass in a run: with gradients, of the sub-network after a layer, or of the whole network."""
    return "gradients" if backward(method) else str(settings.get("layer", ""))


def backward(method: str) -> bool:
    """Whether a pass of the method is forward and backward."""
    return "gradients" in METHODS[method].needs
