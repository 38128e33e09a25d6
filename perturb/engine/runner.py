"""Run a segmenter on masked images in batches and read the target; knows nothing of methods."""

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
from perturb.targets.readings import Execution, Readings
from perturb.targets.target import Frozen

Progress = Callable[[float], None]
"""Called once a batch with the fraction done in [0, 1]. What it raises ends the run and leaves nothing behind."""

Mode = Literal["exact", "whole", "bfloat16"]
"""How perturbations are run: only what a mask can change where that gives the numbers of whole passes (exact), all of the
network every time (whole), or as exact but in 16 bits where its operations are known (bfloat16: quicker and rougher)."""


def span(progress: Progress | None, start: float, share: float) -> Progress | None:
    """A callback for the part of a run that begins at `start` and is `share` of the whole; None where nobody listens."""
    return None if progress is None else lambda fraction: progress(min(1.0, start + share * fraction))


MEMORY = 512_000_000
"""Bytes that one batch may take for its images, logits and readings."""
CPU_PIXELS, CPU_BATCH = 350_000, 4
"""Pixels and images that one batch has at most on a processor: more of them leave its cache. Measured on five networks of
480 × 360 px, four images take up to a third more time each than one or two, and eight up to 1.8 times as much."""
ACCELERATOR_BATCH = 64


def clean_logits(image: Image, segmenter: Segmenter) -> Tensor:
    """The segmenter's logits of the clean image, `(K, H, W)` on its device. One forward pass."""
    with torch.inference_mode():
        return segmenter(to_tensor(image, segmenter.device)[None])[0]


@dataclass(frozen=True, eq=False)
class Route:
    """How the perturbations of one run go through a segmenter.

    Attributes:
        quick: the incremental passes; None for whole ones.
        execution: the same, for the record.
    """

    quick: Passes | None
    execution: Execution


def route(
    image: Image, masks: Masks, segmenter: Segmenter, frozen: Frozen, mode: Mode = "exact", logits: Tensor | None = None
) -> Route:
    """Decide whether only what a mask can change is run (`perturb.engine.incremental`), which gives the same readings up to
    float32 rounding.

    The incremental passes' clean logits are compared with a pass of the segmenter itself; where they differ whole passes
    are taken. What is decided depends on the arguments alone, not on what was run before.

    Args:
        image, masks, segmenter, frozen: as for `run`.
        mode: how to run them.
        logits: the segmenter's for the clean image, from a pass of this very run, `(K, H, W)`; None to run one.
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
    """Hide, run the segmenter, read; once for each mask.

    Args:
        image: the clean image.
        masks: what to hide.
        fill: what to put there.
        segmenter: what to run.
        frozen: what to read.
        batch: images a forward pass; by default as many as are fast on this machine and fit `memory`.
            The readings do not depend on it.
        memory: bytes one batch may take.
        progress: called once a batch.
        preview: called now and then, if the masks have an order from coarse to fine, in which they are then run. The
            readings do not depend on it.
        mode: how to run them; of no effect beside `chosen`.
        chosen: from `route`, for callers that record it; by default it is decided here.

    Returns:
        Readings of all masks, in their order. `len(masks)` forward passes of one image each.

    Raises:
        SegmenterError: the segmenter broke its contract.
        torch.OutOfMemoryError: one single image does not fit the accelerator.
    """
    clean = to_tensor(image, segmenter.device)
    quick = (chosen or route(image, masks, segmenter, frozen, mode=mode)).quick
    reader = frozen.reader(segmenter.device)

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
    """Readings of some masks of a stream, each by one whole pass of the segmenter as it is."""
    clean, reader = to_tensor(image, segmenter.device), frozen.reader(segmenter.device)
    with torch.inference_mode():
        painted = [_painted(clean, masks, fill, [row]) for row in rows.tolist()]
        return Readings.concatenate([reader.read(segmenter(images), hidden) for images, hidden in painted])


def _painted(clean: Tensor, masks: Masks, fill: Fill, rows: list[int]) -> tuple[Tensor, Tensor]:
    """The image with each of some masks filled, `(N, 3, H, W)`, and the masks `(N, H, W)`."""
    holes = [masks.hidden(row, row + 1).to(clean.device) for row in rows]
    # One by one: what a fill draws at random belongs to the mask's own index.
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
    """Read any sequence of perturbations in batches, whether the image or a layer is perturbed.

    Args:
        total: how many perturbations there are.
        read: gives the readings of perturbations `start` to `stop` (half-open); called once a batch, in order, again
            after it ran out of memory.
        segmenter: what is run.
        frozen: what is read.
        batch, memory, progress: as in `run`.
    """
    # Input, perturbed copy and softmax in float32, masks in bool: what the lab itself holds of one image.
    each = frozen.region.size * 4 * (6 + 2 * len(segmenter.classes))
    size = batch or min(batch_size(segmenter.device, *frozen.region.shape), memory // each)
    size = max(1, size)
    parts: list[Readings] = []
    start = 0
    with torch.inference_mode(), kept(), undivided():
        while start < total:
            stop = min(start + size, total)
            try:
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
    """Images of a size that are run at once by default.

    No clock decides: the sums of a convolution depend on the batch in their last bits, and identical calls give identical
    bytes.
    """
    if device.type != "cpu":
        return ACCELERATOR_BATCH
    return int(np.clip(CPU_PIXELS // (height * width), 1, CPU_BATCH))


@dataclass(frozen=True, eq=False)
class Probe:
    """One perturbation, looked at closely.

    Attributes:
        pixels: the perturbed image, float32 `(H, W, 3)` in [0, 1].
        hidden: what was hidden, bool `(H, W)`.
        labels: the new segmentation, int64 `(H, W)`.
        lost: pixels of the region that were the class and are no longer, bool `(H, W)`.
        gained: pixels that were not the class and are now, bool `(H, W)`.
        reading: the same as numbers; one entry.
    """

    pixels: npt.NDArray[np.float32]
    hidden: npt.NDArray[np.bool_]
    labels: npt.NDArray[np.int64]
    lost: npt.NDArray[np.bool_]
    gained: npt.NDArray[np.bool_]
    reading: Readings


def rerun_mask(image: Image, masks: Masks, fill: Fill, segmenter: Segmenter, frozen: Frozen, index: int) -> Probe:
    """Run one mask of a stream again and keep everything. One forward pass.

    Raises:
        IndexError: `index` is not in 0 … len(masks) − 1.
    """
    if not 0 <= index < len(masks):
        raise IndexError(f"There is no perturbation {index}; expected 0 to {len(masks) - 1}.")
    with torch.inference_mode():
        painted, hidden = _painted(to_tensor(image, segmenter.device), masks, fill, [index])
        logits = segmenter(painted)
        reader = frozen.reader(segmenter.device)
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
