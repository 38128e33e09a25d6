"""Downloads of the raw arrays that a page shows."""

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
    """A download button for named arrays as one npz file, and the button "Add to report".

    The file is made when the button is pressed.

    Args:
        label, key, text: of the button; `text` is its help.
        arrays: by name.
        name: of the file, without its suffix.
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

        # The arrays are computed again in each run of the page, so results are identified by their values.
        digests = (digest_of(array) for array in map(np.asarray, arrays.values()) if array.dtype.kind in "biuf")
        report.button(f"{key}_", [make], name, *digests)
