"""The ranks of the methods under two fills, and whether they agree."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from perturb.metrics.fill_ranks import FILL_TITLES, FILLS, LOW
from perturb.metrics.registry import METRICS
from perturb.metrics.road import LEVELS
from perturb.metrics.scorecard import Faithfulness

SHORT = {"blur": "blur", "linear": "imputation"}


def show(made: Faithfulness, prefix: str) -> None:
    """The table and its summary. Nothing for fewer than two methods."""
    found = made.fill_ranks()
    if not found:
        return
    st.markdown(
        "**Ranks under two fills**",
        help="Deletion and insertion replace pixels by a fill, and the choice of fill can change which map is best. Gaussian blur "
        "keeps the average colours of what it hides. Noisy linear imputation (ROAD) removes them, but can restore scattered "
        "pixels from their neighbours. Deletion with imputation is ROAD MoRF, insertion with imputation is ROAD LeRF.",
    )
    for each in found:
        if each.flat or each.differs or (each.rho is not None and each.rho < LOW):
            st.warning(each.statement, icon=":material/help:" if each.flat else ":material/compare_arrows:")
        else:
            st.success(each.statement, icon=":material/check:")
    frame = pd.DataFrame({"Map": [judged.name for judged in made.methods]})
    texts: dict[str, list[str]] = {}
    config: dict[str, Any] = {"Map": st.column_config.Column("Map", pinned=True)}
    for each in found:
        for index, (fill, metric) in enumerate(zip(FILLS, each.metrics, strict=True)):
            frame[metric] = [each.ranks[name][index] for name in frame["Map"]]
            texts[metric] = [f"{each.ranks[name][index]}  ({each.values[name][index]:.3f})" for name in frame["Map"]]
            card = METRICS[metric]
            config[metric] = st.column_config.Column(
                f"{each.order.capitalize()}, {SHORT[fill]}",
                help=f"Rank by {card.title} {card.arrow}, 1 for the best, and its value. Hidden with {FILL_TITLES[fill]}.",
            )
    # The cells hold the ranks, so that a click on a header sorts by them; the text is only the display.
    styled = frame.style
    for metric, column in texts.items():
        for row, text in enumerate(column):
            styled = styled.format(lambda _, text=text: text, subset=pd.IndexSlice[[row], [metric]])
    st.dataframe(styled, hide_index=True, column_config=config, key=f"{prefix}fills", height="content")
    st.caption(
        "Ranks (1 is best), with the values in brackets. The second fill needs no extra passes: ROAD's "
        f"{2 * len(LEVELS)} images a map are deletion and insertion with imputation."
    )
