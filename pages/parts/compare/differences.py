"""Differences between two panes: of their maps and of their segmentations."""

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
        "Rank correlation of the two maps over all pixels, −1 to 1. It ignores the magnitude of the values.",
    ),
    "pearson": ("Pearson", "Linear correlation of the two maps over all pixels, −1 to 1."),
    "top": (
        "Top 10 % in common",
        "Share of the 10 % most important pixels that both maps have in common, 0 to 1. Random maps reach 0.1.",
    ),
    "inverse_distance": (
        "Inverse distance",
        "1 / (1 + Euclidean distance of the two maps, each scaled to 0 … 1). It is 1 only for maps that differ in scale alone. "
        "It decreases with the image size, so compare it only on the same image.",
    ),
}


def normalisation(prefix: str) -> str:
    """The choice of the normalisation of both maps before subtraction."""
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
    """The difference A − B of the maps, warnings about mismatches, and measures of agreement."""
    for sentence in mismatches(a.result, b.result):
        st.warning(sentence, icon=":material/warning:")
    left, right = st.columns((1.2, 1), gap="medium")
    with left:
        _subtracted(a, b, how)
    with right:
        found = agreement(a.result.centred, b.result.centred)
        st.markdown(f"**Agreement of panes {a.number} and {b.number}**")
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
        return "One of the maps is constant, so it does not rank the pixels and agreement is undefined."
    words = (
        (0.8, "rank the pixels almost identically"),
        (0.5, "rank the pixels similarly"),
        (0.2, "rank the pixels only loosely alike"),
        (-0.2, "rank the pixels almost independently"),
        (-2.0, "rank the pixels in opposite order"),
    )
    said = next(text for limit, text in words if found.spearman >= limit)
    return (
        f"Panes {a.number} and {b.number} {said}. They share {found.top:.0%} of their 10% most important pixels; "
        "random maps share 10%. Agreement does not show that the maps are correct."
    )


def predictions(a: Shown, b: Shown) -> None:
    """Where the segmentations of two panes differ."""
    first, second = a.result, b.result
    found = disagreement(first.frozen.labels, first.segmenter.classes, second.frozen.labels, second.segmenter.classes)
    if first.segmenter_digest == second.segmenter_digest and first.segmenter.name == second.segmenter.name:
        st.info(
            f"Both panes explain {markdown_text(first.segmenter.name)}, so their segmentations are the same. Give one of them another "
            "segmenter to compare predictions.",
            icon=":material/info:",
        )
    if not found.mask.any():
        st.caption("Both predict the same class at every pixel.")
        return
    mean = (
        "" if found.mean_iou is None else f" The mean IoU over the classes that both have is **{found.mean_iou:.3f}**."
    )
    st.markdown(
        f"{markdown_text(first.segmenter.name)} and {markdown_text(second.segmenter.name)} predict different classes on **{elements.percent(found.share)}** of the "
        f"pixels.{mean}"
    )
    for only, named in ((found.only_a, a), (found.only_b, b)):
        if only:
            names = ", ".join(only[:12]) + (", …" if len(only) > 12 else "")
            st.warning(
                f"Only {markdown_text(named.result.segmenter.name)} (pane {named.number}) has the classes: {markdown_text(names)}. Where it predicts one of "
                "these, the two cannot agree.",
                icon=":material/warning:",
            )
    if found.unmatched:
        st.caption(
            f"On {elements.percent(found.unmatched)} of the pixels, one predicts a class that the other does not have."
        )
    left, right = st.columns(2, gap="medium")
    with left:
        canvas = tint(to_uint8(first.image.pixels), found.mask, DISAGREEMENT_COLOUR, 0.75)
        elements.show(
            canvas,
            alt=f"Where {first.segmenter.name} and {second.segmenter.name} disagree, in pink over the image",
        )
        drawing.key([(DISAGREEMENT_COLOUR, f"they disagree: {int(found.mask.sum()):,} pixels")])
    with right:
        st.markdown("**Predictions where they disagree**")
        rows = [(pair.a, pair.b, pair.pixels, 100 * pair.share) for pair in found.pairs]
        titles = (f"pane {a.number}", f"pane {b.number}", "pixels", "% of the image")
        st.dataframe(
            pd.DataFrame(rows, columns=list(titles)),
            hide_index=True,
            height=min(36 * (len(rows) + 1), 260),
            column_config={titles[3]: st.column_config.NumberColumn(format="%.2f")},
        )
        st.markdown(
            "**IoU by class**",
            help="Intersection over union of the two predictions of a class, from 0 to 1. Neither is the ground truth. "
            "n/a: neither predicts the class.",
        )
        overlaps = [
            (o.name, o.a_pixels, o.b_pixels, "n/a" if o.iou is None else f"{o.iou:.3f}") for o in found.overlaps
        ]
        st.dataframe(
            pd.DataFrame(overlaps, columns=["class", f"pixels in {a.number}", f"pixels in {b.number}", "IoU"]),
            hide_index=True,
            height=min(36 * (len(overlaps) + 1), 300),
        )
