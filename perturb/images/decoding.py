"""From a file, bytes or an array to pixels: what a stranger may hand in is looked at before it is decoded."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageOps

from perturb.core.errors import ImageError

MAX_PIXELS = 120_000_000
"""Pictures that would decode to more pixels than this are refused before they are decoded."""
MAX_BYTES = 200_000_000

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
# Filters for warnings belong to the whole process, so one thread at a time changes them.
_WARNINGS = threading.RLock()

Source = str | Path | bytes | IO[bytes] | npt.NDArray[Any] | PIL.Image.Image


def open_picture(source: str | Path | bytes | IO[bytes]) -> PIL.Image.Image:
    """Read the header and refuse what is no picture, or would decode to too much. Decodes nothing yet.

    Raises:
        ImageError: no file, an empty or too large one, or no picture.
    """
    return _open(_bytes_of(source))


def decode(source: Source, max_side: int) -> tuple[npt.NDArray[np.float32], tuple[int, int], list[str]]:
    """Float32 RGB `(H, W, 3)` (a JPEG perhaps already reduced), the upright file's width and height, what was done.

    Raises:
        ImageError: no picture, or a broken one.
    """
    if isinstance(source, np.ndarray):
        pixels = _from_array(source)
        return pixels, (pixels.shape[1], pixels.shape[0]), []
    image = source if isinstance(source, PIL.Image.Image) else open_picture(source)
    notes: list[str] = []
    with reading("The picture"):
        # Even the number of pages has to be read from the file, and a damaged one may say anything there.
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":
            notes.append(f"Animated or many pages ({frames}): the first one is used.")
        width, height = image.size
        orientation = image.getexif().get(0x0112, 1)
        # A JPEG decoder halves for free: 108 megapixels need not stand in memory to become 640 px.
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
    """Turn any error of decoding into an `ImageError`: Pillow's plugins raise errors of many kinds.

    Args:
        what: is decoded, as the subject of the sentence.

    Raises:
        ImageError: in place of any other exception.
    """
    try:
        # What Pillow only warns of does not stop it, here or under other filters for warnings.
        with _WARNINGS, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError(f"{what} needs more memory than there is to be decoded. Scale it down first.") from error
    except Exception as error:
        raise ImageError(
            f"{what} is broken: its data ends early or is damaged, expected a whole file. Export or download it again."
        ) from error


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


def _bytes_of(source: str | Path | bytes | IO[bytes]) -> bytes:
    if isinstance(source, bytes):
        data = source
    elif isinstance(source, str | Path):
        path = Path(source)
        try:
            if not path.is_file():
                raise ImageError(f"There is no picture at '{path}'; expected the path of a file. Check the spelling.")
            if path.stat().st_size > MAX_BYTES:
                raise ImageError(_too_many_bytes(path.stat().st_size))
            data = path.read_bytes()
        except (OSError, ValueError) as error:  # a path with a zero byte is a ValueError
            why = getattr(error, "strerror", None) or error
            raise ImageError(f"The file '{path}' cannot be read ({why}). Check its path and rights.") from error
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
        # Pillow's own limit of pixels lies lower and only warns; ours is checked on the header instead.
        with _WARNINGS, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = PIL.Image.open(io.BytesIO(data), formats=FORMATS)
    except PIL.Image.DecompressionBombError as error:
        raise ImageError(_too_many_pixels("more than 178 million")) from error
    except Exception as error:  # Pillow's plugins raise what they like on hostile headers
        raise ImageError(
            f"The file is not a picture the lab can read, or it is cut off: expected a whole {', '.join(FORMATS[:-1])} or "
            f"{FORMATS[-1]} file. Export or download it again, or open it in a picture program and save it as PNG or JPEG."
        ) from error
    if image.width * image.height > MAX_PIXELS:
        raise ImageError(_too_many_pixels(f"{image.width} × {image.height}"))
    return image


def _too_many_pixels(got: str) -> str:
    return (
        f"The picture would decode to too many pixels: got {got}, expected at most {MAX_PIXELS // 1_000_000} million. "
        "Scale it down first."
    )
