"""Ground truth for a visitor's own photograph, uploaded as a mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

import perturb
from pages.parts.app import processes
from pages.parts.app.elements import percent, swatch
from pages.parts.app.segmenter_choice import current
from perturb.core.errors import LabelError
from perturb.core.quoting import html_text, markdown_text
from perturb.images.ground_truth import NAMED
from perturb.targets.quality import IGNORED, true_labels
from perturb.targets.target import shares


@dataclass(frozen=True)
class Refusal:
    """Why a mask was refused.

    Attributes:
        sentence: the reason, in words.
        name, data: the file, if it can be used by ignoring some values.
        ignored: those values.
    """

    sentence: str
    name: str = ""
    data: bytes = b""
    ignored: tuple[int, ...] = ()


def offer(image: perturb.Image) -> None:
    """Add ground truth to a photograph or remove it, and show a summary of it."""
    state = st.session_state
    key = f"mask_{state.get('masks', 0)}"  # a new key gives an empty uploader after each file
    with st.popover("Ground truth", icon=":material/label:", width="stretch", help="The true class of each pixel."):
        # The response to an upload comes first, where it is seen at once.
        _refusal(image)
        if image.truth is not None:
            st.success(markdown_text(_summary(image)), icon=":material/label:")
        st.caption(
            "Upload a PNG of the same size as your image. Each pixel holds the index of its class (255 for none) or the colour "
            "of its class, as listed below."
        )
        st.file_uploader(
            "Mask",
            type=("png", "bmp", "tif", "tiff", "gif"),
            max_upload_size=50,
            key=key,
            on_change=_take,
            args=(key, image),
            help="The ground truth of this image on every page, for regions, errors and metrics.",
        )
        if image.truth is not None:
            st.button(
                "Remove the ground truth",
                key="mask_away",
                icon=":material/label_off:",
                on_click=_keep,
                args=(image, None),
                help="The image stays.",
            )
        st.caption(f"The classes of {markdown_text(current().name)}:")
        st.html(_classes(current()))
    if image.truth is not None:
        st.caption(markdown_text(_summary(image)))


def _take(key: str, image: perturb.Image) -> None:
    state = st.session_state
    file: Any = state[key]
    if file is None:
        return
    state["masks"] = state.get("masks", 0) + 1
    _give(image, str(file.name), file.getvalue(), ())


def _give(image: perturb.Image, name: str, data: bytes, ignored: tuple[int, ...]) -> None:
    """Use a file as the ground truth of an image. If it cannot be read, the previous ground truth stays."""
    segmenter, state = current(), st.session_state
    try:
        read = processes.decoders().with_truth
        _keep(image, read(image, data, segmenter.classes, segmenter.palette, ignore_index=ignored))
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
    """Why the latest mask was refused. If only a void label is the problem, offer to ignore it."""
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
        help="Void pixels are excluded from all metrics. If the value is a class, upload a mask with the segmenter's class indices.",
    )


def _keep(image: perturb.Image, given: perturb.Image | None) -> None:
    """Replace the image by one with the new ground truth, or without any."""
    st.session_state["pictures"][image.digest] = given or image.without_truth()
    st.session_state.pop("mask_error", None)


def _summary(image: perturb.Image) -> str:
    """The classes of the mask with their shares, so that a misread file is noticed at once."""
    assert image.truth is not None
    labels = np.where(image.truth == IGNORED, len(image.truth_classes), image.truth)
    found = shares(labels, (*image.truth_classes, "no class"))
    summary = ", ".join(f"{name} {percent(share)}" for name, share in found[:5]) + (", …" if len(found) > 5 else "")
    if image.truth_ignored:
        summary += f"; void: {', '.join(map(str, image.truth_ignored))}"
    try:
        true_labels(image, current().classes)
    except perturb.TargetError as error:
        return f"Ground truth: {summary}. {error}"
    return f"Ground truth: {summary}."


def _classes(segmenter: perturb.Segmenter) -> str:
    rows = "".join(
        f"<div>{index} {swatch((r, g, b))} {html_text(name)} <code>#{r:02x}{g:02x}{b:02x}</code></div>"
        for index, (name, (r, g, b)) in enumerate(zip(segmenter.classes, segmenter.palette.tolist(), strict=True))
    )
    return f"<div style='font-size:.8rem;overflow-wrap:anywhere'>{rows}</div>"
