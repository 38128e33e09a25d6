"""Decode a file, bytes or an array to pixels. Untrusted files are checked before they are decoded."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageOps

from perturb.core.errors import ImageError

MAX_SIDE = 640
"""Default limit of the longest side, in pixels. An explanation takes hundreds of forward passes."""
MIN_SIDE = 2
MAX_PIXELS = {"JPEG": 120_000_000, "MPO": 120_000_000}
"""Images with more pixels than this are rejected before they are decoded. A JPEG can be reduced while it is decoded."""
MAX_PIXELS_OTHERS = 60_000_000
"""The same for all other formats. Decoded, so many pixels take about 1 GB."""
MAX_BYTES = 200_000_000
STRIP = 256
"""Rows that are converted at a time."""

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
# Warning filters are process-wide, so only one thread at a time may change them.
_WARNINGS = threading.RLock()

Source = str | Path | bytes | IO[bytes] | npt.NDArray[Any] | PIL.Image.Image


def open_image(source: str | Path | bytes | IO[bytes]) -> PIL.Image.Image:
    """Read the header, and reject what is not an image or has too many pixels. Nothing is decoded yet.

    Raises:
        ImageError: the file does not exist, is empty, too large or not an image.
    """
    return _open(_bytes_of(source))


class Decoded(NamedTuple):
    """An image as the engine takes it.

    Attributes:
        pixels: float32 RGB `(H, W, 3)` in [0, 1].
        notes: conversions applied to the file, one sentence each.
        file_shape: height and width of the upright file if the image was scaled; else None.
    """

    pixels: npt.NDArray[np.float32]
    notes: tuple[str, ...]
    file_shape: tuple[int, int] | None


def decode(source: Source, max_side: int) -> Decoded:
    """Decode an image and scale it down by area averaging until its longest side is at most `max_side`.

    Raises:
        ImageError: not an image, a damaged one, one that is too large to decode, or smaller than 2 px.
    """
    if max_side < MIN_SIDE:
        raise ImageError(f"Cannot scale an image to a longest side of {max_side} px; expected {MIN_SIDE} or more.")
    pixels, (width, height), notes = _decode(source, max_side)
    if min(height, width) < MIN_SIDE:
        raise ImageError(
            f"The image is too small: got {width} × {height} px, expected at least {MIN_SIDE} × {MIN_SIDE} px; "
            "there is nothing to hide in it. Choose a larger one."
        )
    if max(height, width) > max_side:
        factor = max_side / max(height, width)
        size = (max(MIN_SIDE, round(width * factor)), max(MIN_SIDE, round(height * factor)))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
        notes.append(f"Scaled from {width} × {height} to {size[0]} × {size[1]} px.")
    pixels = np.ascontiguousarray(np.clip(pixels, 0.0, 1.0), dtype=np.float32)
    return Decoded(pixels, tuple(notes), None if (height, width) == pixels.shape[:2] else (height, width))


def _decode(source: Source, max_side: int) -> tuple[npt.NDArray[np.float32], tuple[int, int], list[str]]:
    """Decode an image.

    Returns:
        Pixels, float32 RGB `(H, W, 3)` in [0, 1] (a JPEG may already be reduced); width and height of the upright
        file; notes on the conversion.

    Raises:
        ImageError: not an image, or a damaged one.
    """
    if isinstance(source, np.ndarray):
        pixels = _from_array(source)
        return pixels, (pixels.shape[1], pixels.shape[0]), []
    image = source if isinstance(source, PIL.Image.Image) else open_image(source)
    notes: list[str] = []
    with reading("The image"):
        # Even the number of frames is read from the file, which may be damaged there.
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":
            notes.append(f"Animated or many pages ({frames}): the first one is used.")
        width, height = image.size
        orientation = image.getexif().get(0x0112, 1)
        # A JPEG decoder can halve the size at no cost: 108 megapixels need not be held in memory to become 640 px.
        image.draft("RGB" if image.mode != "L" else "L", (2 * max_side, 2 * max_side))
        image.load()
        image = PIL.ImageOps.exif_transpose(image)
        if orientation not in (0, 1):
            notes.append("Turned upright as its EXIF orientation says.")
        if orientation in (5, 6, 7, 8):
            width, height = height, width
        return _to_rgb(image, notes), (width, height), notes


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Convert any decoding error to an `ImageError`: Pillow's plugins raise errors of many kinds.

    Args:
        what: what is decoded, as the subject of the message.

    Raises:
        ImageError: instead of any other exception.
    """
    try:
        # A mere warning of Pillow must not become an error, whatever warning filters the process has.
        with _WARNINGS, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(f"{what} needs more memory to decode than is available. Scale it down first.") from error
    except Exception as error:
        raise ImageError(
            f"{what} is broken: its data is truncated or damaged; expected a complete file. Export or download it again."
        ) from error


def _to_rgb(image: PIL.Image.Image, notes: list[str]) -> npt.NDArray[np.float32]:
    if image.mode.startswith("I"):
        notes.append("16-bit grey, scaled to [0, 1].")
    elif image.mode == "F":
        return _from_array(np.asarray(image))
    elif image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        if _lowest_alpha(image) < 255:
            notes.append("Transparent parts are laid on white.")
    elif image.mode in ("L", "1"):
        notes.append("Grey: the three colour channels are equal.")
    elif image.mode not in ("RGB", "P"):
        notes.append(f"Converted from {image.mode} to RGB.")
    pixels = np.empty((image.height, image.width, 3), dtype=np.float32)
    for top, rows in _strips(image):
        pixels[top : top + rows.height] = _strip_to_rgb(rows)
    return pixels


def _strips(image: PIL.Image.Image) -> Iterator[tuple[int, PIL.Image.Image]]:
    """The image in strips of at most `STRIP` rows, each with the index of its first row: the intermediate copies of a
    conversion then take little memory."""
    for top in range(0, image.height, STRIP):
        yield top, image.crop((0, top, image.width, min(top + STRIP, image.height)))


def _lowest_alpha(image: PIL.Image.Image) -> int:
    return min(int(np.asarray(rows.convert("RGBA"))[:, :, 3].min()) for _, rows in _strips(image))


def _strip_to_rgb(image: PIL.Image.Image) -> npt.NDArray[np.float32]:
    if image.mode.startswith("I"):
        grey = np.asarray(image).astype(np.float32) / 65535.0
        return np.repeat(np.clip(grey, 0.0, 1.0)[:, :, None], 3, axis=2)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = np.asarray(image.convert("RGBA")).astype(np.float32) / 255.0
        return np.asarray(rgba[:, :, :3] * rgba[:, :, 3:] + (1.0 - rgba[:, :, 3:]), dtype=np.float32)
    return np.asarray(image.convert("RGB")).astype(np.float32) / 255.0


def _from_array(array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or array.size == 0:
        raise ImageError(f"Not an image: got an array of shape {array.shape}, expected (H, W), (H, W, 3) or (H, W, 4).")
    if array.dtype == np.bool_:
        pixels = array.astype(np.float32)
    elif array.dtype.kind in "ui":
        full = 255.0 if array.dtype.itemsize == 1 else 65535.0
        pixels = (array / full).astype(np.float32)
    elif array.dtype.kind == "f":
        pixels = array.astype(np.float32)
    else:
        raise ImageError(f"Not an image: got dtype {array.dtype}, expected uint8, uint16, or floats in [0, 1].")
    if not np.isfinite(pixels).all() or float(pixels.min()) < 0.0 or float(pixels.max()) > 1.0:
        raise ImageError(
            f"The image's values must lie in [0, 1]: got {float(pixels.min()):g} to {float(pixels.max()):g} "
            f"({array.dtype}). Divide by the largest possible value first."
        )
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.shape[2] == 4:
        pixels = pixels[:, :, :3] * pixels[:, :, 3:] + (1.0 - pixels[:, :, 3:])
    return np.array(np.broadcast_to(pixels, (*pixels.shape[:2], 3)), dtype=np.float32)


def _bytes_of(source: str | Path | bytes | IO[bytes]) -> bytes:
    if isinstance(source, bytes):
        data = source
    elif isinstance(source, str | Path):
        path = Path(source)
        try:
            if not path.is_file():
                raise ImageError(f"There is no image at '{path}'; expected the path of a file. Check the spelling.")
            if path.stat().st_size > MAX_BYTES:
                raise ImageError(too_many_bytes(path.stat().st_size))
            data = path.read_bytes()
        except (OSError, ValueError) as error:  # a path with a zero byte is a ValueError
            why = getattr(error, "strerror", None) or error
            raise ImageError(f"The file '{path}' cannot be read ({why}). Check its path and permissions.") from error
    else:
        data = source.read(MAX_BYTES + 1)
    if not data:
        raise ImageError("The file is empty: got 0 bytes, expected an image. Choose another file.")
    if len(data) > MAX_BYTES:
        raise ImageError(too_many_bytes(len(data)))
    return data


def too_many_bytes(count: int) -> str:
    """Why a file of so many bytes is refused."""
    return (
        f"The file is too large: got {count / 1e6:.0f} MB, expected at most {MAX_BYTES / 1e6:.0f} MB. "
        "Scale the image down first."
    )


def _open(data: bytes) -> PIL.Image.Image:
    """Read the header, and reject what is not an image or has too many pixels. Nothing is decoded yet."""
    try:
        # Pillow's own pixel limit is lower and only warns; ours is checked on the header below.
        with _WARNINGS, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = PIL.Image.open(io.BytesIO(data), formats=FORMATS)
    except PIL.Image.DecompressionBombError as error:
        raise ImageError(_too_many_pixels("more than 178 million", max(MAX_PIXELS.values()))) from error
    except Exception as error:  # Pillow's plugins raise errors of any kind on malformed headers
        raise ImageError(
            f"The file is not an image the lab can read, or it is truncated: expected a whole {', '.join(FORMATS[:-1])} or "
            f"{FORMATS[-1]} file. Export or download it again, or open it in an image editor and save it as PNG or JPEG."
        ) from error
    most = MAX_PIXELS.get(image.format or "", MAX_PIXELS_OTHERS)
    if image.width * image.height > most:
        raise ImageError(_too_many_pixels(f"{image.width} × {image.height}", most))
    return image


def _too_many_pixels(got: str, most: int) -> str:
    return (
        f"The image would decode to too many pixels: got {got}, expected at most {most // 1_000_000} million. "
        "Scale it down first."
    )
