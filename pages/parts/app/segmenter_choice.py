"""The segmenter of a session: a registered one, loaded once for all visitors, or the visitor's own file."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import streamlit as st

import perturb
from pages.parts.app import address, offered, processes
from perturb.core.quoting import markdown_text
from perturb.experiments.estimates import timed_pass
from perturb.segmenters.onnx.confined import ConfinedModel
from perturb.segmenters.onnx.segmenter import OnnxSegmenter
from perturb.segmenters.registry import DEFAULT


def choose() -> None:
    """The select box, a description, and the download of weights. Stores `segmenter_name` in the session state."""
    chosen = st.selectbox(
        "Segmenter",
        names(),
        index=names().index(offered.segmenter()),
        key="segmenter",
        on_change=_leave_link,
        bind="query-params",
        help="The network whose predictions are explained.",
    )
    address.keep("segmenter")
    _describe(chosen)
    st.session_state["segmenter_name"] = _usable(chosen)


def current() -> perturb.Segmenter:
    """The segmenter chosen in the sidebar."""
    own, name = own_segmenter(), st.session_state["segmenter_name"]
    return own if own is not None and own.name == name else load(name)


def own_segmenter() -> OnnxSegmenter | None:
    """The network that this visitor uploaded, if any."""
    own: OnnxSegmenter | None = st.session_state.get("own_segmenter")
    if own is not None and isinstance(own.model, ConfinedModel):
        processes.keep(own.model)
    return own


def use_own(segmenter: OnnxSegmenter) -> None:
    """Explain a visitor's own network from now on. A widget callback. A session keeps one such network."""
    state = st.session_state
    state["own_segmenter"], state["segmenter"], state["model_is_new"] = segmenter, segmenter.name, True
    state.pop("missing_file", None)


def _leave_link() -> None:
    """Choosing another segmenter ends the wait for the file that a link asked for."""
    st.query_params.pop("model", None)
    st.session_state.pop("missing_file", None)


def names() -> tuple[str, ...]:
    """The options of the select box: the registered segmenters, then the visitor's own."""
    own = own_segmenter()
    return (*perturb.SEGMENTERS, *(() if own is None else (own.name,)))


def segment(segmenter: perturb.Segmenter, image: perturb.Image) -> tuple[npt.NDArray[np.int64], float]:
    """The clean segmentation, int64 `(H, W)`, and the seconds of one forward pass; cached."""
    return _segment(segmenter.name, segmenter.digest, image.digest, segmenter, image)


# The largest takes 250 MB. A comparison shows four, and the sidebar may hold a fifth.
@st.cache_resource(max_entries=5, show_spinner="Loading the segmenter …")
def load(name: str) -> perturb.Segmenter:
    """A segmenter, loaded once and shared by all visitors."""
    return perturb.load_segmenter(name)


# Keyed by digests: Streamlit hashes only a sample of a large array, so two images could be confused.
@st.cache_resource(max_entries=64, show_spinner="Segmenting …", show_time=True)
def _segment(
    name: str,  # noqa: ARG001 — part of the cache key
    weights: str,  # noqa: ARG001 — part of the cache key
    image: str,  # noqa: ARG001 — part of the cache key
    _segmenter: perturb.Segmenter,
    _image: perturb.Image,
) -> tuple[npt.NDArray[np.int64], float]:
    logits, seconds = timed_pass(_image, _segmenter)
    return logits.argmax(0).cpu().numpy(), seconds


def _usable(name: str) -> str:
    """The name if that segmenter can be loaded, else the default with the reason. Offers to download missing weights."""
    entry = perturb.SEGMENTERS.get(name)
    if entry is None:  # the visitor's own
        return name
    if entry.weights is not None and not entry.ready():
        st.info(f"Its weights have not been downloaded yet. Until then, {DEFAULT} is used.", icon=":material/download:")
        if not st.button(f"Download ({entry.weights().megabytes:.0f} MB)", key="download"):
            return DEFAULT
        bar = st.progress(0.0)
        try:
            entry.fetch(bar.progress)
        except perturb.SegmenterError as error:
            bar.empty()
            st.error(markdown_text(str(error)), icon=":material/cloud_off:")
            return DEFAULT
        st.rerun()
    try:
        load(name)
    except perturb.SegmenterError as error:
        st.error(f"{markdown_text(str(error))} {DEFAULT} is used instead.", icon=":material/error:")
        return DEFAULT
    return name


def _describe(name: str) -> None:
    """Describe the chosen segmenter. The digest of a visitor's own goes into the address, so that a link names the file."""
    own, wanted = own_segmenter(), st.query_params.get("model", "")
    if own is None or own.name != name:
        st.caption(perturb.SEGMENTERS[name].summary)
    else:
        st.caption(f"Your ONNX file, {len(own.classes)} classes. It is kept in memory until you leave.")
        if not wanted or st.session_state.pop("model_is_new", False):
            st.query_params["model"] = wanted = own.digest
    missing = _missing(wanted)
    if missing or (wanted and (own is None or own.digest != wanted or own.name != name)):
        what = f"**{markdown_text(missing)}**" if missing else "The ONNX file of this link"
        digest = f" Its digest begins with {markdown_text(wanted[:12])}…." if wanted else ""
        st.warning(
            f"{what} is no longer in memory; upload it again on the Segmenters page, under bring-your-own. Until then, another "
            f"segmenter is used.{digest}",
            icon=":material/link:",
        )


def _missing(wanted: str) -> str:
    """The name of the missing file that a link asked for; empty if there is none.

    Kept in the session state, because the select box replaces the name in the address.
    """
    state = st.session_state
    if state["just_entered"]:
        asked = state.get("arrived", {}).get("segmenter", "")
        # Any other unknown name is a misspelling.
        if asked and asked not in names() and (wanted or asked.endswith(".onnx")):
            state["missing_file"] = asked
        elif not wanted:
            state.pop("missing_file", None)
    return str(state.get("missing_file", ""))
