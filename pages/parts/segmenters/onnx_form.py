"""A visitor's own network: upload, facts from its graph, a form for missing facts, and a preview."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st

import perturb
from pages.parts.app import elements, processes, shell
from pages.parts.figures import drawing
from pages.parts.segmenters import onnx_scales
from perturb.core.colour import blend, label_colours
from perturb.core.quoting import markdown_text
from perturb.experiments.estimates import HEAVY, duration
from perturb.lab.limits import host_limits
from perturb.segmenters.onnx.checks import MAX_BYTES
from perturb.segmenters.onnx.confined import ConfinedModel, rehearse
from perturb.segmenters.onnx.segmenter import OnnxSegmenter
from perturb.segmenters.onnx.spec import KINDS, LAYOUTS, MAX_MULTIPLE, OnnxGraph, OnnxSpec, complete
from perturb.targets.target import shares

PREFIX = onnx_scales.PREFIX
USUAL = 250
"""Approximate number of passes of a map and its curves with default settings."""
ONE_COLOUR = 0.995
"""If one class covers more than this share, the input scaling is probably wrong."""


def section() -> None:
    """Upload, form, preview, and the button that selects the network for all pages."""
    limits = host_limits()
    st.subheader("Your own network, as an ONNX file")
    st.caption(
        "Most frameworks can export ONNX. Recipes for PyTorch, Keras and segmentation-models-pytorch are below. "
        "An ONNX file is pure data. Files that can run code when opened (pickles, TorchScript, Keras archives) are refused, "
        f"whatever their name. Files of up to {MAX_BYTES // 1_000_000} MB are kept in the server's memory only. Your network runs "
        f"in a process of its own, with at most {limits.model_memory_mb / 1000:g} GB of memory and {limits.model_seconds:g} s for "
        "a batch, until you leave."
    )
    file = st.file_uploader(
        "ONNX file",
        key=f"{PREFIX}file",
        max_upload_size=MAX_BYTES // 1_000_000,
        help="One file with embedded weights, standard operators only, no loops.",
    )
    if file is None:
        return
    data, name = file.getvalue(), _plain(str(file.name))
    model, graph, seconds = _checked(file.file_id, data, name)
    if graph is None:
        return
    left, right = st.columns((1, 1.1), gap="large")
    with left:
        # Answers for one file do not apply to the next, so each upload has its own fields.
        prefix = f"{PREFIX}{file.file_id}_"
        graph = _facts(graph, model, prefix)
        if graph is None:
            return
        segmenter = _form(graph, model, seconds, prefix)
    if segmenter is not None:
        with right:
            _trial(segmenter, seconds)


def _plain(name: str) -> str:
    """The file name as a segmenter name: shortened, and never one of the registered names."""
    short = "".join(sign for sign in name if sign.isprintable())[:60] or "model.onnx"
    return f"{short}.onnx" if short in perturb.SEGMENTERS else short


def _checked(file_id: str, data: bytes, name: str) -> tuple[ConfinedModel, OnnxGraph | None, float | None]:
    """An upload, its graph, and the seconds of a test run. Checked once; a refusal is shown."""
    state = st.session_state
    key = f"{PREFIX}checked"
    if state.get(key, ("",))[0] != file_id:
        image: perturb.Image = state["image"]
        model, graph, seconds, error = processes.own_model(data, name), None, None, ""
        try:
            with st.spinner("Checking the file and running it once in a process of its own …", show_time=True):
                graph = model.facts()
                seconds = rehearse(model, graph, image.height, image.width)
        except perturb.SegmenterError as refusal:
            graph, error = None, str(refusal)
            model.close()
        state[key] = (file_id, model, graph, seconds, error)
    made: ConfinedModel
    known: OnnxGraph | None
    took: float | None
    _, made, known, took, error = state[key]
    processes.keep(made)
    if error:
        st.error(markdown_text(error), icon=":material/block:")
    return made, known, took


def _facts(graph: OnnxGraph, model: ConfinedModel, prefix: str) -> OnnxGraph | None:
    """The facts in the graph, with a choice of the output or of the input layout where they are ambiguous."""
    hints: dict[str, str] = {}
    st.markdown("**From the graph**")
    if len(graph.outputs) > 1:
        hints["output"] = str(
            st.selectbox("Output", graph.outputs, key=f"{prefix}output", help="The output with the class scores.")
        )
    if "layout" in graph.unknown:
        hints["layout"] = _choice(f"{prefix}layout", "Input layout", LAYOUTS, "The axis of the three colour channels.")
    if hints:
        try:
            graph = model.facts(**hints)
        except perturb.SegmenterError as error:
            st.error(markdown_text(str(error)), icon=":material/error:")
            return None
    spec = graph.spec
    size = f"{spec.size[1]} × {spec.size[0]} px" if spec.size else "any size"
    lines = {
        "input": f"{markdown_text(spec.input)}, {spec.layout} ({LAYOUTS[spec.layout]}), {size}, {graph.dtype.lower()}",
        "output": f"{markdown_text(spec.output)}, {_or_asked(graph, 'output_layout')}, {_or_asked(graph, 'kind')}",
        "channels": str(graph.channels or "unknown"),
        **graph.facts,
    }
    st.markdown("\n".join(f"- {what}: {words}" for what, words in lines.items()))
    if spec.size:
        st.caption("Images are resized to this size, and the logits back. Fine detail and proportions are lost.")
    return graph


def _or_asked(graph: OnnxGraph, field: str) -> str:
    return "see below" if field in graph.unknown else str(getattr(graph.spec, field))


def _form(graph: OnnxGraph, model: ConfinedModel, seconds: float | None, prefix: str) -> OnnxSegmenter | None:
    """The form for facts that the graph lacks. Returns the segmenter if the answers fit."""
    st.markdown("**Not in the graph**")
    given: dict[str, Any] = {field: getattr(graph.spec, field) for field in ("output", "layout")}
    scaling = onnx_scales.fields(graph, prefix)
    presets = st.container()  # shown below the numbers, although it depends on the rest of the form
    if "kind" in graph.unknown:
        given["kind"] = _choice(
            f"{prefix}kind", "Output values", KINDS, "Whether the graph ends with a softmax or sigmoid."
        )
    if "output_layout" in graph.unknown:
        given["output_layout"] = _choice(f"{prefix}output_layout", "Output layout", LAYOUTS, "The axis of the classes.")
    if graph.spec.size is None:
        given["multiple"] = st.number_input(
            "Sides must be multiples of",
            1,
            MAX_MULTIPLE,
            key=f"{prefix}multiple",
            help="Images are padded accordingly. 32 for most encoder-decoder networks, 1 if any size is accepted.",
        )
    classes = _classes(graph, prefix)

    def make(scaling: dict[str, Any]) -> OnnxSegmenter:
        spec = _spec(graph, given | scaling, model.name)
        return OnnxSegmenter(model, graph, spec, classes=classes, name=model.name)

    if "scale" in graph.unknown:
        with presets:
            onnx_scales.predictions(graph, make, scaling.get("order", "grey"), seconds, prefix)
    try:
        return make(scaling)
    except perturb.SegmenterError as error:
        st.error(markdown_text(str(error)), icon=":material/error:")
        return None


def _spec(graph: OnnxGraph, given: dict[str, Any], name: str) -> OnnxSpec:
    # The layout was chosen above, so it is known from here on.
    known = replace(graph, unknown=tuple(field for field in graph.unknown if field != "layout"))
    spec = complete(known, {field: value for field, value in given.items() if field != "layout"}, name)
    return replace(spec, layout=given["layout"])


def _classes(graph: OnnxGraph, prefix: str) -> list[str]:
    typed = st.text_area(
        "Class names",
        ", ".join(graph.classes),
        key=f"{prefix}classes",
        placeholder="road, car, pedestrian",
        help="In the order of the channels, separated by commas or line breaks. If empty, classes are numbered. A network with "
        "one channel takes one name, the class that it detects.",
    )
    listed = st.file_uploader("… or a text file with the names", key=f"{prefix}names", max_upload_size=1)
    text = listed.getvalue().decode(errors="replace") if listed is not None else typed
    return [word.strip()[:60] for line in text.splitlines() for word in line.split(",") if word.strip()]


def _choice(key: str, title: str, titles: dict[str, str], text: str) -> str:
    return str(st.selectbox(title, tuple(titles), format_func=lambda value: titles[value], key=key, help=text))


def _trial(segmenter: OnnxSegmenter, rehearsed: float | None) -> None:
    """The prediction on the current image, and the button that selects the network."""
    image: perturb.Image = st.session_state["image"]
    st.markdown(f"**Prediction on {markdown_text(image.name)}**")
    if rehearsed is not None and rehearsed > HEAVY and not _wanted(segmenter, image, rehearsed):
        return
    try:
        labels, seconds = shell.segment(segmenter, image)
    except perturb.SegmenterError as error:
        st.error(markdown_text(str(error)), icon=":material/error:")
        return
    elements.show(
        blend(image.pixels, label_colours(labels, segmenter.palette), 0.7),
        alt=f"Segmentation of {image.name} by {segmenter.name}",
        caption=f"{seconds:.2g} s a forward pass",
    )
    found = shares(labels, segmenter.classes)
    drawing.legend(labels, segmenter.classes, segmenter.palette, "")
    if found[0][1] > ONE_COLOUR and np.prod(labels.shape) > 1:
        st.warning(
            f"Nearly every pixel is {markdown_text(found[0][0])}. If that is wrong, try another input scale.",
            icon=":material/help:",
        )
    _use(segmenter)


def _wanted(segmenter: OnnxSegmenter, image: perturb.Image, seconds: float) -> bool:
    """Whether to run a heavy network on this image. Before, show the cost and how to reduce it."""
    key, this = f"{PREFIX}wanted", f"{segmenter.digest}{image.digest}"
    if st.session_state.get(key) == this:
        return True
    st.info(
        f"**A heavy network:** one pass on this image took {seconds:.0f} s. An "
        f"occlusion map with its curves takes about {USUAL} passes, so about {duration(USUAL * seconds)}. Runs do not start "
        "automatically. To shorten them: a larger stride or fewer steps"
        + (", or an export with a smaller input size." if segmenter.spec.size else ", or a smaller image."),
        icon=":material/hourglass_top:",
    )
    st.button(
        f"Segment this image, about {duration(seconds)}",
        icon=":material/play_arrow:",
        key=f"{PREFIX}run",
        on_click=st.session_state.__setitem__,
        args=(key, this),
        help="One pass, to check the settings at the left.",
    )
    _use(segmenter)
    return False


def _use(segmenter: OnnxSegmenter) -> None:
    """The button that selects the network, and whether it is in use."""
    own = shell.own_segmenter()
    in_use = own is not None and own.digest == segmenter.digest
    st.button(
        "Use this segmenter",
        type="primary",
        icon=":material/check:",
        key=f"{PREFIX}use",
        on_click=shell.use_own,
        args=(segmenter,),
        disabled=in_use and st.session_state["segmenter_name"] == segmenter.name,
        help="Explain it on every page. A session keeps one uploaded network; a new one replaces it.",
    )
    if in_use:
        st.success("In use: choose a page in the navigation to explain it.", icon=":material/check:")
