"""Layers and compositing: every stroke writes its colour and its owner together, so picture and labels never disagree.

The canvas is drawn at ``SUPERSAMPLE`` times the final size. ``owner`` holds one number a pixel; each number stands for
one (class, instance) pair, so the class map and the instance map are two look-ups of the same picture.
"""

from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Colour = tuple[float, float, float]

SUPERSAMPLE: Final = 2
_SHIFT: Final = 4  # fractional bits of a vertex: OpenCV fills polygons with 1/16 pixel precision
_LIMIT: Final = 16000.0  # vertices further out are clamped, far outside any canvas


def _fixed(points: Array) -> npt.NDArray[np.int32]:
    return np.asarray(np.rint(np.clip(points, -_LIMIT, _LIMIT) * (1 << _SHIFT)), np.int32)


def noise(rng: np.random.Generator, height: int, width: int, cells: float, octaves: int = 4) -> npt.NDArray[np.float32]:
    """Smooth fractal noise, float32 (height, width), mean near 0, within about -1..1; ``cells`` cells a width."""
    total = np.zeros((height, width), np.float32)
    weight, amount = 1.0, 0.0
    for octave in range(octaves):
        columns = max(2, round(cells * 2**octave))
        rows = max(2, round(columns * height / width))
        grid = rng.uniform(-1, 1, (rows, columns)).astype(np.float32)
        total += weight * np.asarray(cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
        amount += weight
        weight *= 0.55
    return np.asarray(total / amount, np.float32)


class Canvas:
    """A supersampled picture with its owner map.

    ``rgb``: uint8 (S*height, S*width, 3); ``owner``: int32 (S*height, S*width), indices into the owner table.
    """

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height * SUPERSAMPLE, width * SUPERSAMPLE
        self.rgb = np.zeros((self.height, self.width, 3), np.uint8)
        self.owner = np.zeros((self.height, self.width), np.int32)
        self._classes: list[int] = [0]
        self._instances: list[int] = [0]
        self._stuff: dict[int, int] = {0: 0}
        self._count = 0
        self.pen = 0

    def take(self, label: int, thing: bool = False) -> int:
        """Choose what the next strokes belong to; a ``thing`` gets a new instance id. Gives the owner number."""
        if not thing and label in self._stuff:
            self.pen = self._stuff[label]
            return self.pen
        self._count += int(thing)
        self._classes.append(label)
        self._instances.append(self._count if thing else 0)
        self.pen = len(self._classes) - 1
        if not thing:
            self._stuff[label] = self.pen
        return self.pen

    def _visible(self, points: Array) -> bool:
        low, high = points.min(0), points.max(0)
        return bool(high[0] >= 0 and high[1] >= 0 and low[0] < self.width and low[1] < self.height)

    def fill(self, points: Array, colour: Colour) -> None:
        """Fill one polygon, float (N, 2) in canvas pixels as x, y."""
        if len(points) < 3 or not self._visible(points):
            return
        fixed = _fixed(points)
        cv2.fillPoly(self.rgb, [fixed], colour, cv2.LINE_8, _SHIFT)
        cv2.fillPoly(self.owner, [fixed], (self.pen,), cv2.LINE_8, _SHIFT)

    def fill_corners(self, corners: Sequence[tuple[float, float]], colour: Colour) -> None:
        """`fill` for a few corners given as plain numbers: most of a façade, so it avoids small arrays."""
        xs = [corner[0] for corner in corners]
        ys = [corner[1] for corner in corners]
        if max(xs) < 0 or max(ys) < 0 or min(xs) >= self.width or min(ys) >= self.height:
            return
        scale, limit = 1 << _SHIFT, _LIMIT
        whole = [
            (round(max(-limit, min(limit, x)) * scale), round(max(-limit, min(limit, y)) * scale)) for x, y in corners
        ]
        fixed = np.array(whole, np.int32)
        cv2.fillPoly(self.rgb, [fixed], colour, cv2.LINE_8, _SHIFT)
        cv2.fillPoly(self.owner, [fixed], (self.pen,), cv2.LINE_8, _SHIFT)

    def fill_many(self, polygons: Array, colours: Array) -> None:
        """Fill small convex polygons of equal length, float (M, N, 2), in order; ``colours`` is (M, 3), 0..255."""
        low, high = polygons.min(1), polygons.max(1)
        seen = (high > 0).all(1) & (low[:, 0] < self.width) & (low[:, 1] < self.height)
        fixed = _fixed(polygons[seen])
        pen = (self.pen,)
        for polygon, colour in zip(fixed, colours[seen].tolist(), strict=True):
            cv2.fillConvexPoly(self.rgb, polygon, colour, cv2.LINE_8, _SHIFT)
            cv2.fillConvexPoly(self.owner, polygon, pen, cv2.LINE_8, _SHIFT)

    def stroke(self, points: Array, colour: Colour, width: float, closed: bool = False) -> None:
        """Draw a line of ``width`` canvas pixels (at least one) along ``points``, float (N, 2)."""
        if len(points) < 2 or not self._visible(points):
            return
        fixed, thick = [_fixed(points)], max(1, round(width))
        cv2.polylines(self.rgb, fixed, closed, colour, thick, cv2.LINE_8, _SHIFT)
        cv2.polylines(self.owner, fixed, closed, (self.pen,), thick, cv2.LINE_8, _SHIFT)

    def glaze(self, points: Array, colour: Colour, alpha: float, soft: float = 0.0, owned: bool = True) -> None:
        """Mix ``colour`` into a polygon without changing who owns it; ``owned`` keeps it on the current pen's pixels."""
        window = self._window(points, soft)
        if window is None:
            return
        rows, columns, mask = window
        mask *= alpha
        if owned:
            mask *= self.owner[rows, columns] == self.pen
        patch = self.rgb[rows, columns].astype(np.float32)
        patch += (np.asarray(colour, np.float32) - patch) * mask[:, :, None]
        self.rgb[rows, columns] = np.clip(patch, 0, 255).astype(np.uint8)

    def shade(self, points: Array, gain: Colour, soft: float = 0.0, owned: bool = True) -> None:
        """Multiply a polygon by ``gain`` (1 = unchanged): the stroke for shadows, which keep the texture below."""
        window = self._window(points, soft)
        if window is None:
            return
        rows, columns, mask = window
        if owned:
            mask *= self.owner[rows, columns] == self.pen
        patch = self.rgb[rows, columns].astype(np.float32)
        patch *= 1 + mask[:, :, None] * (np.asarray(gain, np.float32) - 1)
        self.rgb[rows, columns] = np.clip(patch, 0, 255).astype(np.uint8)

    def _window(self, points: Array, soft: float) -> tuple[slice, slice, npt.NDArray[np.float32]] | None:
        margin = 2 * soft + 1
        x0, y0 = np.floor(np.maximum(points.min(0) - margin, 0)).astype(int)
        x1, y1 = np.ceil(np.minimum(points.max(0) + margin, (self.width, self.height))).astype(int)
        if x1 - x0 < 1 or y1 - y0 < 1:
            return None
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        cv2.fillPoly(mask, [_fixed(points - (x0, y0))], (255,), cv2.LINE_8, _SHIFT)
        if soft > 0.6:
            size = 2 * round(soft) + 1
            mask = np.asarray(cv2.blur(cv2.blur(mask, (size, size)), (size, size)), np.uint8)
        return slice(y0, y1), slice(x0, x1), np.asarray(mask, np.float32) / np.float32(255)

    @property
    def owners(self) -> int:
        """How many owner numbers are in use."""
        return len(self._classes)

    def shows(self, point: Array, first: int, last: int, pen: int) -> bool:
        """Whether owners ``first`` to ``last`` (exclusive), or ``pen``, are on top near a canvas point x, y."""
        x, y = round(float(point[0])), round(float(point[1]))
        if not (0 <= x < self.width and 0 <= y < self.height):
            return True  # the light of a lamp outside the picture still falls in
        near = self.owner[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
        return bool((((near >= first) & (near < last)) | (near == pen)).any())

    def labels(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
        """Class map uint8 and instance map int32 at the final size: the most frequent owner in each 2 x 2 block."""
        a, b, c, d = (self.owner[i::2, j::2] for i in (0, 1) for j in (0, 1))
        vote = np.where((a == b) | (a == c) | (a == d), a, np.where((b == c) | (b == d), b, np.where(c == d, c, a)))
        return np.asarray(self._classes, np.uint8)[vote], np.asarray(self._instances, np.int32)[vote]

    def reduced(self) -> npt.NDArray[np.float32]:
        """The picture at the final size, float32 (height, width, 3), 0..255."""
        size = (self.width // SUPERSAMPLE, self.height // SUPERSAMPLE)
        return np.asarray(cv2.resize(self.rgb, size, interpolation=cv2.INTER_AREA), np.float32)


def hull(points: Array) -> Array:
    """Convex hull of float (N, 2) points."""
    return np.asarray(cv2.convexHull(points.astype(np.float32)), np.float32)[:, 0]


def mix(a: Sequence[float], b: Sequence[float], t: float) -> Colour:
    """Colour between ``a`` (t = 0) and ``b`` (t = 1)."""
    return (a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t)


def scaled(a: Sequence[float], gain: float) -> Colour:
    """Colour times ``gain``, kept within 0..255."""
    return (min(255.0, a[0] * gain), min(255.0, a[1] * gain), min(255.0, a[2] * gain))
