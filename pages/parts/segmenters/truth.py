"""A segmentation against its ground truth: wrong pixels, metrics by class, and the confusion matrix."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import streamlit as st

from pages.parts.app import elements
from pages.parts.app.shell import Scene
from pages.parts.figures import drawing
from perturb.core.colour import tint, to_uint8
from perturb.core.quoting import markdown_text
from perturb.targets.quality import Correctness, iou_by_class, mean_iou, pixel_accuracy

WRONG = (255, 0, 200)
WRITTEN = 16
"""Maximum number of columns of the confusion matrix with numbers in its cells."""


def sentence(seen: Correctness) -> str:
    """Overall quality of the prediction, in words."""
    if not seen.present:
        return "None of its pixels can be evaluated: the ground truth has no labels of its classes."
    return (
        f"Pixel accuracy **{elements.percent(pixel_accuracy(seen.matrix))}**, mean IoU over {len(seen.present)} classes "
        f"**{mean_iou(seen.matrix):.3f}**.{_absent(seen)}"
    )


def _absent(seen: Correctness) -> str:
    """How many classes are predicted but absent from the ground truth, which lowers the mean."""
    count = int(((seen.matrix.sum(1) == 0) & (seen.matrix.sum(0) > 0)).sum())
    if not count:
        return ""
    subject, each = ("1 class is", "it counts") if count == 1 else (f"{count} classes are", "each counts")
    return f" {subject} predicted but absent from the ground truth; {each} as IoU 0."


def errors(scene: Scene, seen: Correctness) -> None:
    """Wrong pixels over the image, and the most common error."""
    grey = np.repeat(scene.image.pixels.mean(2, keepdims=True), 3, axis=2) * np.float32(0.6) + np.float32(0.3)
    count = int(seen.wrong.sum())
    elements.show(
        tint(to_uint8(grey), seen.wrong, WRONG, 0.85),
        alt=f"Wrong pixels of {scene.segmenter.name} on {scene.image.name}: {count:,}",
    )
    drawing.key([(WRONG, f"{count:,} wrong pixels")])
    words = []
    if worst := seen.worst():
        true, said = map(markdown_text, worst[:2])
        words.append(f"Most common error: {worst[2]:,} pixels of {true} are predicted as {said}.")
    if seen.compared < 1:
        words.append(f"{elements.percent(1 - seen.compared)} of the image has no label that can be evaluated.")
    st.caption(" ".join(words))
    st.page_link(
        "pages/inspect.py",
        label="Errors of one class",
        query_params={"ins_view": "errors"},
        icon=":material/arrow_forward:",
        help="The Inspect page shows false negatives and false positives of one class.",
    )


def section(seen: Correctness, prefix: str) -> None:
    """Classes that the segmenter lacks, metrics by class, and the confusion matrix."""
    if seen.unknown:
        names = ", ".join(f"{markdown_text(name)} ({elements.percent(share)})" for name, share in seen.unknown.items())
        st.warning(
            f"The segmenter lacks {len(seen.unknown)} classes of the ground truth: {names}. Their pixels are excluded, and with them "
            "any false positives there, so all metrics are optimistic.",
            icon=":material/rule:",
        )
    if not seen.present:
        return
    left, right = st.columns((1, 1.25), gap="medium")
    with left:
        _by_class(seen, prefix)
    with right:
        _confusion(seen)


def _by_class(seen: Correctness, prefix: str) -> None:
    st.markdown(
        "**By class**",
        help="IoU (intersection over union): true positives divided by all pixels that are the class or predicted as it. "
        "1 is perfect. n/a: the class is neither in the image nor predicted.",
    )
    frame = pd.DataFrame(
        {
            "class": seen.classes,
            "iou": iou_by_class(seen.matrix),
            "true": seen.matrix.sum(1),
            "predicted": seen.matrix.sum(0),
            "right": np.diag(seen.matrix),
        }
    )
    # An absent class has no IoU, so it comes last. Text, because the table would show None.
    frame = frame.sort_values("iou", ascending=False, na_position="last", kind="stable")
    frame["iou"] = ["n/a" if value != value else f"{value:.3f}" for value in frame["iou"]]
    config: dict[str, Any] = {
        "class": st.column_config.TextColumn("Class", pinned=True),
        "iou": st.column_config.TextColumn("IoU ↑", alignment="right", help="Intersection over union, 0 to 1."),
        "true": st.column_config.NumberColumn(
            "True px", format="localized", help="Pixels of the class in the ground truth."
        ),
        "predicted": st.column_config.NumberColumn(
            "Predicted px", format="localized", help="Labelled pixels predicted as the class."
        ),
        "right": st.column_config.NumberColumn(
            "Correct px", format="localized", help="Pixels of the class that are predicted as it."
        ),
    }
    st.dataframe(frame, hide_index=True, column_config=config, height="content", key=f"{prefix}by_class")


def _confusion(seen: Correctness) -> None:
    st.markdown(
        "**Confusion matrix**",
        help="The percentage of the pixels of a true class (row) that is predicted as each class (column). Each row adds up to 100; "
        "the diagonal is correct. Hover over a cell for the number of pixels.",
    )
    names = [seen.classes[index] for index in seen.present]
    shares = seen.shares
    rows = [
        (
            seen.classes[true],
            seen.classes[said],
            int(seen.matrix[true, said]),
            shares[true, said],
            _cell(shares[true, said]),
        )
        for true in seen.present
        if seen.matrix[true].any()
        for said in seen.present
    ]
    frame = pd.DataFrame(rows, columns=["true", "predicted", "pixels", "share", "text"])
    sort = list(frame["true"].unique())
    base = alt.Chart(frame).encode(
        x=alt.X(
            "predicted:N",
            sort=names,
            axis=alt.Axis(title="predicted", labelAngle=-60, labelLimit=80, labelOverlap=False, orient="top"),
        ),
        y=alt.Y("true:N", sort=sort, axis=alt.Axis(title="true", labelLimit=80, labelOverlap=False)),
    )
    colour = alt.Color(
        "share:Q",
        scale=alt.Scale(range=["#ffffff", "#1d4ed8"], domain=[0, 1]),
        legend=alt.Legend(
            title="share of the true class", orient="bottom", format="%", gradientLength=180, titleLimit=240
        ),
    )
    tips = [
        alt.Tooltip("true:N"),
        alt.Tooltip("predicted:N"),
        alt.Tooltip("pixels:Q", format=","),
        alt.Tooltip("share:Q", title="share of the true class", format=".2%"),
    ]
    cells = base.mark_rect(stroke="#8884", strokeWidth=0.5).encode(color=colour, tooltip=tips)
    # With more columns, cells on a phone are narrower than their numbers; tooltips show them.
    text = base.mark_text(fontSize=9.5 if len(names) <= WRITTEN else 0).encode(
        text="text:N",
        color=alt.condition("datum.share > 0.5", alt.value("white"), alt.value("black")),
        tooltip=tips,
    )
    st.altair_chart(
        (cells + text).properties(height=190 + 26 * len(sort)),
        width="stretch",
        alt=f"Confusion matrix: {len(sort)} true classes by {len(names)} predicted ones, in percent of the true class",
    )


def _cell(share: float) -> str:
    """A share as whole percent. Only exactly 0 is left empty, and only exactly 1 is shown as 100."""
    if share == 0:
        return ""
    return "<1" if share < 0.005 else ">99" if 0.995 <= share < 1 else f"{100 * share:.0f}"
