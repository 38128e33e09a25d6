"""Elements that all parts of a page use: an image, and numbers in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import streamlit as st

from perturb.core.colour import to_uint8
from perturb.core.files import png


def show(pixels: npt.NDArray[Any], *, alt: str, caption: str | None = None) -> None:
    """A picture, uint8 or float in [0, 1], `(H, W, 3)`, as wide as its place."""
    st.image(
        png(pixels if pixels.dtype == np.uint8 else to_uint8(pixels)),
        caption=caption,
        alt=alt,
        width="stretch",
        output_format="PNG",
    )


def number(value: float, *, signed: bool = False) -> str:
    """Three digits, a true minus sign, and a plus where signs matter."""
    text = f"{abs(value):.3g}"
    if float(text) == 0:
        return "0"
    return ("−" if value < 0 else "+" if signed else "") + text


def percent(share: float) -> str:
    """A share in [0, 1]; what is there is never shown as 0."""
    return f"{share:.1%}" if share >= 0.0005 else "< 0.1%"


def fact(value: float | int | str) -> str:
    """A method's own number about its run."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
