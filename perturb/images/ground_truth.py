"""Read ground truth: convert a mask of class indices or class colours to one class index per pixel."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image

from perturb.core.errors import ImageError, LabelError
from perturb.images.decoding import Source, open_image, reading

IGNORE = 255
"""Label of ground-truth pixels that belong to no class."""

Labels = npt.NDArray[np.uint8]
IgnoreIndex = int | Sequence[int]
NAMED = 3
"""Number of wrong values that an error message lists."""


def read_truth(
    source: Source,
    *,
    shape: tuple[int, int],
    file_shape: tuple[int, int] | None = None,
    classes: Sequence[str] = (),
    palette: npt.NDArray[np.uint8] | None = None,
    ignore_index: IgnoreIndex = (),
) -> Labels:
    """Read a mask as class indices, resampled to the size of its image by nearest neighbour.

    A greyscale or palette file, or an array `(H, W)`, holds class indices, with 255 for no class. A colour file, or an
    array `(H, W, 3)`, holds colours of the palette. Its transparent pixels have no class, and neither do black ones
    unless a class is black. A colour file holds indices if its three channels are equal and its colours are not in the
    palette.

    Args:
        source: the mask: a path, bytes, an open file, a Pillow image or an array.
        shape: size of the image in the engine, `(H, W)`.
        file_shape: size of its upright file, if that was scaled. The mask must have one of the two sizes.
        classes: K names; without them any index is accepted.
        palette: colours of the classes, uint8 RGB `(K, 3)`; without it no colour mask can be read.
        ignore_index: one or several indices whose pixels have no class, like 255.

    Returns:
        uint8 `(H, W)`, in 0 … K − 1 or 255.

    Raises:
        LabelError: the mask holds values that are not classes.
        ImageError: not an image, of another size, or without a pixel of any class.
    """
    image = source if isinstance(source, np.ndarray | PIL.Image.Image) else open_image(source)
    got = image.shape[:2] if isinstance(image, np.ndarray) else (image.height, image.width)
    if got not in (shape, file_shape):  # checked before decoding
        raise ImageError(_other_size(got, shape, file_shape))
    values = _nearest(_values_of(image), shape)
    ignored = ignored_values(ignore_index)
    error: ImageError | None
    if values.ndim == 2:
        labels, error = _by_index(values, classes, ignored)
        if error and palette is not None and isinstance(image, PIL.Image.Image) and image.mode == "P":
            with reading("The ground truth"):
                colours = np.asarray(image.convert("RGBA"))
            labels, other = _by_colour(_nearest(colours, shape), palette)
            error = other and error
    elif palette is None:
        raise ImageError(
            f"The ground truth must hold one class index per pixel: got an array of shape {values.shape}, expected (H, W). "
            "Save it as an 8-bit greyscale or palette PNG."
        )
    else:
        labels, error = _by_colour(values, palette)
        if (error or not (labels != IGNORE).any()) and bool((values[:, :, :1] == values[:, :, :3]).all()):
            labels, other = _by_index(values[:, :, 0], classes, ignored)
            error = other and error
    if error:
        raise error
    labels[np.isin(labels, ignored)] = IGNORE  # in a colour mask, the class with that index
    if not (labels != IGNORE).any():
        void = " or ".join(map(str, (IGNORE, *ignored)))
        raise ImageError(
            f"No pixel of the ground truth has a class: got {void} everywhere, expected class indices. Choose another file."
        )
    return labels


def _values_of(image: npt.NDArray[Any] | PIL.Image.Image) -> npt.NDArray[Any]:
    """Indices `(H, W)`, or colours `(H, W, 3 or 4)`."""
    if isinstance(image, np.ndarray):
        if image.dtype.kind not in "bui" or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] < 3):
            raise ImageError(
                f"The ground truth must hold one class index per pixel: got an array of shape {image.shape} and dtype "
                f"{image.dtype}, expected whole numbers of shape (H, W)."
            )
        return image
    if image.format == "JPEG":
        raise ImageError(
            "The ground truth is a JPEG, whose compression changes class indices; expected a PNG. Export it as PNG."
        )
    with reading("The ground truth"):
        plain = image.mode in ("1", "L", "P", "RGB", "RGBA") or image.mode.startswith("I")
        return np.asarray(image if plain else image.convert("RGBA"))  # a palette image gives its indices


def _nearest(values: npt.NDArray[Any], shape: tuple[int, int]) -> npt.NDArray[Any]:
    """Resample values to `shape` `(H, W)`: for each new pixel, the value under its centre."""
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new) for new, old in zip(shape, values.shape[:2], strict=True)
    )
    return np.asarray(values[rows[:, None], columns])


def ignored_values(ignore_index: IgnoreIndex) -> tuple[int, ...]:
    """The values besides 255 that mean "no class", ascending, without duplicates."""
    several = ignore_index if isinstance(ignore_index, Iterable) else (ignore_index,)
    return tuple(sorted({operator.index(value) for value in several}))


def _by_index(
    values: npt.NDArray[Any], classes: Sequence[str], ignored: tuple[int, ...]
) -> tuple[Labels, LabelError | None]:
    """Values read as class indices, and the error if some are not classes."""
    known = min(len(classes) or IGNORE, IGNORE)
    void = np.isin(values, (IGNORE, *ignored))
    right = (values >= 0) & (values < known) & ~void
    labels = np.where(right, values, IGNORE).astype(np.uint8)
    wrong = ~right & ~void if classes else np.zeros(values.shape, dtype=np.bool_)
    if not wrong.any():
        return labels, None
    found = tuple(int(value) for value in np.unique(values[wrong]))
    named, share = [str(value) for value in found], float(wrong.mean())
    remedy = "Save class indices or the palette's colours."
    if len(found) <= NAMED:
        remedy = (
            f"If {' and '.join(named)} mean{'s' * (len(named) == 1)} void, ignore {'it' if len(named) == 1 else 'them'} "
            f"(`--ignore-index {','.join(named)}`, in Python `ignore_index={found if len(found) > 1 else found[0]}`); "
            "otherwise save class indices or the palette's colours."
        )
    message = (
        f"The ground truth holds values that are not classes of the segmenter: got {_few(named)}, on {share:.1%} of "
        f"the pixels; expected 0 … {len(classes) - 1}, or {IGNORE} for none. {remedy}"
    )
    return labels, LabelError(message, found, share)


def _by_colour(values: npt.NDArray[Any], palette: npt.NDArray[np.uint8]) -> tuple[Labels, ImageError | None]:
    """Colours `(H, W, 3 or 4)` looked up in the palette, and the error if some are not in it."""
    codes = _code(values)
    labels = np.full(codes.shape, IGNORE, dtype=np.uint8)
    for index in range(min(len(palette), IGNORE) - 1, -1, -1):  # if colours are equal, the first class wins
        labels[codes == _code(palette[index])] = index
    none = codes == 0
    if values.shape[2] > 3:
        none |= values[:, :, 3] == 0
        labels[values[:, :, 3] == 0] = IGNORE
    wrong = (labels == IGNORE) & ~none
    if not wrong.any():
        return labels, None
    named = [f"#{code:06x}" for code in np.unique(codes[wrong])[: NAMED + 1].tolist()]
    return labels, ImageError(
        f"The ground truth holds colours that are not the segmenter's: got {_few(named)}, on {wrong.mean():.1%} of the "
        "pixels; expected the colours of its legend. Draw it in these, without antialiasing, or save class indices."
    )


def _code(colours: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """One number for each RGB colour."""
    r, g, b = (colours[..., channel].astype(np.int64) for channel in range(3))
    return np.asarray((r << 16) | (g << 8) | b)


def _few(named: list[str]) -> str:
    return ", ".join(named[:NAMED]) + (", …" if len(named) > NAMED else "")


def _other_size(got: tuple[int, int], shape: tuple[int, int], file_shape: tuple[int, int] | None) -> str:
    expected = f"{shape[1]} × {shape[0]} px"
    if file_shape is not None and file_shape != shape:
        expected = f"{file_shape[1]} × {file_shape[0]} px like its file, or {expected} like the scaled image"
    return (
        f"The ground truth does not fit the image: got {got[1]} × {got[0]} px, expected {expected}. "
        "Export it in that size."
    )
