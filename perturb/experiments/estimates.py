"""Estimates of what a run will cost: the time of one pass, times the number of passes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from perturb.core.errors import PerturbError
from perturb.core.settings import Value
from perturb.engine import runner
from perturb.experiments.study import DRAWS, FILL_NAMES, SIGMA, SIZES, STEPS, plan, study_forwards
from perturb.images.image import Image
from perturb.methods.base import Request
from perturb.methods.explain import PRECISIONS, check_run
from perturb.methods.registry import METHODS
from perturb.metrics.curves import curve_forwards
from perturb.segmenters.base import Segmenter
from perturb.segmenters.torch_module import TorchSegmenter
from perturb.targets.target import Target

HEAVY = 3.0
"""Seconds per pass above which a network counts as heavy: estimates then come with advice, and runs need a click to start."""
_SHORTENS = {
    "stride": "a larger stride",
    "masks": "fewer masks",
    "samples": "fewer samples",
    "steps": "fewer steps",
    "count": "fewer segments",
}
"""How to shorten a run, by the name of the setting."""


@dataclass(frozen=True)
class Estimate:
    """What a run will cost.

    Attributes:
        pass_seconds: measured seconds of one forward pass on the image.
        map_forwards: passes that the maps take; a backward pass counts as one.
        curve_forwards: passes that the deletion and insertion curves take; 0 without them.
        maps: number of maps.
    """

    pass_seconds: float
    map_forwards: int
    curve_forwards: int
    maps: int = 1

    @property
    def seconds(self) -> float:
        """Seconds of the whole run, if every pass runs the whole network."""
        return self.pass_seconds * (self.map_forwards + self.curve_forwards)

    def words(self, method: str, segmenter: Segmenter) -> str:
        """The costs in one line, with advice for a heavy network."""
        took = f"{self.pass_seconds:.2g}" if self.pass_seconds < 10 else f"{self.pass_seconds:.0f}"
        # Often only a part of a torch network has to be run again.
        most = "at most " if isinstance(segmenter, TorchSegmenter) else ""
        maps, its = ("the map", "its") if self.maps == 1 else (f"{self.maps} maps", "their")
        curves = f" and {self.curve_forwards:,} for {its} curves" if self.curve_forwards else ""
        line = f"one pass took {took} s; {self.map_forwards:,} for {maps}{curves} take {most}about {duration(self.seconds)}"
        if self.pass_seconds <= HEAVY:
            return line
        advice = remedies(method, segmenter) if self.maps == 1 else "fewer occluders, larger windows or a smaller image"
        return f"{line}; to shorten it: {advice}"


def estimate(
    image: Image,
    segmenter: Segmenter,
    target: Target,
    method: str,
    settings: Mapping[str, object],
    seed: int = 0,
    precision: str = PRECISIONS[0],
    *,
    curves: bool = True,
) -> Estimate:
    """Estimate the cost of `perturb.explain`: time one pass and count all passes.

    Args:
        image, segmenter, target, method, settings, seed, precision: as for `perturb.explain`.
        curves: whether the deletion and insertion curves are computed, too.

    Raises:
        PerturbError: as for `perturb.explain`.
    """
    chosen, checked = check_run(segmenter, method, settings, seed, precision)
    logits, seconds = timed_pass(image, segmenter)
    frozen = target.freeze(image, logits.argmax(0).cpu().numpy(), segmenter.classes)
    forwards = chosen.forwards(Request(image, segmenter, frozen, checked, seed))
    return Estimate(seconds, forwards, curve_forwards() if curves else 0)


def estimate_study(
    image: Image,
    segmenter: Segmenter,
    target: Target,
    *,
    fills: Sequence[str] = FILL_NAMES,
    colours: Sequence[str] = (),
    sizes: Sequence[int | str] = SIZES,
    sigma: float = SIGMA,
) -> Estimate:
    """Estimate the cost of an occlusion study: time one pass and count all passes.

    Args:
        image, segmenter, target, fills, colours, sizes, sigma: as for `perturb.experiments.study.study`.

    Raises:
        PerturbError: as for `study`.
    """
    occluders = plan(fills, colours, sizes, sigma)
    total, curve_passes = sum(study_forwards(image, occluders)), len(occluders) * curve_forwards(STEPS, DRAWS)
    logits, seconds = timed_pass(image, segmenter)
    target.freeze(image, logits.argmax(0).cpu().numpy(), segmenter.classes)  # raises if the target does not fit
    return Estimate(seconds, total - curve_passes, curve_passes, len(occluders))


def timed_pass(image: Image, segmenter: Segmenter) -> tuple[torch.Tensor, float]:
    """Logits of the clean image, `(K, H, W)`, and the seconds of one pass.

    The first pass of a size includes allocations, so a pass that is not heavy is timed twice and the faster one counts.
    """
    seconds: list[float] = []
    while not seconds or (len(seconds) < 2 and seconds[0] <= HEAVY):
        began = time.perf_counter()
        logits = runner.clean_logits(image, segmenter)
        seconds.append(time.perf_counter() - began)
    return logits, min(seconds)


def remedies(method: str, segmenter: Segmenter) -> str:
    """How to shorten a run of a heavy network, in words."""
    names = [setting.name for setting in METHODS[method].settings]
    # The number of segments matters if each is hidden alone, but not if coalitions of them are drawn.
    advice = [
        words for name, words in _SHORTENS.items() if name in names and not (name == "count" and "samples" in names)
    ]
    fixed = getattr(getattr(segmenter, "spec", None), "size", None)
    # A segmenter that resizes every image runs no faster on a smaller one, but a smaller image has fewer windows.
    if fixed is None or "stride" in names:
        advice.append("a smaller image")
    return ", ".join(advice[:-1]) + (" or " if len(advice) > 1 else "") + "".join(advice[-1:]) or "a lighter network"


NICE = (1, 1.5, 2, 3, 5, 7.5)
"""Leading digits of the numbers that are proposed."""


def changes_that_fit(request: Request, method: str, fits: Callable[[int], bool]) -> list[str]:
    """Changes of one setting each with which a run would fit, such as `stride 8 → 16`.

    Args:
        request: the run.
        method: its name.
        fits: whether a run of so many passes fits.
    """
    found = []
    known = {setting.name: setting for setting in METHODS[method].settings}
    for setting in known.values():
        counts = setting.name == "count" and "samples" in request.settings
        if setting.name not in _SHORTENS or counts:
            continue
        for changed in _candidates(setting.name, request.settings):
            try:
                values = {name: known[name].check(value) for name, value in changed.items()}
                passes = METHODS[method].forwards(replace(request, settings={**request.settings, **values}))
            except PerturbError:
                continue
            if fits(passes):
                changes = (f"{name} {request.settings[name]:,} → {value:,}" for name, value in values.items())
                found.append(" and ".join(changes))
                break
    return found


def _candidates(name: str, settings: Mapping[str, Value]) -> Iterator[dict[str, int]]:
    """Values of a setting that make a run shorter and shorter; a stride larger than the window takes a larger window."""
    now = int(settings[name])
    if name != "stride":
        numbers = {int(digit * 10**power) for digit in NICE for power in range(5)}
        yield from ({name: number} for number in sorted(numbers, reverse=True) if 0 < number < now)
        return
    size = int(settings.get("size", now))
    for stride in (now * 2**power for power in range(1, 11)):
        yield {"stride": stride} if stride <= size else {"size": stride, "stride": stride}


def duration(seconds: float) -> str:
    """Seconds in words, rounded as suits an estimate."""
    if seconds < 1.5:
        return "1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
