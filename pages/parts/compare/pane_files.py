"""Downloads of a comparison, and the code that reproduces it."""

from __future__ import annotations

from functools import partial

import streamlit as st

from pages.parts.app import report
from pages.parts.compare import pane_curves
from pages.parts.compare.panes import Outcome, Shown
from perturb.core.files import zip_of
from perturb.core.quoting import file_name
from perturb.export.comparison import contents, python_lines
from perturb.export.report.items import item_of


def offer(made: Outcome, pair: tuple[Shown, Shown | None], how: str, prefix: str) -> None:
    """The zip, and the Python code.

    Args:
        made: the panes.
        pair: A and B.
        how: the normalisation of their difference.
        prefix: of the page's keys.
    """
    st.subheader("Download and reproduce")
    results = {pane.number: pane.result for pane in made.panes}
    curves = pane_curves.known(made.panes, prefix)
    numbers = None if pair[1] is None else (pair[0].number, pair[1].number)
    if made.fresh:
        report.remember(prefix)
    with st.container(horizontal=True):
        st.download_button(
            "Download the comparison (zip)",
            data=lambda: zip_of(contents(results, numbers, how, curves)),
            file_name=file_name(f"{made.panes[0].result.image.name}-compare", ".zip"),
            mime="application/zip",
            key=f"{prefix}zip",
            on_click="ignore",
            icon=":material/download:",
            help="maps.npz (maps, regions and segmentations of all panes, and A − B), the tables as csv, the curves if they were "
            "computed, compare.json with all settings and digests, and reproduce.py.",
        )
        report.button(
            prefix,
            [partial(item_of, pane.result, curves=curves.get(pane.number)) for pane in made.panes],
            *results.values(),
        )
    st.caption("The address of this page is a link to this comparison.")
    with st.expander("Python code that reproduces it"):
        st.code(python_lines(results, numbers, how, curves), language="python")
