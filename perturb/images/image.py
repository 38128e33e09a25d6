"""Pictures: from a file, bytes or an array to float32 RGB in [0, 1], whatever the file was.

A picture is decoded once, at the door. Behind it there is one form only, and a digest of exactly those pixels, so that
a link or a result can say which picture it belongs to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from perturb.core.errors import ImageError
from perturb.images.decoding import Source, decode
from perturb.images.ground_truth import IGNORE, IgnoreIndex, ignored_values, read_truth

MAX_SIDE = 640
"""Longest side, in pixels, that a picture keeps by default. An explanation is hundreds of forward passes."""
MIN_SIDE = 2


@dataclass(frozen=True, eq=False)
class Image:
    """A picture, ready for the engine.

    Attributes:
        pixels: float32 RGB `(H, W, 3)` in [0, 1], read-only.
        name: what to call it; never used as a path.
        digest: 32 hexadecimal digits, blake2b of the shape and the pixels.
        notes: what was done to the file on the way in, one sentence each ("Scaled from … to …").
        truth: ground-truth class indices, uint8 `(H, W)`, 255 where there is none; or None.
        truth_classes: names of the indices in `truth`; empty when they are the segmenter's own.
        truth_ignored: values of the mask that were read as "no class" besides 255, ascending.
        file_shape: height and width of the upright file, where the picture was scaled; or None.
    """

    pixels: npt.NDArray[np.float32]
    name: str
    digest: str
    notes: tuple[str, ...] = ()
    truth: npt.NDArray[np.uint8] | None = None
    truth_classes: tuple[str, ...] = ()
    file_shape: tuple[int, int] | None = None
    truth_ignored: tuple[int, ...] = ()

    @cached_property
    def key(self) -> str:
        """What tells this picture from others together with its ground truth: the digest, or both their digests."""
        if self.truth is None:
            return self.digest
        names = hashlib.blake2b("\n".join(self.truth_classes).encode(errors="surrogatepass"), digest_size=8).hexdigest()
        return f"{self.digest}-{digest_of(self.truth)}-{names}"

    def with_truth(
        self,
        source: Source,
        classes: Sequence[str] = (),
        palette: npt.NDArray[np.uint8] | None = None,
        *,
        ignore_index: IgnoreIndex = (),
    ) -> Image:
        """The same picture with this ground truth in place of its own.

        Args:
            source: a mask of class indices (255 is "no class") or of the classes' colours, as large as the picture or as
                its file; see `perturb.images.ground_truth.read_truth`.
            classes: what the indices mean: a segmenter's K class names. Without them, the indices are those of whatever
                segmenter is used.
            palette: their colours, uint8 RGB `(K, 3)`.
            ignore_index: index, or several, whose pixels have no class, such as 11 in CamVid's masks. They are left out of
                every figure.

        Raises:
            LabelError: a mask with values that are no class.
            ImageError: not a mask, or of another size.
        """
        labels = read_truth(
            source,
            shape=(self.height, self.width),
            file_shape=self.file_shape,
            classes=classes,
            palette=palette,
            ignore_index=ignore_index,
        )
        labels.setflags(write=False)
        return replace(self, truth=labels, truth_classes=tuple(classes), truth_ignored=ignored_values(ignore_index))

    def without_truth(self) -> Image:
        """The same picture without ground truth."""
        return replace(self, truth=None, truth_classes=(), truth_ignored=())

    @cached_property
    def thumbnail(self) -> npt.NDArray[np.uint8]:
        """The picture at a longest side of 160 px, uint8 RGB."""
        factor = min(1.0, 160 / max(self.height, self.width))
        size = max(1, round(self.width * factor)), max(1, round(self.height * factor))
        small = cv2.resize(np.array(self.pixels), size, interpolation=cv2.INTER_AREA)
        return np.asarray(np.rint(small * 255), dtype=np.uint8)

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])


def load_image(
    source: Source,
    *,
    name: str | None = None,
    max_side: int = MAX_SIDE,
    truth: Source | None = None,
    truth_classes: Sequence[str] = (),
    truth_palette: npt.NDArray[np.uint8] | None = None,
    ignore_index: IgnoreIndex = (),
) -> Image:
    """Read a picture from a path, bytes, an open file, a Pillow image or an array.

    Files may be grey, with alpha (laid on white), 16-bit, CMYK, palette, animated (first frame) or rotated by EXIF;
    what was done is in the result's `notes`. Arrays are `(H, W)`, `(H, W, 3)` or `(H, W, 4)`, uint8, uint16, or floats
    in [0, 1].

    Args:
        source: the picture.
        name: what to call it; the file's stem by default.
        max_side: a longer side is scaled down to this many pixels (area average), and a note says so.
        truth, truth_classes, truth_palette, ignore_index: ground truth, as in `Image.with_truth`.

    Raises:
        ImageError: not a picture, broken, too large to decode, or too small to hide anything in; or ground truth that
            does not fit.
    """
    if max_side < MIN_SIDE:
        raise ImageError(f"Cannot scale a picture to a longest side of {max_side} px; expected {MIN_SIDE} or more.")
    pixels, (width, height), notes = decode(source, max_side)
    if min(height, width) < MIN_SIDE:
        raise ImageError(
            f"The picture is too small: got {width} × {height} px, expected at least {MIN_SIDE} × {MIN_SIDE} px; "
            "there is nothing to hide in it. Choose a larger one."
        )
    if max(height, width) > max_side:
        factor = max_side / max(height, width)
        size = (max(MIN_SIDE, round(width * factor)), max(MIN_SIDE, round(height * factor)))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
        notes.append(f"Scaled from {width} × {height} to {size[0]} × {size[1]} px.")
    pixels = np.ascontiguousarray(np.clip(pixels, 0.0, 1.0), dtype=np.float32)
    file_shape = None if (height, width) == pixels.shape[:2] else (height, width)
    image = image_from_pixels(pixels, name=name or _name_of(source), notes=tuple(notes), file_shape=file_shape)
    if truth is None:
        return image
    return image.with_truth(truth, truth_classes, truth_palette, ignore_index=ignore_index)


def image_from_pixels(
    pixels: npt.NDArray[np.float32],
    *,
    name: str,
    notes: tuple[str, ...] = (),
    truth: npt.NDArray[np.uint8] | None = None,
    truth_classes: tuple[str, ...] = (),
    file_shape: tuple[int, int] | None = None,
) -> Image:
    """Wrap float32 RGB `(H, W, 3)` in [0, 1] that needs no decoding; the array becomes read-only."""
    pixels.setflags(write=False)
    if truth is not None:
        truth.setflags(write=False)
    return Image(pixels, name, digest_of(pixels), notes, truth, truth_classes, file_shape)


def to_tensor(image: Image, device: torch.device) -> torch.Tensor:
    """The picture as float32 `(3, H, W)` in [0, 1] on a device."""
    return torch.from_numpy(image.pixels.transpose(2, 0, 1).copy()).to(device)


def digest_of(array: npt.NDArray[Any]) -> str:
    """32 hexadecimal digits of blake2b over the shape, dtype and bytes of an array."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{array.shape}{array.dtype.str}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _name_of(source: Source) -> str:
    path = source if isinstance(source, str | Path) else getattr(source, "name", None)
    return Path(str(path)).stem or "picture" if path else "picture"


__all__ = ["IGNORE", "MAX_SIDE", "MIN_SIDE", "Image", "digest_of", "image_from_pixels", "load_image", "to_tensor"]
