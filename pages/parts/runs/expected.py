"""Expected paces of maps and curves: as measured in finished runs of the same kind, or else a guess from one pass.

The kind of a run is all that decides what one of its passes costs: the method with its settings, except those that only
decide how many passes there are, and whether passes are whole or incremental.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import TypeVar

import perturb
from pages.parts.runs import jobs
from pages.parts.runs.paces import Meter, Pace
from perturb.core.settings import Value
from perturb.engine.incremental.passes import expected_share
from perturb.engine.runner import Progress
from perturb.methods.base import Request
from perturb.methods.masked import MaskedMethod
from perturb.methods.registry import METHODS
from perturb.metrics.curves import curve_forwards

T = TypeVar("T")
DOWNSTREAM = 0.5
"""Pace of a pass of the network after a layer, relative to a single full pass, while it is not known."""
BACKWARD = 1.4
"""Pace of a pass of a method with gradients, relative to a single full pass, while it is not known."""
CURVES = "curves"
ANY = "any map"
"""The kind whose `start` is the shortest of any map."""
_NUMBER = ("stride", "masks", "samples", "steps", "alpha")
"""Settings that do not affect the cost of a pass."""


def map_pace(request: Request, method: str, seconds: float) -> Pace:
    """Expected pace of a method.

    Args:
        request: the run.
        method: its name.
        seconds: measured duration of one pass.
    """
    size = request.segmenter.name, request.image.height, request.image.width
    paces = jobs.workshop().paces
    share, ways = _share(request, method)
    if (found := paces.find(*size, [_kind(method, request.settings, way) for way in ways])) is not None:
        return found[1]
    alike = paces.find(*size, [f"{method} {way}" for way in ways])
    unit = paces.find(*size, [_unit(way) for way in ways]) if isinstance(METHODS[method], MaskedMethod) else None
    if alike and unit:
        # Other windows or segments: by what they cost in theory passes differ more than in fact.
        return Pace(math.sqrt(alike[1].each * unit[1].each * share), min(alike[1].start, unit[1].start))
    if unit:
        return Pace(unit[1].each * share, unit[1].start)
    return alike[1] if alike else Pace(seconds * share)


def curves_seconds(segmenter: perturb.Segmenter, image: perturb.Image, seconds: float) -> float:
    """Expected duration of the curves of a map.

    Args:
        segmenter, image: of the map.
        seconds: measured duration of one pass.
    """
    found = jobs.workshop().paces.find(segmenter.name, image.height, image.width, (CURVES, _unit("whole")))
    return (Pace(seconds) if found is None else found[1]).seconds(curve_forwards())


def keep_map(result: perturb.Attribution, pace: Pace) -> None:
    """Store the measured pace of a finished map."""
    image, segmenter, method = result.image, result.segmenter, result.method
    request = Request(image, segmenter, result.frozen, result.settings, result.seed)
    way = "incremental" if result.execution.passes == "incremental" else "whole"
    paces, size = jobs.workshop().paces, (segmenter.name, image.height, image.width)
    kinds = [_kind(method, result.settings, way), f"{method} {way}"]
    usual = paces.find(*size, [ANY])
    if usual is not None and paces.find(*size, kinds) is None:
        # The first run of a method in this process loads libraries, which no later run does.
        pace = Pace(pace.each, min(pace.start, usual[1].start))
    for kind in kinds:
        paces.keep(*size, kind, pace)
    paces.keep(*size, ANY, Pace(0.0, pace.start if usual is None else min(pace.start, max(usual[1].start, 0.1))))
    if isinstance(METHODS[method], MaskedMethod):
        share, _ = _share(request, method)
        paces.keep(*size, _unit(way), Pace(pace.each / share, pace.start))


def keep_curves(result: perturb.Attribution, pace: Pace) -> None:
    """Store the measured pace of finished curves."""
    jobs.workshop().paces.keep(result.segmenter.name, result.image.height, result.image.width, CURVES, pace)


def job_pace(size: tuple[str, int, int], kind: str, seconds: float) -> Pace:
    """Expected pace of another job.

    Args:
        size: name of the segmenter, height and width of the image.
        kind: what the pace depends on besides.
        seconds: guess of the duration of a pass.
    """
    paces = jobs.workshop().paces
    # Passes within any run are a better guess than the first pass of all, which also prepares the network.
    found = paces.find(*size, [kind]) or paces.find(*size, (CURVES, _unit("whole"), _unit("incremental")))
    return Pace(seconds) if found is None else found[1]


def measured(
    size: tuple[str, int, int], kind: str, passes: int, progress: Progress, compute: Callable[[Progress], T]
) -> T:
    """Run another job, and store its pace; the arguments are those of `job_pace`."""
    meter = Meter(progress, passes)
    made = compute(meter)
    jobs.workshop().paces.keep(*size, kind, meter.pace())
    return made


def _kind(method: str, settings: Mapping[str, Value], way: str) -> str:
    # A page leaves out settings that do not apply.
    every = {each.name: settings.get(each.name, each.default) for each in METHODS[method].settings}
    return json.dumps([method, way, *sorted(item for item in every.items() if item[0] not in _NUMBER)])


def _unit(way: str) -> str:
    """The kind of a whole pass, as far as runs of masks tell."""
    return f"a whole pass, by {way} ones"


def _share(request: Request, method: str) -> tuple[float, tuple[str, ...]]:
    """Expected cost of a pass relative to a whole one, and how passes may be run."""
    chosen = METHODS[method]
    if isinstance(chosen, MaskedMethod):
        image = request.image
        share, known = expected_share(request.segmenter, image.height, image.width, chosen.masks(request))
        return share, (("whole",) if share == 1 else ("incremental",)) if known else ("incremental", "whole")
    if "gradients" in chosen.needs:
        return BACKWARD, ("whole",)
    return (DOWNSTREAM if isinstance(request.segmenter, perturb.TorchSegmenter) else 1.0), ("incremental", "whole")
