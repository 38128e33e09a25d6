"""The catalogue: a card for each registered segmenter and for the visitor's own."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pandas as pd
import streamlit as st

import perturb
from pages.parts.app import segmenter_choice
from perturb.segmenters.card import ABILITIES, Card


def section() -> None:
    """A table of all segmenters, then their cards, two in a row."""
    cards = [(entry.name, entry.summary, entry.card(), entry.ready()) for entry in perturb.SEGMENTERS.values()]
    own = segmenter_choice.own_segmenter()
    if own is not None:
        cards.append((own.name, "Your own network. It is kept in memory until you leave.", own.card(), True))
    _table(cards)
    offers = "; ".join(f"**{name}**: {words}" for name, words in ABILITIES.items())
    st.caption(
        "Mean IoU (intersection over union) of prediction and ground truth, averaged over the classes; 1 is perfect. Values on "
        f"different data sets are not comparable. What a segmenter can offer: {offers}. The same as JSON: "
        "`python -m perturb list segmenters --json`."
    )
    for first in range(0, len(cards), 2):
        row = cards[first : first + 2]
        for place, (name, summary, card, here) in zip(st.columns(2, gap="medium"), row, strict=False):
            with place, st.container(border=True, height="stretch"):
                _card(name, summary, card, here)


def _table(cards: list[tuple[str, str, Card, bool]]) -> None:
    rows = [
        {
            "name": name,
            "ready": here,
            "miou": card.figures[0].miou if card.figures else None,
            "classes": len(card.classes) or None,
            "parameters": card.parameters,
            "size": card.megabytes,
            "where": card.figures[0].where if card.figures else "",
        }
        for name, _, card, here in cards
    ]
    number = st.column_config.NumberColumn
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        height="content",
        key="seg_table",
        column_config={
            "name": st.column_config.TextColumn("Segmenter", pinned=True),
            "ready": st.column_config.CheckboxColumn(
                "Ready", help="Its weights are available. Others are downloaded once."
            ),
            "classes": number("Classes", help="Number of classes."),
            "parameters": number("Parameters", format="localized", help="Number of parameters, as published."),
            "size": number("MB", format="%.1f", help="Size of the weights file."),
            "miou": number("Mean IoU ↑", format="%.3f", help="On the data in the last column."),
            "where": st.column_config.TextColumn(
                "Measured on", help="Values on different data sets are not comparable."
            ),
        },
    )


def _card(name: str, summary: str, card: Card, here: bool) -> None:
    current = st.session_state["segmenter"] == name
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.subheader(name)
        if here:
            st.badge("ready", icon=":material/check:", color="green", help="Its weights are available.")
        else:
            size = f"{card.megabytes:.0f} MB to download" if card.megabytes else "to download"
            st.badge(
                size, icon=":material/download:", color="gray", help="Choose it to download the weights in the sidebar."
            )
    st.markdown(summary)
    facts = list(_facts(card))
    st.markdown("\n".join(f"- **{what}:** {words}" for what, words in facts) or "No further information.")
    st.button(
        ("In use" if here else "Chosen; download it in the sidebar") if current else "Use this segmenter",
        icon=":material/check:" if current else ":material/arrow_forward:",
        key=f"seg_use_{name}",
        disabled=current,
        on_click=_use,
        args=(name,),
        help="Choose it for all pages.",
    )
    if card.text:
        with st.expander("Model card", icon=":material/description:"):
            # Headings of the card would be larger than those of the page.
            st.markdown(re.sub(r"^#+ (.*)$", r"**\1**", card.text, flags=re.MULTILINE))


def _use(name: str) -> None:
    st.session_state["segmenter"] = name


def _facts(card: Card) -> Iterator[tuple[str, str]]:
    """The facts on a card, the most important first."""
    if card.use:
        yield "For", card.use
    if card.architecture:
        yield "Network", card.architecture
    if card.classes:
        yield f"{len(card.classes)} classes", ", ".join(card.classes)
    sizes = [
        f"{card.parameters:,} parameters" if card.parameters else "",
        f"{card.megabytes:.1f} MB" if card.megabytes else "",
    ]
    if any(sizes):
        yield "Size", ", ".join(size for size in sizes if size)
    for figure in card.figures:
        yield "Mean IoU", f"**{figure.miou:.3f}** on {figure.where} (measured by {figure.by})"
    if card.speed:
        yield "Speed", card.speed
    if card.input:
        yield "Input", card.input
    yield "Offers", ", ".join(card.abilities)
    if card.data:
        yield "Training data", card.data
    if card.licence:
        yield "Licence", card.licence
