"""False negatives and false positives of a class against the ground truth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import streamlit as st

import perturb
from pages.parts.app import elements
from pages.parts.app.shell import Scene
from pages.parts.figures import downloads, drawing
from pages.parts.figures.probe import GAINED, LOST
from perturb.core.colour import outline, tint, to_uint8
from perturb.core.quoting import markdown_text
from perturb.targets.quality import Overlap, overlap, true_labels

FALSE_NEGATIVE, FALSE_POSITIVE = LOST, GAINED
TRUE, PREDICTED, BOTH = (17, 119, 51), (136, 34, 85), (68, 119, 170)
Mask = npt.NDArray[np.bool_]
Colour = tuple[int, int, int]


def section(scene: Scene, label: str, prefix: str) -> None:
    """Ground truth, prediction, errors, intersection and union of a class, or why they are undefined."""
    try:
        truth = true_labels(scene.image, scene.segmenter.classes)
    except perturb.TargetError as problem:
        st.info(f"{problem} These samples have it: {', '.join(perturb.SAMPLES)}.", icon=":material/info:")
        return
    seen = overlap(scene.labels, truth, scene.segmenter.classes.index(label))
    if not seen.union.any():
        st.info(
            f"{markdown_text(label)} is neither in the ground truth of this image nor predicted, so errors and IoU are undefined. "
            "Choose another class.",
            icon=":material/info:",
        )
        return
    st.markdown(_sentence(seen, markdown_text(label)))
    masks: list[tuple[str, str, list[tuple[str, Mask, Colour]]]] = [
        ("Ground truth", f"Pixels whose true class is {markdown_text(label)}.", [("true", seen.truth, TRUE)]),
        (
            "Prediction",
            f"Pixels predicted as {markdown_text(label)}.",
            [("predicted", seen.prediction, PREDICTED)],
        ),
        (
            "Errors",
            "False negatives: true, but not predicted. False positives: predicted, but not true.",
            [("false negative", seen.missed, FALSE_NEGATIVE), ("false positive", seen.invented, FALSE_POSITIVE)],
        ),
        ("Intersection", "Both true and predicted.", [("in both", seen.intersection, BOTH)]),
        ("Union", "True, predicted, or both.", [("in either", seen.union, BOTH)]),
    ]
    for row in (masks[:3], masks[3:]):
        for column, (title, text, layers) in zip(st.columns(3, gap="medium"), row, strict=False):
            with column:
                st.markdown(f"**{title}**")
                elements.show(_painted(scene.image, layers), alt=f"{title} of {label}: {_words(layers)}")
                drawing.key([(colour, f"{int(mask.sum()):,} pixels {name}") for name, mask, colour in layers])
                st.caption(text)
    names = ("truth", "prediction", "missed", "invented", "intersection", "union")
    downloads.offer(
        "Download the masks (npz)",
        {name: getattr(seen, name) for name in names},
        name=f"{scene.image.name}-{label}-errors",
        key=f"{prefix}errors_npz",
        text="Six boolean masks of the image's size.",
    )


def _sentence(seen: Overlap, label: str) -> str:
    missed, invented = int(seen.missed.sum()), int(seen.invented.sum())
    return (
        f"IoU of {label}: **{seen.iou:.3f}**, {int(seen.intersection.sum()):,} pixels in both of "
        f"{int(seen.union.sum()):,} in either. {missed:,} pixels are false negatives and {invented:,} false positives."
    )


def _words(layers: list[tuple[str, Mask, Colour]]) -> str:
    return ", ".join(f"{int(mask.sum()):,} pixels {name}" for name, mask, _ in layers)


def _painted(image: perturb.Image, layers: list[tuple[str, Mask, Colour]]) -> npt.NDArray[np.uint8]:
    """Masks over the image, which is pale grey so that only the masks have colours."""
    grey = np.repeat(image.pixels.mean(2, keepdims=True), 3, axis=2) * np.float32(0.6) + np.float32(0.3)
    canvas = to_uint8(grey)
    for _, mask, colour in layers:
        canvas = outline(tint(canvas, mask, colour), mask, colour)
    return canvas
