"""The prediction on the image: classes, confidence, and errors if there is ground truth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import streamlit as st

import perturb
from pages.parts.app import elements
from pages.parts.app.shell import Scene
from pages.parts.figures import downloads, drawing, score_maps
from pages.parts.segmenters import truth
from perturb.core.colour import blend, colour_map, label_colours
from perturb.core.quoting import markdown_text
from perturb.targets.quality import Correctness, correctness
from perturb.targets.score_maps import fusion
from perturb.targets.target import shares

NAMED = 3
"""Number of classes named in the summary."""


def section(scene: Scene, prefix: str) -> None:
    """Prediction, confidence and errors side by side; below them the metrics by class."""
    seen, problem = None, ""
    try:
        seen = correctness(scene.labels, scene.image, scene.segmenter.classes)
    except perturb.TargetError as error:
        problem = str(error)
    sure = fusion(score_maps.logits(scene))
    st.markdown(_sentence(scene) + (f" {truth.sentence(seen)}" if seen is not None else ""))
    places = st.columns(3, gap="medium")
    with places[0]:
        _prediction(scene)
    with places[1]:
        _confidence(scene, sure, seen)
    with places[2]:
        st.markdown("**Errors**")
        if seen is None:
            st.info(
                f"{problem} The drawn streets among the samples have one.",
                icon=":material/info:",
            )
        else:
            truth.errors(scene, seen)
    if seen is not None:
        truth.section(seen, prefix)
    known = {} if seen is None else {"truth": seen.truth, "wrong": seen.wrong, "confusion": seen.matrix}
    downloads.offer(
        "Download the arrays (npz)",
        {"prediction": scene.labels, "confidence": sure, **known, "classes": np.array(scene.segmenter.classes)},
        name=f"{scene.image.name}-{scene.segmenter.name}",
        key=f"{prefix}arrays",
        text="Class index and confidence of each pixel, the class names, and the comparison with the ground truth.",
    )


def _sentence(scene: Scene) -> str:
    found = shares(scene.labels, scene.segmenter.classes)
    named = [f"{elements.percent(share)} {markdown_text(name)}" for name, share in found[:NAMED]]
    listed = f"{', '.join(named[:-1])} and {named[-1]}" if len(named) > 1 else named[0]
    rest = f", and {len(found) - NAMED} more classes" if len(found) > NAMED else ""
    return f"**{markdown_text(scene.segmenter.name)}** predicts on {markdown_text(scene.image.name)}: {listed}{rest}."


def _prediction(scene: Scene) -> None:
    image, segmenter = scene.image, scene.segmenter
    st.markdown("**Prediction**")
    elements.show(
        blend(image.pixels, label_colours(scene.labels, segmenter.palette), 0.7),
        alt=f"Segmentation of {image.name} by {segmenter.name}",
    )
    drawing.legend(scene.labels, segmenter.classes, segmenter.palette, "")
    st.caption(f"One forward pass: {elements.number(scene.seconds)} s at {image.width} × {image.height} px.")


def _confidence(scene: Scene, sure: npt.NDArray[np.float32], seen: Correctness | None) -> None:
    low, high = float(sure.min()), float(sure.max())
    st.markdown(
        "**Confidence**",
        help="The softmax probability of the predicted class. It shows how far this class is ahead of the others, not how often it "
        "is correct.",
    )
    elements.show(
        colour_map(sure, limit=1.0, signed=False),
        alt=f"Confidence of {scene.segmenter.name} on {scene.image.name}, from {low:.2f} to {high:.2f}",
    )
    drawing.colour_bar(1.0, "probability of the predicted class", signed=False, used=(low, high))
    words = (
        f"Mean **{sure.mean():.3f}**; at {elements.percent(float((sure < score_maps.UNSURE).mean()))} of the pixels "
    )
    words += f"below {score_maps.UNSURE:g}."
    right, wrong = (None, None) if seen is None else seen.means(sure)
    if right is not None and wrong is not None:
        words += f" Mean where the prediction is correct: {right:.3f}, where it is wrong: {wrong:.3f}."
    st.caption(words)
