"""Masks: the pixels that each perturbation hides, as lazy streams whose batches are computed when needed.

4,096 masks of a 520 × 520 image would take 1.1 GB; a stream needs the memory of one batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from perturb.core.errors import SettingError

SHAPES = ("square", "rectangle", "disc")
STEPS = (8, 4, 2)
"""Steps of the coarse grids of windows that are run first when intermediate results are shown."""


class Masks(ABC):
    """A stream of masks over one image.

    Attributes:
        height, width: size of the image in pixels.
    """

    height: int
    width: int

    @abstractmethod
    def __len__(self) -> int:
        """Number of masks, which is the number of forward passes they cost."""

    @abstractmethod
    def hidden(self, start: int, stop: int) -> Tensor:
        """Masks `start` to `stop` (half-open): bool `(stop − start, H, W)`, True for hidden pixels."""

    def coarse_to_fine(self) -> npt.NDArray[np.int64] | None:
        """An order of the masks, int64 `(N,)`, of which any first part covers the image evenly; None if there is
        none."""
        return None

    def stand_ins(self, done: int) -> npt.NDArray[np.int64]:
        """For each mask, the mask whose reading is shown in its place while only `done` masks were run; int64 `(N,)`.

        Args:
            done: how many masks of `coarse_to_fine` were run. Each of these stands for itself.
        """
        raise NotImplementedError  # only called if `coarse_to_fine` returns an order

    def spread(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """Average values of masks over the pixels: each pixel gets the mean over the masks that hide it.

        Args:
            values: float64 `(N, M)`: M values for each of the N masks.

        Returns:
            float32 `(M, H, W)`; 0 for pixels that no mask hides.
        """
        total = np.zeros((values.shape[1], self.height, self.width))
        count = np.zeros((self.height, self.width))
        for index in range(len(self)):
            mask = self.hidden(index, index + 1)[0].numpy()
            total[:, mask] += values[index][:, None]
            count[mask] += 1
        return np.asarray(total / np.maximum(count, 1), dtype=np.float32)


class Windows(Masks):
    """Sliding windows; the last one of each row and column is clipped at the image border.

    Windows start at 0, stride, 2·stride, … until one reaches the border, as in captum's Occlusion.

    Args:
        height, width: size of the image in pixels.
        size: the window's width in pixels; also its height unless `shape` is "rectangle".
        stride: pixels between starts, at most the window's size, so that every pixel is hidden at least once.
        shape: "square", "rectangle" or "disc" (inscribed in the square).
        rectangle_height: height of a "rectangle" in pixels.

    Raises:
        SettingError: the window is empty or larger than the image, or the stride would leave gaps.
    """

    def __init__(
        self, height: int, width: int, *, size: int, stride: int, shape: str = "square", rectangle_height: int = 0
    ) -> None:
        if shape not in SHAPES:
            raise SettingError(f"There is no occluder shape '{shape}'; expected one of {', '.join(SHAPES)}.")
        tall = rectangle_height if shape == "rectangle" else size
        if not (1 <= size <= width and 1 <= tall <= height):
            raise SettingError(
                f"The window does not fit the image: got {size} × {tall} px for an image of {width} × {height} px; "
                f"expected 1 to {width} px wide and 1 to {height} px high. Choose a smaller size."
            )
        if not 1 <= stride <= min(size, tall):
            raise SettingError(
                f"The stride must lie between 1 and the window's size: got {stride} px for a window of {size} × {tall} px; "
                "a larger one would leave stripes that are never hidden."
            )
        self.height, self.width, self.size, self.tall, self.stride, self.shape = (
            height,
            width,
            size,
            tall,
            stride,
            shape,
        )
        self.rows = -(-(height - tall) // stride) + 1
        self.columns = -(-(width - size) // stride) + 1
        self._stencil = _stencil(shape, tall, size)

    def __len__(self) -> int:
        return self.rows * self.columns

    def box(self, index: int) -> tuple[int, int, int, int]:
        """The window's bounding box `x0, y0, x1, y1` (half-open), clipped at the border."""
        row, column = divmod(index, self.columns)
        x0, y0 = column * self.stride, row * self.stride
        return x0, y0, min(x0 + self.size, self.width), min(y0 + self.tall, self.height)

    def centre(self, index: int) -> tuple[int, int]:
        """The pixel `x, y` at the centre of a clipped window; the inverse of `at`."""
        x0, y0, x1, y1 = self.box(index)
        return (x0 + x1 - 1) // 2, (y0 + y1 - 1) // 2

    def at(self, x: int, y: int) -> int:
        """Index of the window whose centre is nearest to a pixel."""
        columns = [self.centre(column)[0] for column in range(self.columns)]
        rows = [self.centre(row * self.columns)[1] for row in range(self.rows)]
        row, column = int(np.argmin(np.abs(np.subtract(rows, y)))), int(np.argmin(np.abs(np.subtract(columns, x))))
        return row * self.columns + column

    def coarse_to_fine(self) -> npt.NDArray[np.int64]:
        # First every eighth window of every eighth row, then every fourth, and so on.
        row, column = np.divmod(np.arange(len(self)), self.columns)
        level = np.zeros(len(self), dtype=np.int64)
        for step in STEPS:
            level += (row % step == 0) & (column % step == 0)
        return np.argsort(-level, kind="stable")

    def stand_ins(self, done: int) -> npt.NDArray[np.int64]:
        place = np.empty(len(self), dtype=np.int64)
        place[self.coarse_to_fine()] = np.arange(len(self))
        row, column = np.divmod(np.arange(len(self)), self.columns)
        found = np.zeros(len(self), dtype=np.int64)  # the first window, unless a nearer one was run
        for step in (*STEPS, 1):  # finer grids overwrite coarser ones
            parent = row // step * step * self.columns + column // step * step
            found = np.where(place[parent] < done, parent, found)
        return found

    def hidden(self, start: int, stop: int) -> Tensor:
        masks = torch.zeros((stop - start, self.height, self.width), dtype=torch.bool)
        stencil = torch.from_numpy(self._stencil)
        for row, index in enumerate(range(start, stop)):
            x0, y0, x1, y1 = self.box(index)
            masks[row, y0:y1, x0:x1] = stencil[: y1 - y0, : x1 - x0]
        return masks

    def spread(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        # The same sum as in the base class, but each window only touches its own box.
        total = np.zeros((values.shape[1], self.height, self.width))
        count = np.zeros((self.height, self.width))
        for index in range(len(self)):
            x0, y0, x1, y1 = self.box(index)
            stencil = self._stencil[: y1 - y0, : x1 - x0]
            total[:, y0:y1, x0:x1] += values[index][:, None, None] * stencil
            count[y0:y1, x0:x1] += stencil
        return np.asarray(total / np.maximum(count, 1), dtype=np.float32)


class Ranked(Masks):
    """Hide the first `count` pixels of an order, for each of a list of counts.

    Args:
        rank: rank of each pixel, int `(H, W)`, a permutation of 0 … H·W − 1.
        counts: number of pixels that each mask hides, int `(N,)`.
        from_end: hide the *last* `count` pixels instead, as an insertion curve does.
    """

    def __init__(
        self, rank: npt.NDArray[np.integer], counts: npt.NDArray[np.integer], *, from_end: bool = False
    ) -> None:
        self.height, self.width = rank.shape
        self._rank = torch.from_numpy(np.ascontiguousarray(rank.astype(np.int32)))
        self._counts = torch.from_numpy(np.asarray(counts, dtype=np.int32))
        self._from_end = from_end

    def __len__(self) -> int:
        return len(self._counts)

    def hidden(self, start: int, stop: int) -> Tensor:
        counts = self._counts[start:stop, None, None]
        if self._from_end:
            return self._rank[None] >= self._rank.numel() - counts
        return self._rank[None] < counts


class Chain(Masks):
    """Several streams in sequence, so that they share batches."""

    def __init__(self, *streams: Masks) -> None:
        self.height, self.width = streams[0].height, streams[0].width
        self._streams = streams
        self._ends = np.cumsum([0, *(len(stream) for stream in streams)]).tolist()

    def __len__(self) -> int:
        return int(self._ends[-1])

    def hidden(self, start: int, stop: int) -> Tensor:
        parts = [
            stream.hidden(max(start, first) - first, min(stop, last) - first)
            for stream, (first, last) in zip(self._streams, pairwise(self._ends), strict=True)
            if max(start, first) < min(stop, last)
        ]
        return torch.cat(parts) if parts else torch.zeros((0, self.height, self.width), dtype=torch.bool)


def _stencil(shape: str, height: int, width: int) -> npt.NDArray[np.bool_]:
    if shape != "disc":
        return np.ones((height, width), dtype=np.bool_)
    y, x = np.mgrid[:height, :width]
    return np.asarray((x - (width - 1) / 2) ** 2 + (y - (height - 1) / 2) ** 2 <= (width / 2) ** 2)


def order_by(values: npt.NDArray[np.floating], seed: int) -> npt.NDArray[np.int64]:
    """Rank the pixels of a map by value, largest first, with ties broken at random.

    Args:
        values: `(H, W)`, finite.
        seed: seed of the random order of ties.

    Returns:
        int64 `(H, W)`, a permutation of 0 … H·W − 1; 0 for the largest value.
    """
    draw = np.random.default_rng(seed).permutation(values.size)
    order = np.lexsort((draw, -values.ravel().astype(np.float64)))
    rank = np.empty(values.size, dtype=np.int64)
    rank[order] = np.arange(values.size)
    return rank.reshape(values.shape)
