"""Incremental forward passes for images with hidden pixels, with the results of whole passes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from perturb.core.threads import cores, spread
from perturb.engine.incremental.base import Span
from perturb.engine.incremental.boxes import WHOLE, Boxes, ChangedBoxes, Value
from perturb.engine.incremental.cost import dearer, share
from perturb.engine.incremental.graph import check_clean, known_network, lower_network
from perturb.engine.incremental.known import Unknown
from perturb.engine.incremental.lowering import Network
from perturb.engine.incremental.reading import LowReader
from perturb.perturbations.masks import Masks
from perturb.segmenters.base import Segmenter
from perturb.segmenters.torch_module import TorchSegmenter
from perturb.targets.readings import Readings
from perturb.targets.target import Frozen

FEWEST = 16
"""Smallest number of perturbations for which the network is lowered. That takes about three passes and is cached."""
SAMPLE = 12
"""Number of masks for which the cost is estimated."""
MEMORY = 2_000_000_000
"""Memory limit for the clean values of all steps, in bytes."""

LEAST = 0.4
"""Guess of the cost of an incremental pass for a small hole, relative to a whole pass."""

EACH = 4
"""Perturbations per group: enough to amortize the start of small operations, but few enough that their maps stay in the
cache and progress is visible."""
CACHE = 17_000_000
"""Limit of the size of one map of a group, in bytes."""
WASTE = 1.5
"""Largest ratio of the common box of a group to its smallest box."""

Hole = tuple[Span, Span]
"""Rows and columns of a bounding box."""


def passes(
    segmenter: Segmenter, image: Tensor, frozen: Frozen, masks: Masks, dtype: torch.dtype, logits: Tensor | None
) -> Passes:
    """Incremental passes of a segmenter, if they are expected to cost less than whole passes.

    Args:
        segmenter: the segmenter.
        image: the clean image, `(3, H, W)`.
        frozen: the target to read.
        masks: the perturbations.
        dtype: dtype of the lowered network. In bfloat16 incremental passes are used whatever their cost.
        logits: as in `Passes`.

    Raises:
        Unknown: whole passes are to be used; the message is the reason, as a clause.
    """
    half = dtype == torch.bfloat16
    if segmenter.device.type != "cpu":
        raise Unknown("parts of a network are run on processors only")
    if len(masks) < FEWEST and not half:
        raise Unknown(f"{len(masks)} perturbations are too few to repay the preparation")
    network = lower_network(segmenter, *image.shape[1:], dtype=dtype)
    if (size := sum(c * h * w for c, h, w in (s.shape for s in network.steps)) * dtype.itemsize) > MEMORY:
        raise Unknown(f"the clean maps would take {size / 1e9:.1f} GB")
    if not half and (reason := dearer(network, _sample(masks), len(masks))):
        raise Unknown(reason)
    assert isinstance(segmenter, TorchSegmenter)
    with torch.inference_mode():
        return Passes(network, segmenter, image, frozen, logits)


def _sample(masks: Masks) -> list[Hole | None]:
    """Bounding boxes of some of the masks."""
    rows = np.unique(np.linspace(0, len(masks) - 1, min(SAMPLE, len(masks))).astype(int)).tolist()
    return [hole for row in rows for hole in _holes(masks.hidden(row, row + 1))]


def expected_share(segmenter: Segmenter, height: int, width: int, masks: Masks) -> tuple[float, bool]:
    """Expected cost of a perturbation relative to a whole pass, without running anything.

    Args:
        segmenter: the segmenter.
        height, width: size of the image.
        masks: the perturbations.

    Returns:
        The cost: 1 if the masks are run by whole passes, less for incremental ones. And whether it is known: before the
        network has been lowered for this size, it is a guess from the size of the hidden parts.
    """
    if segmenter.device.type != "cpu" or len(masks) < FEWEST or not isinstance(segmenter, TorchSegmenter):
        return 1.0, True
    network, holes = known_network(segmenter, height, width), _sample(masks)
    if network is None:
        areas = [0 if hole is None else (hole[0][1] - hole[0][0]) * (hole[1][1] - hole[1][0]) for hole in holes]
        return LEAST + (1 - LEAST) * float(np.mean(areas)) / (height * width), False
    return (1.0 if dearer(network, holes, len(masks)) else share(network, holes)), True


class Passes:
    """Passes of images that differ from the clean image in hidden pixels only.

    Args:
        network: the segmenter's lowered network.
        segmenter: the segmenter.
        image: the clean image, `(3, H, W)`.
        frozen: the target to read.
        logits: clean logits of the segmenter from a pass in this run, `(K, H, W)`; None to run one.

    Attributes:
        together: best number of perturbations per batch.

    Raises:
        Stale: the lowered network is out of date.
    """

    def __init__(
        self, network: Network, segmenter: TorchSegmenter, image: Tensor, frozen: Frozen, logits: Tensor | None = None
    ) -> None:
        self._segmenter, self._dtype = segmenter, network.dtype
        # In the second half of the network boxes have grown to whole maps.
        sizes = [channels * height * width for channels, height, width in (step.shape for step in network.steps)]
        largest = max(sizes[len(sizes) // 2 :]) * network.dtype.itemsize
        self._each = max(1, min(EACH, CACHE // largest))
        self.together = EACH * cores()
        self._boxes = Boxes(network, self._prepare(image[None]))
        given = segmenter(image[None]) if logits is None else logits[None]
        check_clean(network, self._boxes.clean[-1], given)
        self._reader = LowReader(
            frozen, network, self._boxes.clean[-1], None if self._dtype == torch.float32 else given
        )

    def read(self, painted: Tensor, hidden: Tensor) -> Readings:
        """Readings of perturbed images `(N, 3, H, W)`, which equal the clean image where `hidden` `(N, H, W)` is 0."""
        holes = _holes(hidden)
        groups = _alike(holes, min(self._each, -(-len(holes) // cores())))
        found = Readings.concatenate(spread(partial(self._some, painted, hidden, holes), groups))
        return found[np.argsort(np.concatenate(groups))]

    def _some(self, painted: Tensor, hidden: Tensor, holes: Sequence[Hole | None], group: list[int]) -> Readings:
        changed = self._changed(painted, [holes[row] for row in group], group)
        return self._reader.read(self._boxes(changed), hidden[group])

    def _changed(self, painted: Tensor, holes: Sequence[Hole | None], group: list[int]) -> Value:
        """The images of a group, as changes of the clean image."""
        found = [hole for hole in holes if hole is not None]
        if not found:
            return None
        height, width = (max(hole[axis][1] - hole[axis][0] for hole in found) for axis in (0, 1))
        if height * width > WHOLE * painted[0, 0].numel():
            return self._prepare(painted[group])
        rows, columns = (
            tuple(min(hole[axis][0], painted.shape[2 + axis] - side) for hole in found)
            for axis, side in ((0, height), (1, width))
        )
        corners = zip(group, rows, columns, strict=True)
        pieces = [painted[row : row + 1, :, y : y + height, x : x + width] for row, y, x in corners]
        return ChangedBoxes(self._prepare(torch.cat(pieces)), (rows, columns))

    def _prepare(self, images: Tensor) -> Tensor:
        # Normalisation is the same for every pixel, so a patch can be normalised on its own.
        return self._segmenter.normalise(images).to(self._dtype)


def _holes(hidden: Tensor) -> list[Hole | None]:
    """Bounding boxes of the hidden pixels of N masks `(N, H, W)`; None for a mask that hides nothing."""
    holes = hidden if hidden.dtype == torch.bool else hidden > 0
    lines = zip(holes.any(2).numpy(), holes.any(1).numpy(), strict=True)
    return [(_ends(rows), _ends(columns)) if rows.any() else None for rows, columns in lines]


def _ends(line: npt.NDArray[np.bool_]) -> Span:
    return int(line.argmax()), len(line) - int(line[::-1].argmax())


def _alike(holes: Sequence[Hole | None], most: int) -> list[list[int]]:
    """Group holes of similar size, at most `most` per group, because all boxes of a group get the size of the
    largest."""
    sizes = [(0, 0) if hole is None else (hole[0][1] - hole[0][0], hole[1][1] - hole[1][0]) for hole in holes]
    groups: list[list[int]] = []
    for row in sorted(range(len(holes)), key=lambda row: (sizes[row][0] * sizes[row][1], row)):
        height, width = sizes[row]
        if groups and len(groups[-1]) < most:
            mates = [sizes[mate] for mate in groups[-1]]
            least = min(high * wide for high, wide in mates)
            if max(height, *(m[0] for m in mates)) * max(width, *(m[1] for m in mates)) <= WASTE * least:
                groups[-1].append(row)
                continue
        groups.append([row])
    return groups
