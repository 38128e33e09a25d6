"""The one way through: picture, segmenter, target, method in; result out."""

from __future__ import annotations

import time

import numpy as np
import torch

from perturb import engine
from perturb.engine import Probe, Progress
from perturb.errors import SegmenterError, SettingError
from perturb.fills import Fill, make_fill
from perturb.images import Image
from perturb.masks import Masks
from perturb.methods import METHODS, Method
from perturb.results import Result
from perturb.segmenters.base import Segmenter
from perturb.settings import check_settings, lookup
from perturb.targets import Frozen, Target


def explain(
    image: Image,
    segmenter: Segmenter,
    target: Target,
    *,
    method: str = "occlusion",
    seed: int = 0,
    progress: Progress | None = None,
    batch: int | None = None,
    frozen: Frozen | None = None,
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
        batch: pictures a forward pass; by default what is fast on this machine.
        frozen: the target as already fixed on this picture, for instance by another segmenter; by default it is fixed on
            this segmenter's own clean prediction.
        settings: the method's own; see `python -m perturb list methods`.

    Returns:
        The result; its `heatmap` is float32 `(H, W)`, signed, in units of the target's score.

    Raises:
        SettingError: an unknown method or setting, or a value out of bounds.
        TargetError: a class absent from the picture, or an empty region.
        SegmenterError: the segmenter broke its contract, or cannot do what the method needs.
    """
    chosen: Method = lookup(METHODS, method, "method")
    checked = check_settings(chosen.settings, settings, method)
    if seed < 0:
        raise SettingError(f"The seed must be a whole number from 0 up: got {seed}. Choose another one.")
    if reason := chosen.lacking(segmenter):
        raise SegmenterError(reason)
    began = time.perf_counter()
    logits = engine.clean_logits(image, segmenter)
    if frozen is None:
        frozen = target.freeze(image, logits.argmax(0).cpu().numpy(), segmenter.classes)
    nothing = torch.zeros((1, image.height, image.width), dtype=torch.bool, device=logits.device)
    clean = frozen.reader(logits.device).read(logits[None], nothing)
    readings, outcome = chosen.run(image, segmenter, frozen, checked, seed, clean, batch=batch, progress=progress)
    heatmap = outcome.maps["score"]
    notes = outcome.notes
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
        facts=outcome.facts,
        segments=outcome.segments,
        neutral=outcome.neutral,
        magnitudes=chosen.magnitudes,
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
    return engine.probe(result.image, masks, fill, result.segmenter, result.frozen, index)
