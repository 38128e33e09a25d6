"""The picture of a visit: a sample, a photograph of the visitor's, or one from the camera."""

from __future__ import annotations

from typing import Any

import streamlit as st

import perturb
from pages.parts.figures import show
from pages.parts.network import current
from perturb.samples import DEFAULT_SAMPLE, EVERY, offered

SOURCES = ("sample", "upload", "camera")
TYPES = ("png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff", "gif")


def choose() -> None:
    """The picture's part of the sidebar; leaves `image` in the session's state."""
    state = st.session_state
    wanted = st.query_params.get("photo", "")
    samples = offered(current().classes)
    # Photographs come first where there are any for the segmenter.
    first = DEFAULT_SAMPLE if len(samples) == len(perturb.SAMPLES) else next(iter(samples))
    source = st.segmented_control(
        "Picture",
        SOURCES,
        default=SOURCES[0],
        required=True,
        key="source",
        bind="query-params",
        help="A drawn street with exact ground truth, a photograph of your own, or your device's camera. "
        "Photographs stay in the server's memory and are never written to its disk.",
    )
    if source == "upload":
        file = st.file_uploader(
            "Your photograph", type=TYPES, max_upload_size=50, key="upload", help="Up to 50 MB; scaled to 640 px."
        )
        _take(file)
    elif source == "camera":
        _take(st.camera_input("Your camera", key="camera"))
    photo = state.get("photo") if source != "sample" else None
    if source == "sample" or photo is None:
        name = st.selectbox(
            "Sample",
            tuple(samples),
            index=list(samples).index(first),
            key="sample",
            bind="query-params",
            disabled=source != "sample",
            help="Pictures, each chosen for a question. The same names work on the command line.",
        )
        image = perturb.sample(name if name in samples else first)
        chosen = EVERY[image.name]
        caption = f"**{chosen.title}.** {chosen.sentence}"
        if source != "sample":
            st.info(_invitation(wanted), icon=":material/upload:")
    else:
        image, caption = photo, " ".join(photo.notes)
        if wanted and wanted != image.digest:
            st.warning(_invitation(wanted), icon=":material/link:")
    show(image.pixels, alt=f"The picture to explain: {image.name}", caption=caption or image.name)
    # An upload cannot stand in a link, but its digest can, so that the link says which picture it needs.
    if source == "sample":
        st.query_params.pop("photo", None)
    elif photo is not None and (not wanted or state.pop("photo_is_new", False)):
        st.query_params["photo"] = image.digest
    state["image"] = image


def _take(file: Any) -> None:
    """Decode a new upload; one that cannot be read leaves the picture that was there."""
    state = st.session_state
    if file is None or state.get("photo_file") == file.file_id:
        if error := state.get("photo_error"):
            st.error(error, icon=":material/broken_image:")
        return
    try:
        state["photo"] = perturb.load_image(file.getvalue(), name=str(file.name).rsplit(".", 1)[0])
        state["photo_is_new"] = True
        state["photo_error"] = ""
    except perturb.ImageError as error:
        kept = " The picture before it is still here." if state.get("photo") else ""
        state["photo_error"] = f"{error}{kept}"
        st.error(state["photo_error"], icon=":material/broken_image:")
    state["photo_file"] = file.file_id


def _invitation(wanted: str) -> str:
    if wanted:
        return (
            f"This link belongs to a photograph that is not in it, the one with the digest {wanted[:12]}…. "
            "Upload it here to see the same result; until then another picture is shown."
        )
    return "Choose a photograph above; until then the sample is shown."
