"""What a run will take, said before it is run: one timed pass, times the number of passes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from perturb.engine import runner
from perturb.images.image import Image
from perturb.methods.base import Request
from perturb.methods.explain import PRECISIONS, check_run
from perturb.methods.registry import METHODS
from perturb.metrics.curves import curve_forwards
from perturb.segmenters.base import Segmenter
from perturb.segmenters.torch_module import TorchSegmenter
from perturb.targets.target import Target

HEAVY = 3.0
"""Seconds that a pass of one image may take; a network that takes longer is met with advice, and nothing starts by itself."""
_SHORTENS = {
    "stride": "a larger stride",
    "masks": "fewer masks",
    "samples": "fewer samples",
    "steps": "fewer steps",
    "count": "fewer segments",
}
"""What makes a run shorter, by the setting that does it."""


@dataclass(frozen=True)
class Estimate:
    """What a run will take.

    Attributes:
        pass_seconds: of one forward pass on the image, measured.
        map_forwards: passes of the method's own run; a backward pass counts as one.
        curve_forwards: passes of the curves that test its map; 0 without them.
    """

    pass_seconds: float
    map_forwards: int
    curve_forwards: int

    @property
    def seconds(self) -> float:
        """Of the whole run, if every pass is a whole one."""
        return self.pass_seconds * (self.map_forwards + self.curve_forwards)

    def words(self, method: str, segmenter: Segmenter) -> str:
        """One line for people: the costs, and for a heavy network what helps."""
        took = f"{self.pass_seconds:.2g}" if self.pass_seconds < 10 else f"{self.pass_seconds:.0f}"
        # Of a torch network often only a part has to be run again.
        most = "at most " if isinstance(segmenter, TorchSegmenter) else ""
        curves = f" and {self.curve_forwards:,} for its curves" if self.curve_forwards else ""
        line = f"one pass took {took} s; {self.map_forwards:,} for the map{curves} take {most}about {duration(self.seconds)}"
        if self.pass_seconds <= HEAVY:
            return line
        return f"{line}; what makes it shorter: {remedies(method, segmenter)}"


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
    """Time one pass and count those of a run.

    Args:
        image, segmenter, target, method, settings, seed, precision: as for `perturb.explain`.
        curves: whether the map will be tested by its curves.

    Raises:
        PerturbError: what `perturb.explain` would refuse.
    """
    chosen, checked = check_run(segmenter, method, settings, seed, precision)
    logits, seconds = timed_pass(image, segmenter)
    frozen = target.freeze(image, logits.argmax(0).cpu().numpy(), segmenter.classes)
    forwards = chosen.forwards(Request(image, segmenter, frozen, checked, seed))
    return Estimate(seconds, forwards, curve_forwards() if curves else 0)


def timed_pass(image: Image, segmenter: Segmenter) -> tuple[torch.Tensor, float]:
    """Logits of the clean image, `(K, H, W)`, and the seconds of one pass.

    The first pass of a size also pays for allocations, so one that is not heavy is timed again.
    """
    seconds: list[float] = []
    while not seconds or (len(seconds) < 2 and seconds[0] <= HEAVY):
        began = time.perf_counter()
        logits = runner.clean_logits(image, segmenter)
        seconds.append(time.perf_counter() - began)
    return logits, min(seconds)


def remedies(method: str, segmenter: Segmenter) -> str:
    """What would make a run of a heavy network shorter, in words."""
    names = [setting.name for setting in METHODS[method].settings]
    # The number of segments matters where each is hidden alone, not where coalitions of them are drawn.
    found = [
        words for name, words in _SHORTENS.items() if name in names and not (name == "count" and "samples" in names)
    ]
    fixed = getattr(getattr(segmenter, "spec", None), "size", None)
    if fixed is None or "stride" in names:  # whoever resizes every image saves windows alone
        found.append("a smaller image")
    return ", ".join(found[:-1]) + (" or " if len(found) > 1 else "") + "".join(found[-1:]) or "a lighter network"


def duration(seconds: float) -> str:
    """Seconds in words, no more exact than an estimate can be."""
    if seconds < 1.5:
        return "1 s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
