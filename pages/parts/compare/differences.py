"""What two panes do not have in common: their maps subtracted, and their segmentations compared."""

from __future__ import annotations

import pandas as pd
import streamlit as st

import perturb
from pages.parts.app import elements
from pages.parts.compare.panes import Shown
from pages.parts.figures import drawing
from perturb.core.colour import limit_of, outline, overlay, tint, to_uint8
from perturb.core.quoting import markdown_text
from perturb.experiments.comparison import Agreement, agreement, difference_of, disagreement, mismatches
from perturb.metrics.measures import NORMALISATIONS

REGION_COLOUR = (20, 20, 20)
DISAGREEMENT_COLOUR = (255, 0, 200)
MEASURES = {
    "spearman": (
        "Spearman",
        "Whether both maps order the pixels alike: rank correlation over all pixels, −1 to 1. Strength plays no part.",
    ),
    "pearson": ("Pearson", "Whether the values rise and fall together: linear correlation over all pixels, −1 to 1."),
    "top": (
        "Top 10 % in common",
        "Share of the most important tenth of the pixels that both maps have in common, 0 to 1; chance gives 0.1.",
    ),
    "inverse_distance": (
        "Inverse distance",
        "1 / (1 + Euclidean distance of both maps, each stretched to 0 … 1). 1 only for maps that differ in scale alone; "
        "it shrinks with the picture's size, so read it beside others of this picture.",
    ),
}


def normalisation(prefix: str) -> str:
    """How both maps are made to compare before they are subtracted."""
    chosen = st.selectbox(
        "Normalised by",
        tuple(NORMALISATIONS),
        key=f"{prefix}norm",
        bind="query-params",
        width=220,
        help=" ".join(f"**{name}**: {text}" for name, text in NORMALISATIONS.items()),
    )
    return chosen if chosen in NORMALISATIONS else "none"


def maps(a: Shown, b: Shown, how: str) -> None:
    """A − B of the maps, what would mislead about it, and how far they agree."""
    for sentence in mismatches(a.result, b.result):
        st.warning(sentence, icon=":material/warning:")
    left, right = st.columns((1.2, 1), gap="medium")
    with left:
        _subtracted(a, b, how)
    with right:
        found = agreement(a.result.centred, b.result.centred)
        st.markdown(f"**How far panes {a.number} and {b.number} agree**")
        with st.container(horizontal=True):
            for name, (title, text) in MEASURES.items():
                value = getattr(found, name)
                st.metric(title, "n/a" if value is None else f"{value:.3g}", help=text, width=150)
        st.caption(_agreed(found, a, b))


def _subtracted(a: Shown, b: Shown, how: str) -> None:
    st.markdown(f"**Pane {a.number} − pane {b.number}**")
    try:
        values, unit = difference_of(a.result, b.result, how)
    except perturb.PerturbError as error:
        st.info(markdown_text(str(error)), icon=":material/info:")
        return
    limit = limit_of(values)
    canvas = outline(overlay(a.result.image.pixels, values, limit=limit), a.result.frozen.region, REGION_COLOUR)
    low, high = float(values.min()), float(values.max())
    elements.show(
        canvas,
        alt=f"Difference of the maps of {a.title} and {b.title}, from {elements.number(low)} to {elements.number(high)} {unit}",
    )
    drawing.colour_bar(limit, unit, signed=True, used=(low, high))
    if limit == 0:
        st.caption("The maps are identical.")
    else:
        st.caption(
            f"Red: higher in pane {a.number} ({a.result.method}). Blue: higher in pane {b.number} ({b.result.method}). "
            f"{NORMALISATIONS[how]}"
        )


def _agreed(found: Agreement, a: Shown, b: Shown) -> str:
    if found.spearman is None or found.top is None:
        return "One of the maps is constant: it has no order that the other could agree with."
    words = (
        (0.8, "order the pixels almost alike"),
        (0.5, "order the pixels alike in the main"),
        (0.2, "order the pixels alike only loosely"),
        (-0.2, "order the pixels as if they knew nothing of each other"),
        (-2.0, "order the pixels against each other"),
    )
    said = next(text for limit, text in words if found.spearman >= limit)
    return (
        f"Panes {a.number} and {b.number} {said}, and have {found.top:.0%} of their most important tenth in common; by "
        "chance it would be 10%. Agreement is no proof: two maps can be wrong together."
    )


def predictions(a: Shown, b: Shown) -> None:
    """Where the segmentations of two panes say different things."""
    first, second = a.result, b.result
    found = disagreement(first.frozen.labels, first.segmenter.classes, second.frozen.labels, second.segmenter.classes)
    if first.segmenter_digest == second.segmenter_digest and first.segmenter.name == second.segmenter.name:
        st.info(
            f"Both panes explain {markdown_text(first.segmenter.name)}, so their segmentations are the same. Give one of them another "
            "segmenter to compare predictions.",
            icon=":material/info:",
        )
    if not found.mask.any():
        st.caption("They say the same on every pixel.")
        return
    mean = (
        "" if found.mean_iou is None else f" The mean IoU over the classes that both know is **{found.mean_iou:.3f}**."
    )
    st.markdown(
        f"{markdown_text(first.segmenter.name)} and {markdown_text(second.segmenter.name)} say different things on **{elements.percent(found.share)}** of the "
        f"pixels.{mean}"
    )
    for only, named in ((found.only_a, a), (found.only_b, b)):
        if only:
            names = ", ".join(only[:12]) + (", …" if len(only) > 12 else "")
            st.warning(
                f"Only {markdown_text(named.result.segmenter.name)} (pane {named.number}) knows: {markdown_text(names)}. Where it says one of these the two "
                "cannot agree.",
                icon=":material/warning:",
            )
    if found.unmatched:
        st.caption(
            f"On {elements.percent(found.unmatched)} of the pixels one says a class that the other does not know."
        )
    left, right = st.columns(2, gap="medium")
    with left:
        canvas = tint(to_uint8(first.image.pixels), found.mask, DISAGREEMENT_COLOUR, 0.75)
        elements.show(
            canvas,
            alt=f"Where {first.segmenter.name} and {second.segmenter.name} disagree, in pink over the picture",
        )
        drawing.key([(DISAGREEMENT_COLOUR, f"they disagree: {int(found.mask.sum()):,} pixels")])
    with right:
        st.markdown("**What they say there**")
        rows = [(pair.a, pair.b, pair.pixels, 100 * pair.share) for pair in found.pairs]
        titles = (f"{a.number} says", f"{b.number} says", "pixels", "% of the picture")
        st.dataframe(
            pd.DataFrame(rows, columns=list(titles)),
            hide_index=True,
            height=min(36 * (len(rows) + 1), 260),
            column_config={titles[3]: st.column_config.NumberColumn(format="%.2f")},
        )
        st.markdown(
            "**IoU by class**",
            help="Overlap of the pixels that each calls by the class: 1 if they are the same pixels, 0 if none is shared. "
            "Neither is taken as the truth. n/a: neither says it here.",
        )
        overlaps = [
            (o.name, o.a_pixels, o.b_pixels, "n/a" if o.iou is None else f"{o.iou:.3f}") for o in found.overlaps
        ]
        st.dataframe(
            pd.DataFrame(overlaps, columns=["class", f"pixels in {a.number}", f"pixels in {b.number}", "IoU"]),
            hide_index=True,
            height=min(36 * (len(overlaps) + 1), 300),
        )
