"""Shared page elements: images and formatted numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import streamlit as st

from perturb.core.colour import to_uint8
from perturb.core.files import png


def show(pixels: npt.NDArray[Any], *, alt: str, caption: str | None = None) -> None:
    """Show an image, uint8 or float in [0, 1], `(H, W, 3)`, as wide as its container."""
    st.image(
        png(pixels if pixels.dtype == np.uint8 else to_uint8(pixels)),
        caption=caption,
        alt=alt,
        width="stretch",
        output_format="PNG",
    )


def swatch(colour: tuple[int, int, int]) -> str:
    """A small square of a colour, RGB 0 to 255, as HTML."""
    r, g, b = colour
    return (
        "<span style='display:inline-block;width:.75rem;height:.75rem;border-radius:.15rem;border:1px solid #8888;"
        f"flex:none;background:rgb({r},{g},{b})'></span>"
    )


def number(value: float, *, signed: bool = False) -> str:
    """Three significant digits, a typographic minus sign, and a plus sign if `signed`."""
    text = f"{abs(value):.3g}"
    if float(text) == 0:
        return "0"
    return ("−" if value < 0 else "+" if signed else "") + text


def percent(share: float) -> str:
    """A share in [0, 1] as a percentage; below 0.05 % it is shown as `< 0.1%`."""
    return f"{share:.1%}" if share >= 0.0005 else "< 0.1%"


def fact(value: float | int | str) -> str:
    """A fact that a method reports about its run, as text."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
