"""The panes of a comparison as pictures: maps or segmentations, beside each other or under a swap slider."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st

from pages.parts.app import address, elements
from pages.parts.compare.panes import Shown
from pages.parts.figures import drawing
from pages.parts.widgets.linked_viewer import View, linked_viewer
from perturb.core.colour import blend, label_colours, outline, overlay, to_uint8
from perturb.core.files import png
from perturb.experiments.comparison import Scale, scales

LOOKS = {
    "side by side": "All panes beside each other; zoom and place are the same in all of them.",
    "swap": "One picture: A left of a slider, B right of it.",
}
CONTENTS = {
    "map": "The heat maps. Red speaks for the class, blue stands in its way; maps without a sign go from dark to yellow.",
    "segmentation": "What each pane's segmenter sees in the clean picture.",
}
COLOURS = {
    "common": "One colour means one value in all panes that share a unit: which map is stronger?",
    "own": "Each map up to its own strongest value: where is each map strong?",
}
PICTURE = "picture"
REGION_COLOUR = (20, 20, 20)


def show(shown: Sequence[Shown], count: int, prefix: str) -> tuple[Shown, Shown | None]:
    """The pictures, and the widgets that say how to look at them.

    Args:
        shown: the panes that have a result.
        count: how many panes there are; one without a result can be chosen, and is there as soon as it has one.
        prefix: of the page's keys.

    Returns:
        The panes that are chosen as A and B; None for B if it is the picture itself, or a pane without a result.
    """
    numbers = [str(number + 1) for number in range(count)]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        look = choice("Look", LOOKS, f"{prefix}look")
        content = choice("Show", CONTENTS, f"{prefix}show")
        colours = choice("Colour scale", COLOURS, f"{prefix}colours")
        with st.container(horizontal=True, width="content"):
            text = "Two panes to swap, and to subtract below: A − B."
            first = st.selectbox("A", numbers, key=f"{prefix}a", bind="query-params", width=110, help=text)
            second = st.selectbox(
                "B",
                [*numbers, PICTURE],
                index=1,
                key=f"{prefix}b",
                bind="query-params",
                width=130,
                help=f"{text} **{PICTURE}**: swap A with the picture itself.",
            )
    by_number = {str(pane.number): pane for pane in shown}
    pair = by_number.get(str(first), shown[0]), by_number.get(str(second))
    _pictures(shown, pair, look == "swap", content, colours == "common", prefix)
    return pair


def choice(label: str, options: dict[str, str], key: str) -> str:
    """One of some names, each with its sentence; the first by default, also where the address says nonsense."""
    chosen = st.segmented_control(
        label,
        tuple(options),
        default=next(iter(options)),
        required=True,
        key=key,
        bind="query-params",
        help=" ".join(f"**{name}**: {text}" for name, text in options.items()),
    )
    return chosen if chosen in options else next(iter(options))


@address.fragment
def _pictures(
    shown: Sequence[Shown], pair: tuple[Shown, Shown | None], swap: bool, content: str, common: bool, prefix: str
) -> None:
    """A fragment: its opacity computes nothing again."""
    place = st.container()
    opacity = 0.65
    if content == "map":
        opacity = float(
            st.slider(
                "Opacity",
                0.0,
                1.0,
                opacity,
                0.05,
                key=f"{prefix}opacity",
                bind="query-params",
                help="Of the maps over the picture.",
            )
        )
    found = scales([pane.result for pane in shown], common=common)
    if content == "map":
        views = {pane.number: _map(pane, scale, opacity, common) for pane, scale in zip(shown, found, strict=True)}
    else:
        views = {pane.number: _segmentation(pane) for pane in shown}
    image = shown[0].result.image
    chosen = list(views.values())
    if swap:
        other = View(PICTURE, png(to_uint8(image.pixels)), f"The picture itself: {image.name}")
        chosen = [views[pair[0].number], other if pair[1] is None else views[pair[1].number]]
    with place:
        st.caption(_sentence(content, common, found))
        ys, xs = np.nonzero(shown[0].result.frozen.region)
        middle = (float(xs.min() + xs.max() + 1) / 2, float(ys.min() + ys.max() + 1) / 2)
        linked_viewer(chosen, width=image.width, height=image.height, key=f"{prefix}panorama", swap=swap, focus=middle)


def _map(pane: Shown, scale: Scale, opacity: float, common: bool) -> View:
    result = pane.result
    values, signed = result.centred, result.signed()
    used = float(values.min()), float(values.max())
    canvas = overlay(result.image.pixels, values, limit=scale.limit, opacity=opacity, signed=signed)
    canvas = outline(canvas, result.frozen.region, REGION_COLOUR)
    unit = result.unit()
    if scale.shared:
        unit += " · common scale"
    elif common:
        unit += " · own scale: no other pane has this unit"
    else:
        unit += " · own scale"
    return View(
        pane.title,
        png(canvas),
        f"Pane {pane.number}: map of {result.method} for {result.frozen.name} by {result.segmenter.name}, from "
        f"{elements.number(used[0])} to {elements.number(used[1])} {unit}",
        drawing.bar_html(scale.limit, unit, signed=signed, used=used),
    )


def _segmentation(pane: Shown) -> View:
    result = pane.result
    labels, segmenter = result.frozen.labels, result.segmenter
    canvas = blend(result.image.pixels, label_colours(labels, segmenter.palette), 0.7)
    canvas = outline(canvas, result.frozen.region, REGION_COLOUR, width=2)
    return View(
        pane.title,
        png(canvas),
        f"Pane {pane.number}: clean segmentation by {segmenter.name}",
        drawing.legend_html(labels, segmenter.classes, segmenter.palette, result.frozen.name),
    )


def _sentence(content: str, common: bool, found: Sequence[Scale]) -> str:
    """What the visitor sees, in words."""
    if content == "segmentation":
        return "Each pane's clean segmentation; the explained region is outlined."
    if not common:
        text = "Each pane has its own colour scale: compare where the maps are strong, not how strong."
    elif all(scale.shared for scale in found):
        text = f"One colour scale for all panes, up to the strongest value, {elements.number(found[0].limit)}."
    else:
        text = "Panes with one unit share a colour scale; the others have their own, as written under them."
    return f"{text} The explained region is outlined."
