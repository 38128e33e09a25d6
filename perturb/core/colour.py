"""Colours for maps, labels and overlays. The value range of a colour scale is always shown with it.

Signed maps use RdBu_r, symmetric about zero; magnitudes use viridis; both from matplotlib, without pyplot.
"""

from __future__ import annotations

import colorsys
import re
from collections.abc import Sequence
from typing import Any

import cv2
import matplotlib
import numpy as np
import numpy.typing as npt
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

SIGNED = "RdBu_r"
MAGNITUDE = "viridis"

Pixels = npt.NDArray[np.uint8]

TOWERING = 2.0
"""Ratio of the largest magnitude to the 99.5th percentile above which a colour bar ends at the percentile."""


def limit_of(values: npt.NDArray[Any]) -> float:
    """The largest magnitude of a map; 0 for a map that is zero everywhere or empty."""
    return float(np.abs(values).max()) if values.size else 0.0


def readable_limit(values: npt.NDArray[Any]) -> float:
    """The value at which a colour bar should end so that the map can be read.

    A gradient map often has a few pixels far larger than all others. If the bar ended at the largest, the rest of the
    map would have one colour. So if the largest magnitude is more than `TOWERING` times the 99.5th percentile, the bar
    ends at that percentile, and larger values have the colour of its end. Otherwise it ends at the largest magnitude.
    """
    sizes = np.abs(values)
    largest, usual = limit_of(values), float(np.quantile(sizes, 0.995)) if sizes.size else 0.0
    return usual if 0 < TOWERING * usual < largest else largest


def colour_map(values: npt.NDArray[Any], *, limit: float, signed: bool = True) -> Pixels:
    """Colours of a map.

    Args:
        values: `(H, W)`.
        limit: the value at the end of the bar; the bar runs from −limit (0 for magnitudes) to limit.
        signed: True for a diverging scale about zero, False for magnitudes from 0 up.

    Returns:
        uint8 RGB `(H, W, 3)`. With a limit of 0 everything has the neutral colour.
    """
    scaled = np.zeros(values.shape) if limit <= 0 else np.clip(values / limit, -1.0, 1.0)
    table = matplotlib.colormaps[SIGNED if signed else MAGNITUDE]
    rgba = table((scaled + 1) / 2 if signed else scaled, bytes=True)
    return np.ascontiguousarray(rgba[:, :, :3])


def to_uint8(pixels: npt.NDArray[np.float32]) -> Pixels:
    """Float RGB in [0, 1] to uint8, rounded."""
    return np.asarray(np.clip(np.rint(pixels * 255.0), 0, 255), dtype=np.uint8)


def overlay(
    pixels: npt.NDArray[np.float32],
    values: npt.NDArray[Any],
    *,
    limit: float,
    opacity: float = 0.6,
    signed: bool = True,
) -> Pixels:
    """Overlay a map on its image in grey, so that all colour comes from the map.

    Args:
        pixels: float32 RGB `(H, W, 3)` in [0, 1].
        values: `(H, W)`.
        limit: as in `colour_map`.
        opacity: of the map, 0 to 1.
        signed: as in `colour_map`.

    Returns:
        uint8 RGB `(H, W, 3)`.
    """
    grey = cv2.cvtColor(np.array(pixels), cv2.COLOR_RGB2GRAY)[:, :, None]
    colours = colour_map(values, limit=limit, signed=signed).astype(np.float32) / 255.0
    return to_uint8(grey * (1 - opacity) + colours * opacity)


def label_colours(labels: npt.NDArray[Any], palette: Pixels) -> Pixels:
    """Class indices `(H, W)` to uint8 RGB `(H, W, 3)`."""
    return np.ascontiguousarray(palette[labels])


def blend(pixels: npt.NDArray[np.float32], colours: Pixels, opacity: float) -> Pixels:
    """Overlay uint8 colours `(H, W, 3)` on an image with an opacity in [0, 1]. Returns uint8 RGB `(H, W, 3)`."""
    return to_uint8(pixels * (1 - opacity) + colours.astype(np.float32) / 255.0 * opacity)


def outline(canvas: Pixels, mask: npt.NDArray[np.bool_], colour: tuple[int, int, int], width: int = 1) -> Pixels:
    """A copy of the image with the inner edge of a mask drawn on it. Mask pixels at the image border count as edge."""
    padded = np.pad(mask.astype(np.uint8), width)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    core = cv2.erode(padded, kernel)[width:-width, width:-width]
    drawn = canvas.copy()
    drawn[mask & (core == 0)] = colour
    return drawn


def edges(canvas: Pixels, segments: npt.NDArray[Any], colour: tuple[int, int, int], opacity: float = 0.5) -> Pixels:
    """A copy of the image with the borders between segments `(H, W)` drawn on it, one pixel wide."""
    border = np.zeros(segments.shape, dtype=np.bool_)
    border[:, 1:] |= segments[:, 1:] != segments[:, :-1]
    border[1:] |= segments[1:] != segments[:-1]
    return tint(canvas, border, colour, opacity)


def tint(canvas: Pixels, mask: npt.NDArray[np.bool_], colour: tuple[int, int, int], opacity: float = 0.55) -> Pixels:
    """A copy of the image with the pixels of a mask tinted."""
    drawn = canvas.astype(np.float32)
    drawn[mask] = drawn[mask] * (1 - opacity) + np.array(colour, dtype=np.float32) * opacity
    return np.asarray(np.rint(drawn), dtype=np.uint8)


def distinct_palette(count: int) -> Pixels:
    """Colours for any number of classes, uint8 `(count, 3)`: hues one golden angle apart, in three lightnesses."""
    colours = [
        colorsys.hls_to_rgb((index * 0.381966) % 1.0, (0.45, 0.62, 0.32)[index % 3], (0.65, 0.75, 0.55)[index % 3])
        for index in range(count)
    ]
    return np.asarray(np.rint(np.array(colours) * 255), dtype=np.uint8).reshape(count, 3)


def class_palette(classes: Sequence[str]) -> Pixels:
    """Colours for classes, uint8 `(K, 3)`: greys for background classes, distinct hues for all others.

    A background in a strong colour would dominate every overlay. It is recognized by its name, or is the first class of
    a network whose classes have no names.
    """
    palette = distinct_palette(len(classes))
    unnamed = all(re.fullmatch(r"class \d+", name) for name in classes)
    plain = [
        index
        for index, name in enumerate(classes)
        if re.sub(r"[^a-z]+", "", name.lower()) in _BACKGROUND or (unnamed and index == 0 and len(classes) > 1)
    ]
    for place, index in enumerate(plain):
        palette[index] = 96 + (32 + 40 * place) % 128
    return palette


_BACKGROUND = frozenset(
    [
        "background",
        "bg",
        "none",
        "nothing",
        "void",
        "ignore",
        "ignored",
        "unlabelled",
        "unlabeled",
        "unknown",
        "undefined",
        "other",
        "others",
        "misc",
        "rest",
        "backgroundclass",
        "unclassified",
        "outofroi",
    ]
)
"""Names of background classes, reduced to lower-case letters."""


def with_colour_bar(canvas: Pixels, *, limit: float, unit: str, signed: bool = True, beyond: bool = False) -> Pixels:
    """Add a numeric colour bar at the right of an image.

    Args:
        canvas: uint8 RGB `(H, W, 3)`.
        limit: value at the end of the bar.
        unit: written above the bar.
        signed: as in `colour_map`.
        beyond: whether some values lie beyond the ends of the bar; its end labels then say so.

    Returns:
        uint8 RGB, wider than the canvas and at least 120 px high.
    """
    height, width = max(120, canvas.shape[0]), canvas.shape[1]
    bar_height, top, left = height - 56, 36, width + 14
    page = PIL.Image.new("RGB", (width + 110, height), "white")
    page.paste(PIL.Image.fromarray(canvas), (0, 0))
    ramp = np.linspace(1.0, -1.0 if signed else 0.0, bar_height)[:, None].repeat(18, axis=1)
    page.paste(PIL.Image.fromarray(colour_map(ramp, limit=1.0, signed=signed)), (left, top))
    draw = PIL.ImageDraw.Draw(page)
    font = PIL.ImageFont.load_default(11)
    draw.rectangle((left - 1, top - 1, left + 18, top + bar_height), outline="#666666")
    draw.text((left - 4, 8), unit, fill="black", font=font)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        value = limit * (1 - 2 * share) if signed else limit * (1 - share)
        y = top + share * (bar_height - 1)
        draw.line((left + 18, y, left + 22, y), fill="#666666")
        text = f"{value:+.3g}" if signed and value else f"{value:.3g}"
        if beyond and share in (0.0, 1.0) and value:
            text = ("> " if value > 0 else "< ") + text  # the font has no ≥
        draw.text((left + 25, y), text, fill="black", font=font, anchor="lm")
    return np.asarray(page)
