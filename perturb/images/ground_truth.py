"""Ground truth as it is brought: a picture of class indices or of the classes' colours, to one index a pixel."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image

from perturb.core.errors import ImageError, LabelError
from perturb.images.decoding import Source, open_picture, reading

IGNORE = 255
"""The value of ground-truth pixels that belong to no class."""

Labels = npt.NDArray[np.uint8]
IgnoreIndex = int | Sequence[int]
NAMED = 3
"""How many wrong values an error names."""


def read_truth(
    source: Source,
    *,
    shape: tuple[int, int],
    file_shape: tuple[int, int] | None = None,
    classes: Sequence[str] = (),
    palette: npt.NDArray[np.uint8] | None = None,
    ignore_index: IgnoreIndex = (),
) -> Labels:
    """Class indices of a mask, brought to the size of its picture by nearest neighbour.

    A grey or palette file, or an array `(H, W)`, holds class indices, 255 for none. A coloured one, or `(H, W, 3)`, holds
    the palette's colours; transparent pixels, and black ones where no class is black, have no class. A coloured file
    whose three channels are equal and no colours of the palette holds indices, too.

    Args:
        source: the mask: a path, bytes, an open file, a Pillow image or an array.
        shape: of the picture as the engine sees it, `(H, W)`.
        file_shape: of its upright file, where that was scaled. The mask must have one of the two.
        classes: K names; without them any index is taken.
        palette: their colours, uint8 RGB `(K, 3)`; without it no coloured mask can be read.
        ignore_index: index, or several, whose pixels have no class, as if the mask held 255 there.

    Returns:
        uint8 `(H, W)`, in 0 … K − 1 or 255.

    Raises:
        LabelError: values that are no class.
        ImageError: no picture, another size, or no pixel of any class.
    """
    picture = source if isinstance(source, np.ndarray | PIL.Image.Image) else open_picture(source)
    got = picture.shape[:2] if isinstance(picture, np.ndarray) else (picture.height, picture.width)
    if got not in (shape, file_shape):  # before anything is decoded
        raise ImageError(_other_size(got, shape, file_shape))
    values = _nearest(_values_of(picture), shape)
    ignored = ignored_values(ignore_index)
    error: ImageError | None
    if values.ndim == 2:
        labels, error = _by_index(values, classes, ignored)
        if error and palette is not None and isinstance(picture, PIL.Image.Image) and picture.mode == "P":
            with reading("The ground truth"):
                colours = np.asarray(picture.convert("RGBA"))
            labels, other = _by_colour(_nearest(colours, shape), palette)
            error = other and error
    elif palette is None:
        raise ImageError(
            f"The ground truth must hold one class index a pixel: got an array of shape {values.shape}, expected (H, W). "
            "Save it as an 8-bit grey or palette PNG."
        )
    else:
        labels, error = _by_colour(values, palette)
        if (error or not (labels != IGNORE).any()) and bool((values[:, :, :1] == values[:, :, :3]).all()):
            labels, other = _by_index(values[:, :, 0], classes, ignored)
            error = other and error
    if error:
        raise error
    labels[np.isin(labels, ignored)] = IGNORE  # of a coloured mask, the class of that index
    if not (labels != IGNORE).any():
        void = " or ".join(map(str, (IGNORE, *ignored)))
        raise ImageError(
            f"The ground truth gives no pixel a class: got {void} everywhere, expected class indices. Choose another file."
        )
    return labels


def _values_of(picture: npt.NDArray[Any] | PIL.Image.Image) -> npt.NDArray[Any]:
    """Indices `(H, W)`, or colours `(H, W, 3 or 4)`."""
    if isinstance(picture, np.ndarray):
        if (
            picture.dtype.kind not in "bui"
            or picture.ndim not in (2, 3)
            or (picture.ndim == 3 and picture.shape[2] < 3)
        ):
            raise ImageError(
                f"The ground truth must hold one class index a pixel: got an array of shape {picture.shape} and dtype "
                f"{picture.dtype}, expected whole numbers of shape (H, W)."
            )
        return picture
    if picture.format == "JPEG":
        raise ImageError(
            "The ground truth is a JPEG, which blurs class indices into one another; expected a PNG. Export it as PNG."
        )
    with reading("The ground truth"):
        plain = picture.mode in ("1", "L", "P", "RGB", "RGBA") or picture.mode.startswith("I")
        return np.asarray(picture if plain else picture.convert("RGBA"))  # a palette picture gives its indices


def _nearest(values: npt.NDArray[Any], shape: tuple[int, int]) -> npt.NDArray[Any]:
    """Values at the pixels of a picture of `shape` `(H, W)`: those under the middle of each."""
    rows, columns = (
        (2 * np.arange(new) + 1) * old // (2 * new) for new, old in zip(shape, values.shape[:2], strict=True)
    )
    return np.asarray(values[rows[:, None], columns])


def ignored_values(ignore_index: IgnoreIndex) -> tuple[int, ...]:
    """The values that mean "no class" besides 255, ascending, each once."""
    several = ignore_index if isinstance(ignore_index, Iterable) else (ignore_index,)
    return tuple(sorted({operator.index(value) for value in several}))


def _by_index(
    values: npt.NDArray[Any], classes: Sequence[str], ignored: tuple[int, ...]
) -> tuple[Labels, LabelError | None]:
    """Values taken as indices, and what is wrong with them."""
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
            f"(`--ignore-index {','.join(named)}`, from Python `ignore_index={found if len(found) > 1 else found[0]}`); "
            "else save class indices or the palette's colours."
        )
    message = (
        f"The ground truth holds values that are no class of the segmenter: got {_few(named)}, on {share:.1%} of "
        f"the pixels; expected 0 … {len(classes) - 1}, or {IGNORE} for none. {remedy}"
    )
    return labels, LabelError(message, found, share)


def _by_colour(values: npt.NDArray[Any], palette: npt.NDArray[np.uint8]) -> tuple[Labels, ImageError | None]:
    """Colours `(H, W, 3 or 4)` looked up in the palette, and what is wrong with them."""
    codes = _code(values)
    labels = np.full(codes.shape, IGNORE, dtype=np.uint8)
    for index in range(min(len(palette), IGNORE) - 1, -1, -1):  # of equal colours the first class wins
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
        "pixels; expected the colours of its legend. Draw it in these, without soft edges, or save class indices."
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
        expected = f"{file_shape[1]} × {file_shape[0]} px like its file, or {expected} like the scaled picture"
    return f"The ground truth does not fit the picture: got {got[1]} × {got[0]} px, expected {expected}. Export it in that size."
