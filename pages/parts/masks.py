"""Ground truth for a photograph of the visitor's own: a mask that is uploaded beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

import perturb
from pages.parts.figures import percent
from pages.parts.network import current
from perturb.quoting import html_text, markdown_text
from perturb.segmentation import IGNORED, true_labels
from perturb.targets import shares


def offer(image: perturb.Image) -> None:
    """The place to give a photograph ground truth or take it away, and what was given."""
    state = st.session_state
    key = f"mask_{state.get('masks', 0)}"  # made anew, empty, after each file
    with st.popover("Ground truth", icon=":material/label:", width="stretch", help="What is really in this picture."):
        st.caption(
            "A PNG as large as your file. Each pixel holds the number of its class, 255 for none, or the colour of its "
            f"class. The classes are those of {markdown_text(current().name)}:"
        )
        st.html(_classes(current()))
        st.file_uploader(
            "Mask",
            type=("png", "bmp", "tif", "tiff", "gif"),
            max_upload_size=50,
            key=key,
            on_change=_take,
            args=(key, image),
            help="Becomes this picture's ground truth on every page: for regions, error views and metrics.",
        )
        if image.truth is not None:
            st.button(
                "Take the ground truth away",
                key="mask_away",
                icon=":material/label_off:",
                on_click=_keep,
                args=(image, None),
                help="The picture stays, as if no mask had been given.",
            )
    if error := state.get("mask_error", {}).get(image.digest):
        st.error(markdown_text(error), icon=":material/label_off:")
    if image.truth is not None:
        st.caption(markdown_text(_told(image)))


def _take(key: str, image: perturb.Image) -> None:
    state = st.session_state
    file: Any = state[key]
    if file is None:
        return
    state["masks"] = state.get("masks", 0) + 1
    segmenter = current()
    try:
        _keep(image, image.with_truth(file.getvalue(), segmenter.classes, segmenter.palette))
    except perturb.PerturbError as error:
        state["mask_error"] = {image.digest: f"{file.name}: {error}"}


def _keep(image: perturb.Image, given: perturb.Image | None) -> None:
    """Put the picture with its new ground truth, or without any, in the place of the old one."""
    st.session_state["pictures"][image.digest] = given or image.without_truth()
    st.session_state.pop("mask_error", None)


def _told(image: perturb.Image) -> str:
    """What the mask holds, so that a misread file is seen at once."""
    assert image.truth is not None
    labels = np.where(image.truth == IGNORED, len(image.truth_classes), image.truth)
    found = shares(labels, (*image.truth_classes, "no class"))
    told = ", ".join(f"{name} {percent(share)}" for name, share in found[:5]) + (", …" if len(found) > 5 else "")
    try:
        true_labels(image, current().classes)
    except perturb.TargetError as error:
        return f"Ground truth: {told}. {error}"
    return f"Ground truth: {told}."


def _classes(segmenter: perturb.Segmenter) -> str:
    rows = "".join(
        f"<div>{index} <span style='display:inline-block;width:.75rem;height:.75rem;border:1px solid #8888;"
        f"border-radius:.15rem;background:{colour}'></span> {html_text(name)} <code>{colour}</code></div>"
        for index, (name, colour) in enumerate(
            (name, f"#{r:02x}{g:02x}{b:02x}")
            for name, (r, g, b) in zip(segmenter.classes, segmenter.palette.tolist(), strict=True)
        )
    )
    return f"<div style='font-size:.8rem;max-height:12rem;overflow-y:auto' tabindex='0'>{rows}</div>"
