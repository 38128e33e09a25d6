"""Run an attribution method on one image: `explain`, and `probe` for one perturbation of a result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, get_args

import numpy as np

from perturb.core import stopwatch
from perturb.core.errors import SegmenterError, SettingError
from perturb.core.ranks import spearman
from perturb.core.settings import Value, check_settings, lookup
from perturb.engine import runner
from perturb.engine.runner import Mode, Probe, Progress
from perturb.images.image import Image
from perturb.methods.attribution import Attribution
from perturb.methods.base import Method, Outcome, Request
from perturb.methods.masked import MaskedMethod
from perturb.methods.registry import METHODS
from perturb.perturbations.fills.base import Fill
from perturb.perturbations.masks import Masks
from perturb.segmenters.base import Segmenter
from perturb.targets.readings import Execution, Fact, Readings
from perturb.targets.target import Frozen, Target

Precision = Literal["float32", "bfloat16"]
PRECISIONS = get_args(Precision)
SAMPLE = (6, 10)
"""Bounds on the number of masks run again in float32 to check bfloat16; within them a tenth of all masks is run."""


def explain(
    image: Image,
    segmenter: Segmenter,
    target: Target,
    *,
    method: str = "occlusion",
    seed: int = 0,
    progress: Progress | None = None,
    preview: Callable[[Outcome], None] | None = None,
    batch: int | None = None,
    frozen: Frozen | None = None,
    precision: Precision = "float32",
    plain: bool = False,
    **settings: object,
) -> Attribution:
    """Run an attribution method for one class of one image.

    Args:
        image: from `load_image` or `sample`.
        segmenter: from `load_segmenter`, or your own.
        target: what to explain.
        method: a name in `METHODS`.
        seed: of all random draws, 0 or more. The same settings and seed give the same result, whatever the batch size.
        progress: called once per batch with the fraction done in [0, 1]; raise an exception in it to cancel.
        preview: called from time to time in a long run with the partial outcome. Sliding windows are then run from coarse
            to fine, with the same result.
        batch: images per forward pass; by default what is fast on this machine.
        frozen: the target already fixed on this image, for instance by another segmenter. By default it is fixed on this
            segmenter's own clean prediction.
        precision: "bfloat16" runs the network in 16 bits if its operations are known and the method hides pixels. It is up
            to twice as fast and less accurate. A note states how well it agrees with float32 on some of the masks.
        plain: run the whole network for every perturbation. By default only what a perturbation can change is run, which
            gives the same numbers up to float32 rounding.
        settings: of the method; see `python -m perturb list methods`.

    Returns:
        The attribution; its `heatmap` is float32 `(H, W)`, signed, in units of the target's score.

    Raises:
        SettingError: the method, a setting or the precision is unknown, or a value is out of bounds.
        TargetError: the class is absent from the image, or the region is empty.
        SegmenterError: the segmenter broke its contract, or lacks an ability that the method needs.
    """
    chosen, checked = check_run(segmenter, method, settings, seed, precision)
    masked, half = isinstance(chosen, MaskedMethod), precision == "bfloat16" and not plain
    mode: Mode = "whole" if plain else "bfloat16" if half and masked else "exact"
    began = stopwatch.now()
    segmenter.refresh()
    logits = runner.clean_logits(image, segmenter)
    if frozen is None:
        frozen = target.freeze(image, logits.argmax(0).cpu().numpy(), segmenter.classes)
    request = Request(image, segmenter, frozen, checked, seed, logits, mode, batch, progress, preview)
    readings, outcome = chosen.run(request)
    heatmap = outcome.maps["score"]
    notes, facts = outcome.notes, outcome.facts
    execution = outcome.execution or Execution("whole", "a gradient takes all of the network")
    if execution.stale:
        notes += (f"{execution.sentence} The numbers are those of the network as it is now.",)
    if half:
        more, note = _agreement(chosen, request, readings, execution)
        notes, facts = (*notes, note), {**facts, **more}
    if not np.any(heatmap != heatmap.flat[0]):
        why = "hiding any part changes the score equally, or not at all" if masked else "all pixels are equal"
        notes += (f"The map is constant ({heatmap.flat[0]:g}): {why}.",)
    return Attribution(
        image=image,
        segmenter=segmenter,
        frozen=frozen,
        method=method,
        settings=checked,
        seed=seed,
        heatmap=heatmap,
        maps=outcome.maps,
        clean=request.clean,
        readings=readings,
        forwards=1 + (len(readings) if outcome.passes is None else outcome.passes),
        seconds=stopwatch.now() - began,
        notes=notes,
        facts=facts,
        segments=outcome.segments,
        neutral=outcome.neutral,
        magnitudes=chosen.magnitudes,
        execution=execution,
        segmenter_digest=segmenter.digest,
        libraries=chosen.libraries_under(checked),
    )


def check_run(
    segmenter: Segmenter, method: str, settings: Mapping[str, object], seed: int = 0, precision: str = PRECISIONS[0]
) -> tuple[Method, dict[str, Value]]:
    """Validate the arguments of `explain` without running anything.

    Args:
        segmenter, method, settings, seed, precision: as for `explain`.

    Returns:
        The method, and all of its settings, defaults included.

    Raises:
        SettingError, SegmenterError: as for `explain`.
    """
    chosen: Method = lookup(METHODS, method, "method")
    checked = check_settings(chosen.settings, settings, method)
    if seed < 0:
        raise SettingError(f"The seed must be a whole number, 0 or more: got {seed}. Choose another one.")
    if reason := chosen.lacking(segmenter):
        raise SegmenterError(reason)
    if precision not in PRECISIONS:
        raise SettingError(f"There is no precision '{precision}'; expected one of {', '.join(PRECISIONS)}.")
    return chosen, checked


def _agreement(
    method: Method, request: Request, readings: Readings, execution: Execution
) -> tuple[dict[str, Fact], str]:
    """Agreement of bfloat16 with float32 readings, as facts and a sentence; runs some of the masks again."""
    if not isinstance(method, MaskedMethod):
        return {}, f"{method.title} hides no pixels, so it was run in float32; bfloat16 applies to methods that do."
    if execution.passes != "incremental":
        return {}, f"Run in float32, because {execution.reason}."
    count = int(np.clip(len(readings) // 10, *SAMPLE))
    chosen = np.unique(np.linspace(0, len(readings) - 1, count).astype(int))
    exact = runner.exact_readings(
        request.image, method.masks(request), method.fill(request), request.segmenter, request.frozen, chosen
    ).score
    off = float(np.abs(readings.score[chosen] - exact).max())
    rank = float(spearman([readings.score[chosen], exact])[0, 1])
    spread = float(np.ptp(readings.score))
    facts: dict[str, Fact] = {"precision": "bfloat16", "precision_difference": off}
    agreed = "the scores are all equal"
    if np.isfinite(rank):
        facts["precision_spearman"] = rank
        agreed = f"the ranks of the scores agree with Spearman {rank:.3f}"
    return facts, (
        f"Run in bfloat16. On {len(chosen)} of its {len(readings)} masks, run again in float32, {agreed}, and the largest "
        f"difference is {off:.2g}, where the scores of all masks span {spread:.2g}."
    )


def masks_and_fill(result: Attribution) -> tuple[Masks, Fill]:
    """The masks and the fill of a result, recomputed from its settings and seed.

    Raises:
        SettingError: the method hides no pixels.
    """
    method = METHODS[result.method]
    if not isinstance(method, MaskedMethod):
        raise SettingError(
            f"{method.title} hides no pixels, so it has no perturbed images to show; choose a method that does, such as "
            "occlusion."
        )
    request = Request(result.image, result.segmenter, result.frozen, result.settings, result.seed)
    return method.masks(request), method.fill(request)


def probe(result: Attribution, index: int) -> Probe:
    """One perturbation of a result in detail: its image, its segmentation, and the pixels lost and gained.

    Takes one forward pass.

    Args:
        result: from `explain`.
        index: of the perturbation, 0 to `len(result.readings) − 1`.

    Raises:
        IndexError: there is no such perturbation.
        SettingError: the method hides no pixels.
        SegmenterError: the network has changed since the map was computed.
    """
    masks, fill = masks_and_fill(result)
    return runner.rerun_mask(result.image, masks, fill, result.unchanged(), result.frozen, index)
