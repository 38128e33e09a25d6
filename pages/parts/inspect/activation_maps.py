"""Activation maps of the channels of a layer, sorted, twelve at a time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import streamlit as st
import torch

import perturb
from pages.parts.app import address, elements
from pages.parts.app.shell import Scene
from pages.parts.figures import downloads, drawing
from perturb.core.colour import colour_map, limit_of
from perturb.core.quoting import markdown_text
from perturb.segmenters.channels import ORDERS, SIGNS, Sign, channel_statistics, part
from perturb.segmenters.layers import Layer, inside, layer_access, stretch

PAGE = 12
KEPT = 7
"""Layers whose activations are cached: those of the layer view, and one more."""
Map = npt.NDArray[np.float32]


@address.fragment
def show(
    scene: Scene,
    found: Mapping[str, Layer],
    last: str,
    label: str,
    region: npt.NDArray[np.bool_],
    sign: Sign,
    prefix: str,
) -> None:
    """The activation maps of one layer, twelve at a time. A fragment, so changing the page redraws nothing else."""
    st.subheader(
        "Activation maps", help="The output of each channel of a layer on this image. It does not depend on the class."
    )
    names = tuple(found)
    first, second, third = st.columns((1.4, 1.6, 1))
    with first:
        name = st.selectbox(
            "Layer",
            names,
            index=names.index(last),
            key=f"{prefix}layer",
            bind="query-params",
            help="The layer whose channels are shown.",
        )
    with second:
        by = st.segmented_control(
            "Order",
            tuple(ORDERS),
            default="mean",
            required=True,
            key=f"{prefix}order",
            bind="query-params",
            help="Sort order of the channels, largest first. "
            + " ".join(f"**{key}**: {text}." for key, text in ORDERS.items()),
        )
    by = by if by in ORDERS else "mean"
    layer = found[name if name in found else last]
    values = activations(scene, layer.name)
    cells = inside(scene.segmenter, region, *values.shape[1:]) if region.any() else np.zeros(values.shape[1:], np.bool_)
    seen = channel_statistics(values, cells)
    pages = -(-len(values) // PAGE)
    with third:
        if int(st.session_state.get(f"{prefix}page", 1)) > pages:  # another layer has fewer
            st.session_state[f"{prefix}page"] = 1
        page = int(
            st.number_input(
                "Page", 1, pages, key=f"{prefix}page", bind="query-params", help=f"{PAGE} channels each, 1 to {pages}."
            )
        )
    order = seen.order(by)[PAGE * (page - 1) : PAGE * page]
    if by == "inside" and not region.any():
        st.caption(f"No pixel is predicted as {markdown_text(label)}, so inside and outside cannot be compared.")
    any_below = sign == "signed" and bool((values[order] < 0).any())  # one colour map for the whole page
    with st.container(horizontal=True):
        for channel in order:
            shown = part(values[channel], sign)
            limit = limit_of(shown)
            span = f"{elements.number(float(shown.min()))} to {elements.number(float(shown.max()))}"
            caption = f"**{channel}**: {span}"
            if by in ("mean", "inside"):
                caption += f"  \n{by} {elements.number(float(getattr(seen, by)[channel]), signed=True)}"
            with st.container(width=150, gap="xsmall"):
                elements.show(
                    colour_map(stretched(scene, shown)[::2, ::2], limit=limit, signed=any_below),
                    alt=f"Activation of channel {channel} of {layer.name}, from {span}",
                    caption=caption,
                )
    drawing.colour_bar(1.0, "share of the channel's own largest absolute value", signed=any_below)
    st.caption(
        f"{markdown_text(layer.name)} ({layer.kind}) has {len(values)} channels; this is page {page} of {pages}, {SIGNS[sign]}. Each map has "
        "its own colour scale; the numbers below it give its range."
    )
    downloads.offer(
        "Download all channels (npz)",
        {layer.name: values},
        name=f"{scene.image.name}-{layer.name.replace('/', '-')}",
        key=f"{prefix}channels_npz",
        text=f"The activations of the layer, float32 {values.shape}: channels, rows, columns.",
    )


def stretched(scene: Scene, cells: Map) -> Map:
    """A layer's values resized to the image."""
    size = scene.image.height, scene.image.width
    return stretch(scene.segmenter, torch.from_numpy(np.ascontiguousarray(cells)), *size).numpy()


def activations(scene: Scene, name: str) -> Map:
    """A layer's activations on the clean image, float32 `(C, h, w)`; cached."""
    return _of_layer(
        scene.segmenter.name, scene.segmenter.digest, scene.image.digest, name, scene.segmenter, scene.image
    )


# Keyed by digests: Streamlit hashes only a sample of a large array, so two images could be confused.
@st.cache_resource(max_entries=KEPT, show_spinner="Running the segmenter …")
def _of_layer(
    name: str,  # noqa: ARG001 — part of the cache key
    weights: str,  # noqa: ARG001 — part of the cache key
    image: str,  # noqa: ARG001 — part of the cache key
    layer: str,
    _segmenter: perturb.Segmenter,
    _image: perturb.Image,
) -> Map:
    return layer_access(_segmenter).activations(_image, layer)
