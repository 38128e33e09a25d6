"""The one way through: picture, segmenter, target, method in; result out."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from typing import Literal, get_args

import numpy as np
import torch

from perturb.core.errors import SegmenterError, SettingError
from perturb.core.ranks import spearman
from perturb.core.settings import Value, check_settings, lookup
from perturb.engine import runner
from perturb.engine.runner import Probe, Progress
from perturb.images.image import Image
from perturb.methods.base import Method, Outcome
from perturb.methods.registry import METHODS
from perturb.methods.result import Result
from perturb.perturbations.fills.base import Fill
from perturb.perturbations.fills.registry import make_fill
from perturb.perturbations.masks import Masks
from perturb.segmenters.base import Segmenter
from perturb.targets.readings import Execution, Fact, Readings
from perturb.targets.target import Frozen, Target

Precision = Literal["float32", "bfloat16"]
PRECISIONS = get_args(Precision)
SAMPLE = (6, 10)
"""Masks that are run again in float32 to see how well bfloat16 agrees: a tenth of them, but at least and at most so many."""


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
) -> Result:
    """Explain one class of one picture.

    Args:
        image: from `load_image` or `sample`.
        segmenter: from `load_segmenter`, or your own.
        target: what to explain.
        method: a name in `METHODS`.
        seed: of everything drawn by chance. Same settings and seed, same result, whatever the batch size.
        progress: called once a batch with the fraction done; raise from it to cancel.
        preview: called now and then in a long run with the method's outcome as far as it is known: sliding windows are then
            run from coarse to fine, with the same result.
        batch: pictures a forward pass; by default what is fast on this machine.
        frozen: the target as already fixed on this picture, for instance by another segmenter; by default it is fixed on
            this segmenter's own clean prediction.
        precision: "bfloat16" runs the network in 16 bits where it is known well enough and the method hides pixels: up to
            twice as fast, and rougher. A note says how well it agrees with float32 on some of the run's own masks.
        plain: run all of the network for every perturbation. By default only what a perturbation can change is run, which
            gives the same numbers but for float32 rounding.
        settings: the method's own; see `python -m perturb list methods`.

    Returns:
        The result; its `heatmap` is float32 `(H, W)`, signed, in units of the target's score.

    Raises:
        SettingError: an unknown method, setting or precision, or a value out of bounds.
        TargetError: a class absent from the picture, or an empty region.
        SegmenterError: the segmenter broke its contract, or cannot do what the method needs.
    """
    chosen, checked = check_run(segmenter, method, settings, seed, precision)
    half = precision == "bfloat16" and not plain
    began = time.perf_counter()
    segmenter.refresh()
    used = _paced(segmenter, "plain" if plain else "bfloat16" if half and chosen.hides else "exact")
    logits = runner.clean_logits(image, segmenter)
    if frozen is None:
        frozen = target.freeze(image, logits.argmax(0).cpu().numpy(), segmenter.classes)
    nothing = torch.zeros((1, image.height, image.width), dtype=torch.bool, device=logits.device)
    clean = frozen.reader(logits.device).read(logits[None], nothing)
    readings, outcome = chosen.run(
        image, used, frozen, checked, seed, clean, batch=batch, progress=progress, preview=preview
    )
    heatmap = outcome.maps["score"]
    notes, facts = outcome.notes, outcome.facts
    execution = outcome.execution or Execution("whole", "a gradient takes all of the network")
    if execution.stale:
        notes += (f"{execution.sentence} The numbers are those of the network as it is now.",)
    if half and chosen.hides and execution.passes != "incremental":
        notes += (f"Run in float32, because {execution.reason}.",)
    elif half:
        more, note = _agreement(chosen, image, used, frozen, checked, seed, readings)
        notes, facts = (*notes, note), {**facts, **more}
    if not np.any(heatmap != heatmap.flat[0]):
        why = "hiding any part changes the score equally, or not at all" if chosen.hides else "it tells no pixel apart"
        notes += (f"The map is constant ({heatmap.flat[0]:g}): {why}.",)
    return Result(
        image=image,
        segmenter=segmenter,
        frozen=frozen,
        method=method,
        settings=checked,
        seed=seed,
        heatmap=heatmap,
        maps=outcome.maps,
        clean=clean,
        readings=readings,
        forwards=1 + (len(readings) if outcome.passes is None else outcome.passes),
        seconds=time.perf_counter() - began,
        notes=notes,
        facts=facts,
        segments=outcome.segments,
        neutral=outcome.neutral,
        magnitudes=chosen.magnitudes,
        execution=execution,
        segmenter_digest=segmenter.digest,
    )


def check_run(
    segmenter: Segmenter, method: str, settings: Mapping[str, object], seed: int = 0, precision: str = PRECISIONS[0]
) -> tuple[Method, dict[str, Value]]:
    """Check what can be checked before anything is run.

    Args:
        segmenter, method, settings, seed, precision: as for `explain`.

    Returns:
        The method, and its settings, complete.

    Raises:
        SettingError, SegmenterError: as `explain` does.
    """
    chosen: Method = lookup(METHODS, method, "method")
    checked = check_settings(chosen.settings, settings, method)
    if seed < 0:
        raise SettingError(f"The seed must be a whole number from 0 up: got {seed}. Choose another one.")
    if reason := chosen.lacking(segmenter):
        raise SegmenterError(reason)
    if precision not in PRECISIONS:
        raise SettingError(f"There is no precision '{precision}'; expected one of {', '.join(PRECISIONS)}.")
    return chosen, checked


def _paced(segmenter: Segmenter, pace: str) -> Segmenter:
    """The same segmenter, run at another pace."""
    if segmenter.pace == pace:
        return segmenter
    other = copy.copy(segmenter)
    other.pace = pace
    return other


def _agreement(
    method: Method,
    image: Image,
    segmenter: Segmenter,
    frozen: Frozen,
    settings: dict[str, Value],
    seed: int,
    readings: Readings,
) -> tuple[dict[str, Fact], str]:
    """How well readings in bfloat16 agree with float32, as facts and in a sentence: some of the masks are run again."""
    if not method.hides:
        return {}, f"{method.title} hides no pixels, so it was run in float32: bfloat16 is for methods that do."
    masks, fill = method.masks(image, frozen, settings, seed), make_fill(image, settings, seed)
    count = int(np.clip(len(readings) // 10, *SAMPLE))
    chosen = np.unique(np.linspace(0, len(readings) - 1, count).astype(int))
    exact = runner.exact_readings(image, masks, fill, segmenter, frozen, chosen).score
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


def masks_and_fill(result: Result) -> tuple[Masks, Fill]:
    """The masks and the fill that made a result, drawn again from its settings and seed.

    Raises:
        SettingError: the method hides no pixels.
    """
    method = METHODS[result.method]
    masks = method.masks(result.image, result.frozen, result.settings, result.seed)
    return masks, make_fill(result.image, result.settings, result.seed)


def probe(result: Result, index: int) -> Probe:
    """Look at one perturbation of a result closely: its picture, its segmentation, what was lost and gained.

    Args:
        result: from `explain`.
        index: of the perturbation, 0 to `len(result.readings) − 1`.

    Raises:
        IndexError: no such perturbation.
        SettingError: the method hides no pixels.
    """
    masks, fill = masks_and_fill(result)
    return runner.rerun_mask(result.image, masks, fill, result.unchanged(), result.frozen, index)
