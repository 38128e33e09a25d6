"""Pictures: from a file, bytes or an array to float32 RGB in [0, 1], whatever the file was.

A picture is decoded once, at the door. Behind it there is one form only, and a digest of exactly those pixels, so that
a link or a result can say which picture it belongs to.
"""

from __future__ import annotations

import hashlib
import io
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageOps

from perturb.errors import ImageError

MAX_SIDE = 640
"""Longest side, in pixels, that a picture keeps by default. An explanation is hundreds of forward passes."""
MIN_SIDE = 2
MAX_PIXELS = 120_000_000
"""Pictures that would decode to more pixels than this are refused before they are decoded."""
MAX_BYTES = 200_000_000
IGNORE = 255
"""The value of ground-truth pixels that belong to no class."""

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
# Pillow's own limit lies lower and warns through a process-wide filter; ours is checked on the header instead.
_OPEN = threading.Lock()

Source = str | Path | bytes | IO[bytes] | npt.NDArray[Any] | PIL.Image.Image


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
    """

    pixels: npt.NDArray[np.float32]
    name: str
    digest: str
    notes: tuple[str, ...] = ()
    truth: npt.NDArray[np.uint8] | None = None
    truth_classes: tuple[str, ...] = ()

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
    truth_classes: tuple[str, ...] = (),
) -> Image:
    """Read a picture from a path, bytes, an open file, a Pillow image or an array.

    Files may be grey, with alpha (laid on white), 16-bit, CMYK, palette, animated (first frame) or rotated by EXIF;
    what was done is in the result's `notes`. Arrays are `(H, W)`, `(H, W, 3)` or `(H, W, 4)`, uint8, uint16, or floats
    in [0, 1].

    Args:
        source: the picture.
        name: what to call it; the file's stem by default.
        max_side: a longer side is scaled down to this many pixels (area average), and a note says so.
        truth: ground truth: a class-index picture or array of the same shape as the source; 255 is "no class".
        truth_classes: names of its indices, when they are not the segmenter's.

    Raises:
        ImageError: not a picture, broken, too large to decode, or too small to hide anything in.
    """
    if max_side < MIN_SIDE:
        raise ImageError(f"Cannot scale a picture to a longest side of {max_side} px; expected {MIN_SIDE} or more.")
    pixels, (width, height), notes = _decode(source, max_side)
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
    classes = None if truth is None else load_truth(truth, shape=(pixels.shape[0], pixels.shape[1]))
    return image_from_pixels(
        pixels,
        name=name or _name_of(source),
        notes=tuple(notes),
        truth=classes,
        truth_classes=truth_classes,
    )


def image_from_pixels(
    pixels: npt.NDArray[np.float32],
    *,
    name: str,
    notes: tuple[str, ...] = (),
    truth: npt.NDArray[np.uint8] | None = None,
    truth_classes: tuple[str, ...] = (),
) -> Image:
    """Wrap float32 RGB `(H, W, 3)` in [0, 1] that needs no decoding; the array becomes read-only."""
    pixels.setflags(write=False)
    if truth is not None:
        truth.setflags(write=False)
    return Image(pixels, name, digest_of(pixels), notes, truth, truth_classes)


def digest_of(array: npt.NDArray[Any]) -> str:
    """32 hexadecimal digits of blake2b over the shape, dtype and bytes of an array."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{array.shape}{array.dtype.str}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def load_truth(source: Source, *, shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Read a class-index map and bring it to `shape` `(H, W)` by nearest neighbour; uint8, 255 where there is none.

    Raises:
        ImageError: not a single-channel picture of class indices, or of another aspect ratio than `shape`.
    """
    if isinstance(source, np.ndarray):
        labels = source
    else:
        image = source if isinstance(source, PIL.Image.Image) else _open(_bytes_of(source))
        labels = np.asarray(image)  # a palette picture gives its indices, which is what label files store
    if labels.ndim != 2:
        raise ImageError(
            f"The ground truth must hold one class index a pixel: got an array of shape {labels.shape}, expected (H, W). "
            "Save it as an 8-bit grey or palette PNG."
        )
    if abs(labels.shape[0] * shape[1] - labels.shape[1] * shape[0]) > max(*labels.shape, *shape):
        raise ImageError(
            f"The ground truth does not fit the picture: got {labels.shape[1]} × {labels.shape[0]} px for a picture of "
            f"{shape[1]} × {shape[0]} px; expected the same aspect ratio."
        )
    labels = np.where((labels < 0) | (labels > IGNORE), IGNORE, labels).astype(np.uint8)
    if labels.shape != shape:
        labels = cv2.resize(labels, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.ascontiguousarray(labels)


def _name_of(source: Source) -> str:
    path = source if isinstance(source, str | Path) else getattr(source, "name", None)
    return Path(str(path)).stem or "picture" if path else "picture"


def _bytes_of(source: str | Path | bytes | IO[bytes]) -> bytes:
    if isinstance(source, bytes):
        data = source
    elif isinstance(source, str | Path):
        path = Path(source)
        if not path.is_file():
            raise ImageError(f"There is no picture at '{path}'; expected the path of a file. Check the spelling.")
        if path.stat().st_size > MAX_BYTES:
            raise ImageError(_too_many_bytes(path.stat().st_size))
        data = path.read_bytes()
    else:
        data = source.read(MAX_BYTES + 1)
    if not data:
        raise ImageError("The file is empty: got 0 bytes, expected a picture. Choose another file.")
    if len(data) > MAX_BYTES:
        raise ImageError(_too_many_bytes(len(data)))
    return data


def _too_many_bytes(count: int) -> str:
    return (
        f"The file is too large: got {count / 1e6:.0f} MB, expected at most {MAX_BYTES / 1e6:.0f} MB. "
        "Scale the picture down first."
    )


def _open(data: bytes) -> PIL.Image.Image:
    """Read the header and refuse what is no picture, or would decode to too much. Decodes nothing yet."""
    try:
        with _OPEN, warnings.catch_warnings():
            warnings.simplefilter("ignore", PIL.Image.DecompressionBombWarning)
            image = PIL.Image.open(io.BytesIO(data), formats=FORMATS)
    except PIL.Image.DecompressionBombError as error:
        raise ImageError(_too_many_pixels("more than 178 million")) from error
    except Exception as error:  # Pillow's plugins raise what they like on hostile headers
        raise ImageError(
            f"The file is not a picture the lab can read: expected {', '.join(FORMATS)}. "
            "Open it in a picture program and save it as PNG or JPEG."
        ) from error
    if image.width * image.height > MAX_PIXELS:
        raise ImageError(_too_many_pixels(f"{image.width} × {image.height}"))
    return image


def _too_many_pixels(got: str) -> str:
    return (
        f"The picture would decode to too many pixels: got {got}, expected at most {MAX_PIXELS // 1_000_000} million. "
        "Scale it down first."
    )


def _decode(source: Source, max_side: int) -> tuple[npt.NDArray[np.float32], tuple[int, int], list[str]]:
    """Float32 RGB `(H, W, 3)` (a JPEG perhaps already reduced), the upright file's width and height, what was done."""
    if isinstance(source, np.ndarray):
        pixels = _from_array(source)
        return pixels, (pixels.shape[1], pixels.shape[0]), []
    image = source if isinstance(source, PIL.Image.Image) else _open(_bytes_of(source))
    notes: list[str] = []
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        notes.append(f"Animated or many pages ({getattr(image, 'n_frames', 1)}): the first one is used.")
    width, height = image.size
    try:
        orientation = image.getexif().get(0x0112, 1)
        # A JPEG decoder halves for free: 108 megapixels need not stand in memory to become 640 px.
        image.draft("RGB" if image.mode != "L" else "L", (2 * max_side, 2 * max_side))
        image.load()
        image = PIL.ImageOps.exif_transpose(image)
    except MemoryError:
        raise
    except Exception as error:
        raise ImageError(
            "The picture is broken: its data ends early or is damaged, expected a whole file. "
            "Export or download it again."
        ) from error
    if orientation not in (0, 1):
        notes.append("Turned upright as its EXIF orientation says.")
    if orientation in (5, 6, 7, 8):
        width, height = height, width
    return _to_rgb(image, notes), (width, height), notes


def _to_rgb(image: PIL.Image.Image, notes: list[str]) -> npt.NDArray[np.float32]:
    if image.mode.startswith("I"):
        notes.append("16-bit grey, scaled to [0, 1].")
        grey = np.asarray(image).astype(np.float32) / 65535.0
        return np.repeat(np.clip(grey, 0.0, 1.0)[:, :, None], 3, axis=2)
    if image.mode == "F":
        return _from_array(np.asarray(image))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = np.asarray(image.convert("RGBA")).astype(np.float32) / 255.0
        if float(rgba[:, :, 3].min()) < 1.0:
            notes.append("Transparent parts are laid on white.")
        return np.asarray(rgba[:, :, :3] * rgba[:, :, 3:] + (1.0 - rgba[:, :, 3:]), dtype=np.float32)
    if image.mode not in ("RGB", "L", "1", "P"):
        notes.append(f"Converted from {image.mode} to RGB.")
    elif image.mode in ("L", "1"):
        notes.append("Grey: the three colour channels are equal.")
    return np.asarray(image.convert("RGB")).astype(np.float32) / 255.0


def _from_array(array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or array.size == 0:
        raise ImageError(
            f"Not a picture: got an array of shape {array.shape}, expected (H, W), (H, W, 3) or (H, W, 4)."
        )
    if array.dtype == np.bool_:
        pixels = array.astype(np.float32)
    elif array.dtype.kind in "ui":
        full = 255.0 if array.dtype.itemsize == 1 else 65535.0
        pixels = (array / full).astype(np.float32)
    elif array.dtype.kind == "f":
        pixels = array.astype(np.float32)
    else:
        raise ImageError(f"Not a picture: got dtype {array.dtype}, expected uint8, uint16, or floats in [0, 1].")
    if not np.isfinite(pixels).all() or float(pixels.min()) < 0.0 or float(pixels.max()) > 1.0:
        raise ImageError(
            f"The picture's values must lie in [0, 1]: got {float(pixels.min()):g} to {float(pixels.max()):g} "
            f"({array.dtype}). Divide by the largest possible value first."
        )
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.shape[2] == 4:
        pixels = pixels[:, :, :3] * pixels[:, :, 3:] + (1.0 - pixels[:, :, 3:])
    return np.array(np.broadcast_to(pixels, (*pixels.shape[:2], 3)), dtype=np.float32)
