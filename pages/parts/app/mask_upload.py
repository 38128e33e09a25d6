"""Ground truth for a photograph of the visitor's own: a mask that is uploaded beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

import perturb
from pages.parts.app.elements import percent
from pages.parts.app.segmenter_choice import current
from perturb.core.errors import LabelError
from perturb.core.quoting import html_text, markdown_text
from perturb.images.ground_truth import NAMED
from perturb.targets.quality import IGNORED, true_labels
from perturb.targets.target import shares


@dataclass(frozen=True)
class Refusal:
    """Why a mask was not taken.

    Attributes:
        sentence: in words.
        name, data: of the file, where it can be taken all the same.
        ignored: the values that must be ignored for that.
    """

    sentence: str
    name: str = ""
    data: bytes = b""
    ignored: tuple[int, ...] = ()


def offer(image: perturb.Image) -> None:
    """The place to give a photograph ground truth or take it away, and what was given."""
    state = st.session_state
    key = f"mask_{state.get('masks', 0)}"  # made anew, empty, after each file
    with st.popover("Ground truth", icon=":material/label:", width="stretch", help="What is really in this picture."):
        # The answer to a file stands where the eye is when it has been chosen, above all that explains the choice.
        _refusal(image)
        if image.truth is not None:
            st.success(markdown_text(_told(image)), icon=":material/label:")
        st.caption(
            "A PNG as large as your file. Each pixel holds the number of its class, 255 for none, or the colour of its "
            "class, as listed below."
        )
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
        st.caption(f"The classes of {markdown_text(current().name)}:")
        st.html(_classes(current()))
    if image.truth is not None:
        st.caption(markdown_text(_told(image)))


def _take(key: str, image: perturb.Image) -> None:
    state = st.session_state
    file: Any = state[key]
    if file is None:
        return
    state["masks"] = state.get("masks", 0) + 1
    _give(image, str(file.name), file.getvalue(), ())


def _give(image: perturb.Image, name: str, data: bytes, ignored: tuple[int, ...]) -> None:
    """Make a file the ground truth of a picture; what cannot be read leaves the one that was there."""
    segmenter, state = current(), st.session_state
    try:
        _keep(image, image.with_truth(data, segmenter.classes, segmenter.palette, ignore_index=ignored))
    except LabelError as error:
        if len(error.values) > NAMED or error.share == 1:
            state["mask_error"] = {image.digest: Refusal(f"{name}: {error}")}
            return
        values = " and ".join(map(str, error.values))
        one = len(error.values) == 1
        sentence = (
            f"{name}: {values} {'is' if one else 'are'} none of the classes 0 … {len(segmenter.classes) - 1}, and "
            f"{percent(error.share)} of the pixels hold {'it' if one else 'them'}: treat {'it' if one else 'them'} as void?"
        )
        state["mask_error"] = {image.digest: Refusal(sentence, name, data, (*ignored, *error.values))}
    except perturb.ImageError as error:
        state["mask_error"] = {image.digest: Refusal(f"{name}: {error}")}


def _refusal(image: perturb.Image) -> None:
    """Why the latest mask was not taken; and where it only holds a void label, the offer to ignore it."""
    refusal: Refusal | None = st.session_state.get("mask_error", {}).get(image.digest)
    if refusal is None:
        return
    if not refusal.ignored:
        st.error(markdown_text(refusal.sentence), icon=":material/label_off:")
        return
    st.warning(markdown_text(refusal.sentence), icon=":material/label_off:")
    st.button(
        f"Treat {' and '.join(map(str, refusal.ignored))} as void",
        key="mask_void",
        icon=":material/check:",
        on_click=_give,
        args=(image, refusal.name, refusal.data, refusal.ignored),
        width="stretch",
        help="Pixels without a class count in no figure. If it is a class, choose a mask with the segmenter's class numbers.",
    )


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
    if image.truth_ignored:
        told += f"; void: {', '.join(map(str, image.truth_ignored))}"
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
    return f"<div style='font-size:.8rem;overflow-wrap:anywhere'>{rows}</div>"
