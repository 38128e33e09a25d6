"""Forward passes for hidden pixels, by the shortest way that gives the numbers of whole ones."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from perturb.fast.boxes import WHOLE, Boxes, Patch, Value
from perturb.fast.graph import Network, compiled
from perturb.fast.ops import Span
from perturb.fast.reading import LowReader
from perturb.fast.workers import cores, spread
from perturb.results import Readings
from perturb.segmenters.base import Segmenter, TorchSegmenter
from perturb.targets import Frozen

FEWEST = 16
"""Perturbations from which it pays to look for a shorter way: that takes about three passes, and is remembered."""
MEMORY = 2_000_000_000
"""Bytes that the clean values of all steps may take."""

EACH = 4
"""Perturbations for each core at once: enough that no core waits long for another, few enough that progress is seen."""


def passes(segmenter: Segmenter, picture: Tensor, frozen: Frozen, total: int) -> Passes | None:
    """The shortest known way through a segmenter; None if that is the segmenter itself.

    Args:
        segmenter: in use. Its `pace` says whether shorter ways are wanted.
        picture: the clean one, `(3, H, W)`.
        frozen: what will be read.
        total: how many perturbations there will be.
    """
    half = segmenter.pace == "bfloat16"
    if segmenter.pace == "plain" or segmenter.device.type != "cpu" or (total < FEWEST and not half):
        return None
    dtype = torch.bfloat16 if half else torch.float32
    network = compiled(segmenter, *picture.shape[1:], dtype=dtype)
    if network is None or sum(c * h * w for c, h, w in (s.shape for s in network.steps)) * dtype.itemsize > MEMORY:
        return None
    assert isinstance(segmenter, TorchSegmenter)
    with torch.inference_mode():
        return Passes(network, segmenter, picture, frozen)


class Passes:
    """Passes of pictures that differ from one clean picture where pixels are hidden.

    Args:
        network: the segmenter's.
        segmenter: in use.
        picture: the clean one, `(3, H, W)`.
        frozen: what to read.

    Attributes:
        together: perturbations that are best read at once.
    """

    def __init__(self, network: Network, segmenter: TorchSegmenter, picture: Tensor, frozen: Frozen) -> None:
        self._segmenter, self._dtype = segmenter, network.dtype
        self.together = EACH * cores()
        self._boxes = Boxes(network, self._prepare(picture[None]))
        plain = segmenter(picture[None]) if self._dtype != torch.float32 else None
        self._reader = LowReader(frozen, network, self._boxes.clean[-1], plain)

    def read(self, painted: Tensor, hidden: Tensor) -> Readings:
        """Readings of perturbed pictures `(N, 3, H, W)`, which are the clean one where `hidden`, `(N, H, W)`, is 0.

        Each goes its own way, whatever else is in the batch: its numbers do not depend on it.
        """
        one = partial(self._one, painted, hidden)
        return Readings.concatenate(spread(one, range(len(painted))))

    def _one(self, painted: Tensor, hidden: Tensor, row: int) -> Readings:
        hole = _hole(hidden[row])
        value: Value = None
        if hole is not None:
            (y0, y1), (x0, x1) = hole
            whole = (y1 - y0) * (x1 - x0) > WHOLE * hidden[row].numel()
            value = (
                self._prepare(painted[row : row + 1])
                if whole
                else Patch(self._prepare(painted[row : row + 1, :, y0:y1, x0:x1]), hole)
            )
            value = self._boxes(value)
        return self._reader.read(value, hidden[row : row + 1])

    def _prepare(self, pictures: Tensor) -> Tensor:
        # Normalisation is the same for every pixel, so a piece of a picture can be normalised alone.
        return self._segmenter.prepare(pictures).to(self._dtype)


def _hole(hidden: Tensor) -> tuple[Span, Span] | None:
    """The box around what a mask `(H, W)` hides; None if it hides nothing."""
    holes = hidden if hidden.dtype == torch.bool else hidden > 0
    rows, columns = holes.any(1).nonzero(), holes.any(0).nonzero()
    if not len(rows):
        return None
    return (int(rows[0]), int(rows[-1]) + 1), (int(columns[0]), int(columns[-1]) + 1)
