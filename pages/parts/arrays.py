"""The raw numbers of what a page shows, to take away."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy.typing as npt
import streamlit as st

from perturb.folders import npz


def offer(label: str, arrays: Mapping[str, npt.NDArray[Any]], *, name: str, key: str, text: str) -> None:
    """A button that downloads arrays by name as one npz file; it is made when the button is pressed.

    Args:
        label, key, text: of the button; its text is the help.
        arrays: by name.
        name: of the file, without its ending.
    """
    st.download_button(
        label,
        data=partial(npz, arrays),
        file_name=f"{name}.npz",
        mime="application/octet-stream",
        key=key,
        on_click="ignore",
        icon=":material/download:",
        help=text,
    )
