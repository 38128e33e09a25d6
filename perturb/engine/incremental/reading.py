"""Read a target from logits at the network's own resolution, which are upsampled only where necessary.

A mean logit is linear in the logits, and so is bilinear upsampling. So the mean of the upsampled logits over a region
is a weighted sum of the small logits, with weights from the transposed upsampling of the region's mask. The predicted
mask needs the full resolution, but comparing two cells decides most of the pixels between them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from perturb.engine.incremental.base import Span
from perturb.engine.incremental.boxes import ChangedBoxes, Value, extract
from perturb.engine.incremental.lowering import Network
from perturb.engine.incremental.moves import Crop, Resize, interpolation_sources
from perturb.targets.reader import Reader
from perturb.targets.readings import Readings
from perturb.targets.target import Frozen

Ints = npt.NDArray[np.int64]


class LowReader:
    """Computes readings from the output of `Boxes`.

    Args:
        frozen: the target to read.
        network: the lowered network.
        clean: clean value of its last step, `(1, K, h, w)`.
        plain: clean logits of the segmenter, `(1, K, H, W)`, if the network is run at lower precision. Then only
            changes are taken from the network, so that hiding nothing changes nothing.
    """

    def __init__(self, frozen: Frozen, network: Network, clean: Tensor, plain: Tensor | None = None) -> None:
        self._reader = Reader(frozen, clean.device)
        self._frozen = frozen
        self._clean = clean
        height, width = frozen.region.shape
        self._enlarge = Enlargement(network, (clean.shape[2], clean.shape[3]), (height, width))
        self._score = frozen.target.score
        region = torch.from_numpy(frozen.region).to(clean.device)
        self._pixels = int(region.sum())
        self._now = self._mask(clean, ((0, height), (0, width)))
        if self._score == "logit":
            self._weights = self._enlarge.pulled_back(region.double()) / self._pixels
            self._own = clean[:, frozen.index].double()
            self._clean_score = float((self._own[0] * self._weights).sum())
        elif self._score == "probability":
            ys, xs = np.nonzero(frozen.region)
            self._around = ((int(ys.min()), int(ys.max()) + 1), (int(xs.min()), int(xs.max()) + 1))
            self._region = region
            own = self._probability(clean, self._around)
            self._sure = clean.new_zeros((height, width), dtype=torch.float64)
            self._sure[_slices(self._around)] = own[0]
            self._clean_score = float(own.sum()) / self._pixels
        self._turned: Tensor | None = None
        self._offset = 0.0
        if plain is not None:
            self._turned = self._now ^ self._reader.mask(plain)
            if self._score != "iou":
                self._offset = float(self._reader.mean(plain)[0]) - self._clean_score

    def read(self, value: Value, hidden: Tensor) -> Readings:
        """Readings of N images with masks `hidden` `(N, H, W)`."""
        height, width = self._now.shape[1:]
        every = ((0, height), (0, width))
        if isinstance(value, Tensor):
            return self._count(self._mask(value, every), hidden, self._mean(value))
        if value is None:
            score = self._mean(self._clean)
            count = len(hidden)
            return self._count(self._now.expand(count, -1, -1), hidden, None if score is None else score.expand(count))
        one_by_one = [self._read(value.one(row), hidden[row : row + 1]) for row in range(len(hidden))]
        return Readings.concatenate(one_by_one)

    def _read(self, value: ChangedBoxes, hidden: Tensor) -> Readings:
        """Readings of one image that changed in a box."""
        spans = self._enlarge.touched((value.span(0, 0), value.span(1, 0)))
        now = self._now
        if spans is not None:
            now = now.clone()
            now[(slice(None), *_slices(spans))] = self._mask(value, spans)
        return self._count(now, hidden, self._moved(value, spans))

    def _count(self, now: Tensor, hidden: Tensor, score: Tensor | None) -> Readings:
        now = now if self._turned is None else now ^ self._turned
        return self._reader.count(now, hidden, None if score is None else score + self._offset)

    def _mean(self, low: Tensor) -> Tensor | None:
        """Mean logit or probability over the region, `(N,)`; None for the IoU."""
        if self._score == "logit":
            return torch.einsum("nyx,yx->n", low[:, self._frozen.index].double(), self._weights)
        if self._score == "probability":
            return self._probability(low, self._around).sum((1, 2)) / self._pixels
        return None

    def _moved(self, value: ChangedBoxes, spans: tuple[Span, Span] | None) -> Tensor | None:
        """The same, computed from the change of the clean value."""
        if self._score == "iou":
            return None
        change = 0.0
        if self._score == "logit":
            cells = _slices((value.span(0, 0), value.span(1, 0)))
            moved = value.values[0, self._frozen.index].double() - self._own[0][cells]
            change = float((moved * self._weights[cells]).sum())
        elif spans is not None:
            (y0, y1), (x0, x1) = (_common(a, b) for a, b in zip(spans, self._around, strict=True))
            if y0 < y1 and x0 < x1:
                box = ((y0, y1), (x0, x1))
                change = float((self._probability(value, box)[0] - self._sure[_slices(box)]).sum()) / self._pixels
        return torch.tensor([self._clean_score + change], dtype=torch.float64)

    def _probability(self, value: ChangedBoxes | Tensor, spans: tuple[Span, Span]) -> Tensor:
        """Probability of the class in a box, zero outside the region, `(N, …)`."""
        sure = self._enlarge(self._clean, value, spans).softmax(1)[:, self._frozen.index].double()
        return sure * self._region[_slices(spans)]

    def _mask(self, value: ChangedBoxes | Tensor, spans: tuple[Span, Span]) -> Tensor:
        """Pixels of a box that are predicted as the class, bool `(N, …)`."""
        low = self._enlarge.small(self._clean, value, spans)
        if low.device.type != "cpu":
            return self._reader.mask(self._enlarge.large(low, spans))
        return self._enlarge.leads(low, self._frozen.index, spans)


class Enlargement:
    """The final operations of a network, which upsample and crop logits to the image, for boxes of their output.

    Args:
        network: the lowered network, with its `lift`.
        small: h, w of the small logits.
        large: H, W of the image.
    """

    def __init__(self, network: Network, small: tuple[int, int], large: tuple[int, int]) -> None:
        self._size, self._first = small, [0, 0]
        for op in network.lift:
            if isinstance(op, Resize):
                self._size = op.size
            elif isinstance(op, Crop):
                self._first = [self._first[0] + op.rows[0], self._first[1] + op.columns[0]]
        self.enlarges = self._size != small
        reads = [_reads(self._size[axis], small[axis], self._first[axis], large[axis]) for axis in (0, 1)]
        self._low, self._matrix = [low for low, _, _ in reads], [matrix for _, _, matrix in reads]
        self._share = [share for _, share, _ in reads]
        self._whole = [to // of if to % of == 0 else 0 for to, of in zip(self._size, small, strict=True)]

    def pulled_back(self, mask: Tensor) -> Tensor:
        """Apply the transposed upsampling to a mask `(H, W)`: weights of the small cells, float64 `(h, w)`.

        The sum of a small map with these weights is the sum of the upsampled map over the mask.
        """
        rows, columns = (matrix.to(mask.device) for matrix in self._matrix)
        return rows.T @ mask @ columns

    def touched(self, spans: tuple[Span, Span]) -> tuple[Span, Span] | None:
        """Pixels that depend on any of the cells `spans`; None if there are none."""
        found = []
        for axis in (0, 1):
            low, (first, last) = self._low[axis], spans[axis]
            hit = np.flatnonzero((low[:, 1] > first) & (low[:, 0] < last))
            if not len(hit):
                return None
            found.append((int(hit[0]), int(hit[-1]) + 1))
        return found[0], found[1]

    def _needed(self, spans: tuple[Span, Span]) -> tuple[Span, Span]:
        rows, columns = (
            (int(low[first, 0]), int(low[last - 1, 1])) for low, (first, last) in zip(self._low, spans, strict=True)
        )
        return rows, columns

    def small(self, clean: Tensor, value: ChangedBoxes | Tensor, spans: tuple[Span, Span]) -> Tensor:
        """The cells that the pixels of a box depend on."""
        rows, columns = self._needed(spans)
        if isinstance(value, Tensor):
            return value[..., slice(*rows), slice(*columns)].float()
        return extract(clean, value, ([rows], [columns]), "edge").float()

    def __call__(self, clean: Tensor, value: ChangedBoxes | Tensor, spans: tuple[Span, Span]) -> Tensor:
        """Upsampled logits of a box, `(N, K, …)`."""
        return self.large(self.small(clean, value, spans), spans)

    def large(self, low: Tensor, spans: tuple[Span, Span]) -> Tensor:
        """Upsample the cells from `small` to the box."""
        if not self.enlarges:
            return low
        (y0, y1), (x0, x1) = spans
        if all(self._whole) and max(self._whole) <= 4:
            return self._exactly(low, spans)
        (a0, a1), (b0, b1) = self._needed(spans)
        rows = self._matrix[0][y0:y1, a0:a1].to(low)
        columns = self._matrix[1][x0:x1, b0:b1].to(low)
        return torch.matmul(torch.matmul(rows, low.contiguous()), columns.T)

    def leads(self, low: Tensor, index: int, spans: tuple[Span, Span]) -> Tensor:
        """Pixels of the box that are predicted as a class, bool `(N, …)`, from the cells of `small`."""
        from perturb.engine.incremental.leading import leads  # here: see `compiling`

        cells, shares = [], []
        for axis, needed in enumerate(self._needed(spans)):
            cells.append(self._low[axis][slice(*spans[axis])] - needed[0] - np.array((0, 1)))  # the spans are half-open
            shares.append(self._share[axis][slice(*spans[axis])].astype(np.float32))
        starts = np.flatnonzero(np.diff(cells[1][:, 0], prepend=-1))
        now = torch.empty((len(low), len(shares[0]), len(shares[1])), dtype=torch.bool)
        leads(
            low.permute(0, 2, 3, 1).contiguous().numpy(), index, cells[0], shares[0], cells[1][starts],
            np.append(starts, len(shares[1])), shares[1], now.numpy(),
        )  # fmt: skip
        return now

    def _exactly(self, low: Tensor, spans: tuple[Span, Span]) -> Tensor:
        """Upsample with torch's own function, which is faster than a matrix product for small integer factors."""
        (a0, a1), (b0, b1) = self._needed(spans)
        high, wide = self._whole
        # torch repeats the last cells of the patch beyond its ends, which is correct only at the border of the map.
        large = functional.interpolate(low, ((a1 - a0) * high, (b1 - b0) * wide), mode="bilinear", align_corners=False)
        (y0, y1), (x0, x1) = spans
        top, left = y0 + self._first[0] - a0 * high, x0 + self._first[1] - b0 * wide
        return large[..., top : top + y1 - y0, left : left + x1 - x0]


def _reads(size: int, small: int, first: int, count: int) -> tuple[Ints, npt.NDArray[np.float64], Tensor]:
    """The cells that `count` pixels from `first` interpolate, on an axis of `small` cells upsampled to `size`.

    Returns:
        The half-open span of cells of each pixel, int64 `(count, 2)`; the weight of its last cell, float64 `(count,)`;
        the weights of all cells, float64 `(count, small)`.
    """
    cells, share = interpolation_sources(size, small, first, count)
    matrix, rows = np.zeros((count, small)), np.arange(count)
    np.add.at(matrix, (rows, cells[:, 0]), 1.0 - share)
    np.add.at(matrix, (rows, cells[:, 1]), share)
    return cells + np.array((0, 1)), share, torch.from_numpy(matrix)


def _common(one: Span, other: Span) -> Span:
    return max(one[0], other[0]), min(one[1], other[1])


def _slices(spans: tuple[Span, Span]) -> tuple[slice, slice]:
    return slice(*spans[0]), slice(*spans[1])
