"""The panes of a comparison: maps or segmentations, side by side or with a swap slider."""

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
    "side by side": "All panes side by side, with a shared zoom and position.",
    "swap": "One image: A left of a slider, B right of it.",
}
CONTENTS = {
    "map": "The heat maps. Red supports the class, blue speaks against it. Unsigned maps go from dark to yellow.",
    "segmentation": "The clean segmentation of each pane's segmenter.",
}
COLOURS = {
    "common": "The same colour is the same value in all panes with the same unit. Use it to compare magnitudes.",
    "own": "Each map is scaled to its own largest value. Use it to compare locations.",
}
IMAGE = "picture"
"""The option of B for the image itself, as links spell it."""
REGION_COLOUR = (20, 20, 20)


def show(shown: Sequence[Shown], count: int, prefix: str) -> tuple[Shown, Shown | None]:
    """The panes, and the widgets that choose how they are shown.

    Args:
        shown: the panes that have a result.
        count: the number of panes, including those without a result yet.
        prefix: of the page's keys.

    Returns:
        The panes chosen as A and B; None for B if it is the image itself, or a pane without a result.
    """
    numbers = [str(number + 1) for number in range(count)]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        look = choice("Look", LOOKS, f"{prefix}look")
        content = choice("Show", CONTENTS, f"{prefix}show")
        colours = choice("Colour scale", COLOURS, f"{prefix}colours")
        with st.container(horizontal=True, width="content"):
            text = "The two panes of the swap slider and of the difference A − B below."
            first = st.selectbox("A", numbers, key=f"{prefix}a", bind="query-params", width=110, help=text)
            second = st.selectbox(
                "B",
                [*numbers, IMAGE],
                index=1,
                key=f"{prefix}b",
                bind="query-params",
                width=130,
                help=f"{text} **{IMAGE}**: swap A with the image itself.",
            )
    by_number = {str(pane.number): pane for pane in shown}
    pair = by_number.get(str(first), shown[0]), by_number.get(str(second))
    _viewer(shown, pair, look == "swap", content, colours == "common", prefix)
    return pair


def choice(label: str, options: dict[str, str], key: str) -> str:
    """A choice of named options with descriptions; the first is the default, also for invalid values in the address."""
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
def _viewer(
    shown: Sequence[Shown], pair: tuple[Shown, Shown | None], swap: bool, content: str, common: bool, prefix: str
) -> None:
    """A fragment, so that changing the opacity recomputes nothing."""
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
                help="Opacity of the maps over the image.",
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
        other = View("image", png(to_uint8(image.pixels)), f"The image itself: {image.name}")
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
    """Description of what is shown."""
    if content == "segmentation":
        return "Each pane's clean segmentation; the explained region is outlined."
    if not common:
        text = "Each pane has its own colour scale: compare locations, not magnitudes."
    elif all(scale.shared for scale in found):
        text = f"One colour scale for all panes, up to the largest value, {elements.number(found[0].limit)}."
    else:
        text = "Panes with the same unit share a colour scale; the others have their own, as noted below them."
    return f"{text} The explained region is outlined."
