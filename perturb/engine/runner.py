"""Run a segmenter on masked images in batches and read the target, independently of the method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from perturb.core.memory import kept
from perturb.core.threads import undivided
from perturb.engine.incremental.known import ASKED, Stale, Unknown
from perturb.engine.incremental.passes import Passes, passes
from perturb.engine.preview import Preview, Previews
from perturb.images.image import Image, to_tensor
from perturb.perturbations.fills.base import Fill
from perturb.perturbations.masks import Masks
from perturb.segmenters.base import Segmenter
from perturb.targets.reader import Reader
from perturb.targets.readings import Execution, Readings
from perturb.targets.target import Frozen

Progress = Callable[[float], None]
"""Called once per batch with the fraction done in [0, 1]. An exception raised by it cancels the run cleanly."""

Mode = Literal["exact", "whole", "bfloat16"]
"""How perturbed images are run: `exact` uses incremental passes if they give the results of whole passes. `whole`
always runs the whole network. `bfloat16` is like `exact`, but in bfloat16 if the network can be lowered: faster, less
precise."""


def span(progress: Progress | None, start: float, share: float) -> Progress | None:
    """A progress callback for a part of a run that begins at `start` and has the length `share`; None without
    progress."""
    return None if progress is None else lambda fraction: progress(min(1.0, start + share * fraction))


MEMORY = 512_000_000
"""Memory limit of a batch for its images, logits and readings, in bytes."""
CPU_PIXELS, CPU_BATCH = 350_000, 4
"""Largest number of pixels and images per batch on a CPU, so that they stay in its cache. Measured for five networks at
480 × 360 px: per image, a batch of four takes up to a third more time than one or two, and of eight up to 1.8 times."""
ACCELERATOR_BATCH = 64


def clean_logits(image: Image, segmenter: Segmenter) -> Tensor:
    """Logits of the clean image, `(K, H, W)`, on the segmenter's device. Takes one forward pass."""
    with torch.inference_mode():
        return segmenter(to_tensor(image, segmenter.device)[None])[0]


@dataclass(frozen=True, eq=False)
class Route:
    """How the perturbed images of a run are passed through a segmenter.

    Attributes:
        quick: incremental passes; None for whole passes.
        execution: the same, as stored with results.
    """

    quick: Passes | None
    execution: Execution


def route(
    image: Image, masks: Masks, segmenter: Segmenter, frozen: Frozen, mode: Mode = "exact", logits: Tensor | None = None
) -> Route:
    """Choose between incremental passes (`perturb.engine.incremental`) and whole passes.

    Both give the same readings up to float32 rounding. The clean logits of the incremental passes are compared with a
    pass of the segmenter; if they differ, whole passes are used. The choice depends on the arguments only, not on
    earlier runs.

    Args:
        image, masks, segmenter, frozen: as in `run`.
        mode: how to run the perturbed images.
        logits: clean logits of the segmenter from a pass in this run, `(K, H, W)`; None to run one.
    """
    try:
        if mode == "whole":
            raise Unknown(ASKED)
        dtype = torch.bfloat16 if mode == "bfloat16" else torch.float32
        quick = passes(segmenter, to_tensor(image, segmenter.device), frozen, masks, dtype, logits)
        return Route(quick, Execution("incremental"))
    except Unknown as reason:
        return Route(None, Execution("whole", str(reason), isinstance(reason, Stale)))


def run(
    image: Image,
    masks: Masks,
    fill: Fill,
    segmenter: Segmenter,
    frozen: Frozen,
    *,
    batch: int | None = None,
    memory: int = MEMORY,
    progress: Progress | None = None,
    preview: Preview | None = None,
    mode: Mode = "exact",
    chosen: Route | None = None,
) -> Readings:
    """Apply each mask to the image, run the segmenter, and read the target.

    Args:
        image: the clean image.
        masks: the pixels to hide.
        fill: replaces the hidden pixels.
        segmenter: the segmenter.
        frozen: the target to read.
        batch: images per forward pass; by default a fast number that fits into `memory`. The readings do not depend on
            it.
        memory: memory limit of a batch, in bytes.
        progress: called once per batch.
        preview: called repeatedly, if the masks have an order from coarse to fine, in which they are then run. The
            readings do not depend on it.
        mode: how to run the perturbed images; ignored if `chosen` is given.
        chosen: from `route`, for callers that store it; by default `route` is called.

    Returns:
        Readings of all masks, in their order. This takes `len(masks)` forward passes of one image each.

    Raises:
        SegmenterError: the logits violate the contract.
        torch.OutOfMemoryError: a single image does not fit into the accelerator's memory.
    """
    clean = to_tensor(image, segmenter.device)
    quick = (chosen or route(image, masks, segmenter, frozen, mode=mode)).quick
    reader = Reader(frozen, segmenter.device)

    def answer(painted: Tensor, hidden: Tensor) -> Readings:
        return reader.read(segmenter(painted), hidden) if quick is None else quick.read(painted, hidden)

    def read(start: int, stop: int) -> Readings:
        hidden = masks.hidden(start, stop).to(segmenter.device)
        return answer(fill.paint(clean, hidden, start), hidden)

    order = None if preview is None else masks.coarse_to_fine()
    if batch is None and quick is not None:
        batch = quick.together
    if preview is None or order is None:
        return sweep(len(masks), read, segmenter, frozen, batch=batch, memory=memory, progress=progress)

    previews = Previews(masks, order, preview)

    def read_some(start: int, stop: int) -> Readings:
        return previews.note(answer(*_painted(clean, masks, fill, order[start:stop].tolist())))

    def report(fraction: float) -> None:
        if progress is not None:
            progress(fraction)
        previews.show()

    readings = sweep(len(masks), read_some, segmenter, frozen, batch=batch, memory=memory, progress=report)
    return readings[np.argsort(order)]


def exact_readings(
    image: Image, masks: Masks, fill: Fill, segmenter: Segmenter, frozen: Frozen, rows: npt.NDArray[np.int64]
) -> Readings:
    """Readings of the masks with indices `rows`, by one whole pass of the segmenter for each."""
    clean, reader = to_tensor(image, segmenter.device), Reader(frozen, segmenter.device)
    with torch.inference_mode():
        painted = [_painted(clean, masks, fill, [row]) for row in rows.tolist()]
        return Readings.concatenate([reader.read(segmenter(images), hidden) for images, hidden in painted])


def _painted(clean: Tensor, masks: Masks, fill: Fill, rows: list[int]) -> tuple[Tensor, Tensor]:
    """The perturbed images `(N, 3, H, W)` for masks with indices `rows`, and the masks `(N, H, W)`."""
    holes = [masks.hidden(row, row + 1).to(clean.device) for row in rows]
    # One by one, because random fills depend on the index of the mask.
    painted = [fill.paint(clean, hole, row) for hole, row in zip(holes, rows, strict=True)]
    return torch.cat(painted), torch.cat(holes)


def sweep(
    total: int,
    read: Callable[[int, int], Readings],
    segmenter: Segmenter,
    frozen: Frozen,
    *,
    batch: int | None = None,
    memory: int = MEMORY,
    progress: Progress | None = None,
) -> Readings:
    """Read a sequence of perturbations of the image or a layer in batches.

    Args:
        total: number of perturbations.
        read: returns the readings of perturbations `start` to `stop` (half-open). It is called once per batch, in
            order, and again with a smaller batch if memory runs out.
        segmenter: the segmenter.
        frozen: the target to read.
        batch, memory, progress: as in `run`.
    """
    # Memory per image: input, perturbed copy and softmax in float32, masks in bool.
    each = frozen.region.size * 4 * (6 + 2 * len(segmenter.classes))
    size = batch or min(batch_size(segmenter.device, *frozen.region.shape), memory // each)
    size = max(1, size)
    parts: list[Readings] = []
    start = 0
    with torch.inference_mode(), kept():
        while start < total:
            stop = min(start + size, total)
            try:
                with undivided():  # not during the callback, in which runs may pass whose last bits depend on it
                    parts.append(read(start, stop))
            except torch.OutOfMemoryError:
                if stop - start == 1:
                    raise
                size = (stop - start) // 2
                continue
            start = stop
            if progress is not None:
                progress(start / total)
    return Readings.concatenate(parts)


def batch_size(device: torch.device, height: int, width: int) -> int:
    """Default batch size for images of a size.

    It does not depend on timings: the batch size affects the last bits of convolutions, and identical calls must give
    identical results.
    """
    if device.type != "cpu":
        return ACCELERATOR_BATCH
    return int(np.clip(CPU_PIXELS // (height * width), 1, CPU_BATCH))


@dataclass(frozen=True, eq=False)
class Probe:
    """One perturbation in detail.

    Attributes:
        pixels: the perturbed image, float32 `(H, W, 3)` in [0, 1].
        hidden: hidden pixels, bool `(H, W)`.
        labels: the new segmentation, int64 `(H, W)`.
        lost: pixels of the region that were predicted as the class and no longer are, bool `(H, W)`.
        gained: pixels that were not predicted as the class and now are, bool `(H, W)`.
        reading: the readings, one entry.
    """

    pixels: npt.NDArray[np.float32]
    hidden: npt.NDArray[np.bool_]
    labels: npt.NDArray[np.int64]
    lost: npt.NDArray[np.bool_]
    gained: npt.NDArray[np.bool_]
    reading: Readings


def rerun_mask(image: Image, masks: Masks, fill: Fill, segmenter: Segmenter, frozen: Frozen, index: int) -> Probe:
    """Run one mask of a stream again and keep all outputs. Takes one forward pass.

    Raises:
        IndexError: `index` is not in 0 … len(masks) − 1.
    """
    if not 0 <= index < len(masks):
        raise IndexError(f"There is no perturbation {index}; expected 0 to {len(masks) - 1}.")
    with torch.inference_mode():
        painted, hidden = _painted(to_tensor(image, segmenter.device), masks, fill, [index])
        logits = segmenter(painted)
        reader = Reader(frozen, segmenter.device)
        now = reader.mask(logits)[0].cpu().numpy()
        reading = reader.read(logits, hidden)
    return Probe(
        pixels=painted[0].permute(1, 2, 0).cpu().numpy(),
        hidden=(hidden[0] > 0).cpu().numpy(),
        labels=logits[0].argmax(0).cpu().numpy(),
        lost=frozen.clean & frozen.region & ~now,
        gained=now & ~frozen.clean,
        reading=reading,
    )
