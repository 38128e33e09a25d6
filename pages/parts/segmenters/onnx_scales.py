"""Input scaling of a visitor's network: presets, mean and standard deviation, channel order, and previews."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import streamlit as st

import perturb
from pages.parts.app import elements
from perturb.core.colour import blend, label_colours
from perturb.engine.runner import clean_logits
from perturb.experiments.estimates import duration
from perturb.images.image import image_from_pixels
from perturb.segmenters.onnx.scaling import ORDERS, PRESETS, SCALES, Scaling, fitting, numbers, preset, text_of
from perturb.segmenters.onnx.segmenter import OnnxSegmenter
from perturb.segmenters.onnx.spec import OnnxGraph

PREFIX = "onnx_"
OWN = "own"
SHORT = {
    "imagenet": "ImageNet",
    "unit": "0 … 1",
    "symmetric": "−1 … 1",
    "bytes": "0 … 255",
    "centred": "(x − 128) / 256",
}
"""Captions of the preset previews."""
RANGES = {1.0: "0 … 1", 255.0: "0 … 255"}
SIDE = 256
"""Longest image side in pixels for the previews, if the network takes any size."""
BUDGET = 6.0
"""Seconds of previews that start automatically."""
WIDTH = 106

Make = Callable[[dict[str, Any]], OnnxSegmenter]


def fields(graph: OnnxGraph, prefix: str) -> dict[str, Any]:
    """Widgets for scale, mean, standard deviation and order. Returns their values as fields of `OnnxSpec`.

    A preset fills in the numbers, and entering the numbers of a preset selects it. The widgets' keys begin with `prefix`,
    which differs for each upload.
    """
    given: dict[str, Any] = {}
    state = st.session_state
    if graph.colours == 3:
        given["order"] = str(
            st.selectbox(
                "Channel order",
                ("RGB", "BGR"),
                index=("RGB", "BGR").index(graph.spec.order),
                format_func=lambda order: f"{order}: {ORDERS[order]}",
                key=f"{prefix}order",
                on_change=_follow_preset,
                args=(prefix,),
                help="Networks trained with OpenCV often use BGR.",
            )
        )
    order = given.get("order", "grey")
    if "scale" not in graph.unknown:
        return given
    choices = (*fitting(order), OWN)
    if state.get(f"{prefix}scale") not in choices:
        _choose(prefix, choices[0], order)
    scale = str(
        st.selectbox(
            "Input scale",
            choices,
            format_func=lambda scale: SCALES.get(scale, "mean and standard deviation below"),
            key=f"{prefix}scale",
            on_change=_follow_preset,
            args=(prefix,),
            help="As in training. With a wrong scale the segmentation is nonsense.",
        )
    )
    words = "One number, or one for each channel in the network's order, separated by commas."
    with st.container(horizontal=True):
        st.selectbox(
            "Values",
            tuple(RANGES),
            format_func=RANGES.__getitem__,
            key=f"{prefix}range",
            on_change=_follow_numbers,
            args=(prefix, order),
            help="The range of the values before the mean is subtracted.",
            width=110,
        )
        for field, label in (("mean", "Mean"), ("std", "Std. dev.")):
            st.text_input(
                label,
                key=f"{prefix}{field}",
                on_change=_follow_numbers,
                args=(prefix, order),
                help=words,
                width="stretch",
            )
    if scale != OWN:
        return given | {"scale": scale}
    range_ = "bytes" if state[f"{prefix}range"] > 1 else "unit"
    return given | {"scale": range_, "mean": state[f"{prefix}mean"], "std": state[f"{prefix}std"]}


def _choose(prefix: str, scale: str, order: str) -> None:
    """Choose a preset and fill in its numbers. Call it before the widgets are drawn, or as a callback."""
    state = st.session_state
    state[f"{prefix}scale"] = scale
    made = preset(scale, order)
    state[f"{prefix}range"], state[f"{prefix}mean"], state[f"{prefix}std"] = (
        made.full,
        text_of(made.mean),
        text_of(made.std),
    )


def _follow_preset(prefix: str) -> None:
    state = st.session_state
    if state.get(f"{prefix}scale", OWN) in PRESETS:
        _choose(prefix, state[f"{prefix}scale"], state.get(f"{prefix}order", "grey"))


def _follow_numbers(prefix: str, order: str) -> None:
    """Choose the preset with the entered numbers, if there is one."""
    state = st.session_state
    count = 1 if order == "grey" else 3
    state[f"{prefix}scale"] = OWN
    try:
        mean, std = (numbers(field, state[f"{prefix}{field}"], count, "") for field in ("mean", "std"))
    except perturb.SegmenterError:
        return  # reported where the network is created
    typed = Scaling(state[f"{prefix}range"], mean, std)
    state[f"{prefix}scale"] = next((scale for scale in fitting(order) if preset(scale, order) == typed), OWN)


def predictions(graph: OnnxGraph, make: Make, order: str, pass_seconds: float | None, prefix: str) -> None:
    """Previews of each preset on the current image, as thumbnails to choose from. Limited to a budget, or on demand.

    Args:
        graph: whose scale is not known.
        make: the network for fields of `OnnxSpec`.
        order: of the channels.
        pass_seconds: measured seconds of one pass on the current image; None if unknown.
        prefix: of the form's keys.
    """
    image: perturb.Image = st.session_state["image"]
    presets, spent, left = fitting(order), 0.0, []
    share = 1.0 if graph.spec.size else min(1.0, (SIDE / max(image.height, image.width)) ** 2)
    each = (pass_seconds or 0.0) * share
    pressed = st.session_state.get(f"{PREFIX}tried", "")
    with st.container(horizontal=True, gap="small", key=f"{PREFIX}presets"):
        for scale in presets:
            try:
                segmenter = make({"scale": scale, "order": order})
            except perturb.SegmenterError:
                return  # reported next to the form
            wanted = f"{segmenter.file_digest}{image.digest}"
            if spent + each > BUDGET and wanted != pressed:
                left.append(scale)
                continue
            shown, seconds, error = _predict(segmenter.digest, image.digest, segmenter, image, graph.spec.size is None)
            spent, each = spent + seconds, max(each, seconds)
            if error:
                st.warning(f"No preset can be tried: {error}", icon=":material/error:")
                return
            _thumbnail(prefix, scale, order, shown)
    if left:
        st.button(
            f"Try {'every preset' if len(left) == len(presets) else 'the others'}, about {duration(each * len(left))}",
            key=f"{PREFIX}try",
            icon=":material/grid_view:",
            on_click=_press,
            args=(wanted,),
            help="One pass for each preset. The network is heavy, so the previews do not start automatically.",
        )
    else:
        st.caption("The prediction with each preset on this image. Click one to use it.")


def _press(wanted: str) -> None:
    st.session_state[f"{PREFIX}tried"] = wanted


def _thumbnail(prefix: str, scale: str, order: str, shown: npt.NDArray[np.uint8]) -> None:
    chosen = st.session_state.get(f"{prefix}scale") == scale
    with st.container(width=WIDTH, gap="xsmall"):
        # The keys give it the style of the clickable thumbnails in the sidebar.
        with st.container(key=f"thumb_{'on' if chosen else 'off'}_scale_{scale}"):
            elements.show(shown, alt=f"Prediction with the preset {SHORT[scale]}")
            st.button(
                f"{SHORT[scale]}, chosen" if chosen else f"Use {SHORT[scale]}",
                key=f"open_scale_{scale}",
                on_click=_choose,
                args=(prefix, scale, order),
                disabled=chosen,
                help=SCALES[scale],
            )
        st.caption(SHORT[scale])


@st.cache_resource(max_entries=32, show_spinner="Trying the presets …", show_time=True)
def _predict(
    network: str,  # noqa: ARG001 — part of the cache key
    image: str,  # noqa: ARG001 — part of the cache key
    _segmenter: OnnxSegmenter,
    _image: perturb.Image,
    small: bool,
) -> tuple[npt.NDArray[np.uint8], float, str]:
    """The prediction over the image, the seconds of the pass, and an error message; empty on success."""
    pixels = np.array(_image.pixels)
    factor = SIDE / max(pixels.shape[:2])
    if small and factor < 1:
        size = max(2, round(pixels.shape[1] * factor)), max(2, round(pixels.shape[0] * factor))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.float32)
    began = time.perf_counter()
    try:
        logits = clean_logits(image_from_pixels(pixels, name=_image.name), _segmenter)
    except perturb.SegmenterError as error:
        return np.zeros((1, 1, 3), dtype=np.uint8), time.perf_counter() - began, str(error)
    seconds = time.perf_counter() - began
    labels = logits.argmax(0).cpu().numpy()
    return blend(pixels, label_colours(labels, _segmenter.palette), 0.7), seconds, ""
