"""How a visitor's network wants its values: presets, mean and deviation, channel order, and what each preset predicts."""

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
"""What stands below a preset's prediction."""
RANGES = {1.0: "0 … 1", 255.0: "0 … 255"}
SIDE = 256
"""Longest side in pixels of the image that the presets are tried on, where the network takes any size."""
BUDGET = 6.0
"""Seconds of trying presets that start by themselves."""
WIDTH = 106

Make = Callable[[dict[str, Any]], OnnxSegmenter]


def fields(graph: OnnxGraph, prefix: str) -> dict[str, Any]:
    """Widgets for scale, mean, deviation and order; what they say, as fields of `OnnxSpec`.

    A preset fills in the numbers, and numbers that are those of a preset choose it. The widgets' keys begin with `prefix`,
    which is another one for each upload.
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
                help="Networks that were trained with OpenCV often want BGR.",
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
            "Pictures are given",
            choices,
            format_func=lambda scale: SCALES.get(scale, "by the mean and deviation below"),
            key=f"{prefix}scale",
            on_change=_follow_preset,
            args=(prefix,),
            help="As in training. A wrong scale shows: the segmentation is nonsense.",
        )
    )
    words = "One number, or one for each channel in the network's order, with commas between them."
    with st.container(horizontal=True):
        st.selectbox(
            "Values",
            tuple(RANGES),
            format_func=RANGES.__getitem__,
            key=f"{prefix}range",
            on_change=_follow_numbers,
            args=(prefix, order),
            help="The range of the values before the mean is taken off.",
            width=110,
        )
        for field, label in (("mean", "Mean"), ("std", "Deviation")):
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
    """Choose a preset and fill in its numbers; before its widgets are drawn, or as a callback."""
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
    """Choose the preset whose numbers were typed, or none."""
    state = st.session_state
    count = 1 if order == "grey" else 3
    state[f"{prefix}scale"] = OWN
    try:
        mean, std = (numbers(field, state[f"{prefix}{field}"], count, "") for field in ("mean", "std"))
    except perturb.SegmenterError:
        return  # said where the network is made
    typed = Scaling(state[f"{prefix}range"], mean, std)
    state[f"{prefix}scale"] = next((scale for scale in fitting(order) if preset(scale, order) == typed), OWN)


def predictions(graph: OnnxGraph, make: Make, order: str, pass_seconds: float | None, prefix: str) -> None:
    """What each preset predicts for the current image, as thumbnails to pick from; within a budget, or after a press.

    Args:
        graph: whose scale is not known.
        make: the network for fields of `OnnxSpec`.
        order: of the channels.
        pass_seconds: of one pass on the current image, as rehearsed; None if that is not known.
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
                return  # said beside the form
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
            help="One pass for each preset; the network is heavy, so it does not start by itself.",
        )
    else:
        st.caption("What each preset predicts for this image. One click takes it.")


def _press(wanted: str) -> None:
    st.session_state[f"{PREFIX}tried"] = wanted


def _thumbnail(prefix: str, scale: str, order: str, shown: npt.NDArray[np.uint8]) -> None:
    chosen = st.session_state.get(f"{prefix}scale") == scale
    with st.container(width=WIDTH, gap="xsmall"):
        # The keys give it the look of the thumbnails in the sidebar: an image that is a button.
        with st.container(key=f"thumb_{'on' if chosen else 'off'}_scale_{scale}"):
            elements.show(shown, alt=f"Prediction with the preset {SHORT[scale]}")
            st.button(
                f"{SHORT[scale]}, chosen" if chosen else f"Take {SHORT[scale]}",
                key=f"open_scale_{scale}",
                on_click=_choose,
                args=(prefix, scale, order),
                disabled=chosen,
                help=SCALES[scale],
            )
        st.caption(SHORT[scale])


@st.cache_resource(max_entries=32, show_spinner="Trying the presets …", show_time=True)
def _predict(
    network: str,  # noqa: ARG001 — the key
    picture: str,  # noqa: ARG001 — the key
    _segmenter: OnnxSegmenter,
    _image: perturb.Image,
    small: bool,
) -> tuple[npt.NDArray[np.uint8], float, str]:
    """The prediction laid over the image, the seconds of its one pass, and why there is none; empty if there is one."""
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
