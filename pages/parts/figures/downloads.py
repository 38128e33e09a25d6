"""The raw numbers of what a page shows, to take away."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import streamlit as st

from pages.parts.app import report, segmenter_choice
from perturb.core.files import npz
from perturb.core.quoting import file_name
from perturb.export.report.document import Item
from perturb.export.report.items import item_of_arrays
from perturb.images.image import digest_of


def offer(label: str, arrays: Mapping[str, npt.NDArray[Any]], *, name: str, key: str, text: str) -> None:
    """A button that downloads arrays by name as one npz file, made when the button is pressed, and one for the report.

    Args:
        label, key, text: of the button; its text is the help.
        arrays: by name.
        name: of the file, without its ending.
    """
    with st.container(horizontal=True):
        st.download_button(
            label,
            data=partial(npz, arrays),
            file_name=file_name(name, ".npz"),
            mime="application/octet-stream",
            key=key,
            on_click="ignore",
            icon=":material/download:",
            help=text,
        )
        image, segmenter = st.session_state["image"], segmenter_choice.current()

        def make(link: str) -> Item:
            return item_of_arrays(name, arrays, image, segmenter, link)

        # The same numbers are the same result, though they are computed anew in each run of the page.
        digests = (digest_of(array) for array in map(np.asarray, arrays.values()) if array.dtype.kind in "biuf")
        report.button(f"{key}_", [make], name, *digests)
