"""Load an image from a file, bytes or an array as float32 RGB in [0, 1].

All other code works on this one form. A digest of exactly these pixels identifies the image in links and results.
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

from perturb.images.decoding import MAX_SIDE, MIN_SIDE, Source, decode
from perturb.images.ground_truth import IGNORE, IgnoreIndex, ignored_values, read_truth


@dataclass(frozen=True, eq=False)
class Image:
    """An image, with its ground truth if there is one.

    Attributes:
        pixels: float32 RGB `(H, W, 3)` in [0, 1], read-only.
        name: for display; never used as a path.
        digest: 32 hexadecimal digits, blake2b of the shape, dtype and pixels.
        notes: conversions applied to the file, one sentence each ("Scaled from … to …").
        truth: ground-truth class indices, uint8 `(H, W)`, 255 for no class; or None.
        truth_classes: names of the indices in `truth`; empty if they are the segmenter's own.
        truth_ignored: values of the mask besides 255 that were read as "no class", ascending.
        file_shape: height and width of the upright file if the image was scaled; else None.
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
        """Identifies the image together with its ground truth: the image's digest, followed by that of the truth."""
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
        """The same image with this ground truth in place of its own.

        Args:
            source: a mask of class indices (255 for no class) or of class colours, in the size of the image or of its
                file; see `perturb.images.ground_truth.read_truth`.
            classes: K names of the indices. Without them, the indices are those of the segmenter in use.
            palette: colours of the classes, uint8 RGB `(K, 3)`.
            ignore_index: one or several indices whose pixels have no class, such as 11 in CamVid's masks. They are
                excluded from all metrics.

        Raises:
            LabelError: the mask holds values that are not classes.
            ImageError: not a mask, or one of another size.
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
        """The same image without ground truth."""
        return replace(self, truth=None, truth_classes=(), truth_ignored=())

    @cached_property
    def thumbnail(self) -> npt.NDArray[np.uint8]:
        """The image, scaled down to a longest side of at most 160 px, uint8 RGB `(h, w, 3)`."""
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
    """Load an image from a path, bytes, an open file, a Pillow image or an array.

    Files may be greyscale, with alpha (composited on white), 16-bit, CMYK, palette, animated (first frame) or rotated
    by EXIF. The result's `notes` list all conversions. Arrays are `(H, W)`, `(H, W, 3)` or `(H, W, 4)` of uint8,
    uint16, or floats in [0, 1].

    Args:
        source: the image.
        name: for display; by default the stem of the file name.
        max_side: limit of the longest side, px. A larger image is scaled down by area averaging, and a note says so.
        truth, truth_classes, truth_palette, ignore_index: ground truth, as in `Image.with_truth`.

    Raises:
        ImageError: not an image, damaged, too large to decode, or smaller than 2 px; or ground truth that does not fit.
    """
    pixels, notes, file_shape = decode(source, max_side)
    image = image_from_pixels(pixels, name=name or _name_of(source), notes=notes, file_shape=file_shape)
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
    """Wrap decoded pixels, float32 RGB `(H, W, 3)` in [0, 1]. The array becomes read-only."""
    pixels.setflags(write=False)
    if truth is not None:
        truth.setflags(write=False)
    return Image(pixels, name, digest_of(pixels), notes, truth, truth_classes, file_shape)


def to_tensor(image: Image, device: torch.device) -> torch.Tensor:
    """The image as float32 `(3, H, W)` in [0, 1] on a device."""
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
