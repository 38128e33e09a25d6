"""Score maps of one class from the last layer: score, probability, and scores averaged over segments."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import streamlit as st

import perturb
from pages.parts.app import elements
from pages.parts.app.shell import Scene
from pages.parts.figures import downloads, drawing
from pages.parts.widgets import controls
from perturb.core.colour import colour_map, limit_of
from perturb.core.quoting import markdown_text
from perturb.engine.runner import clean_logits
from perturb.targets.score_maps import ScoreMaps, score_maps, segments_of

MAPS = {
    "score": ("Score map", "The logit of the class at each pixel. Red is positive, blue is negative."),
    "probability": ("Probability map", "The softmax probability of the class."),
    "fusion": (
        "Fusion map",
        "The probability of the predicted class at each pixel. It does not depend on the class chosen above.",
    ),
    "segmented": (
        "Segmented score map",
        "Segments of the image at several scales, laid down by mean score, highest first. Each pixel shows the mean score of "
        "the segment that covers it.",
    ),
    "guided": (
        "Guided segmented score map",
        "The same, with the predicted regions of all classes as further segments.",
    ),
    "similarity": (
        "Similarity map",
        "The mean score of the class in each predicted region. It shows which other regions resemble the class.",
    ),
}
SHARES = ("probability", "fusion")
UNSURE = 0.5


def class_widget(scene: Scene, prefix: str) -> str:
    """The choice of the class."""
    classes = scene.segmenter.classes
    return str(
        st.selectbox(
            "Class",
            classes,
            index=classes.index(controls.default_class(scene)),
            key=f"{prefix}class",
            bind="query-params",
            width=320,
            help="The class whose scores, layers and errors are shown.",
        )
    )


def logits(scene: Scene) -> npt.NDArray[np.float32]:
    """The clean image's logits, float32 `(K, H, W)`; cached."""
    return _logits(scene.segmenter.name, scene.segmenter.digest, scene.image.digest, scene.segmenter, scene.image)


# Keyed by digests: Streamlit hashes only a sample of a large array, so two images could be confused.
@st.cache_resource(max_entries=4, show_spinner="Segmenting …")
def _logits(
    name: str,  # noqa: ARG001 — part of the cache key
    weights: str,  # noqa: ARG001 — part of the cache key
    image: str,  # noqa: ARG001 — part of the cache key
    _segmenter: perturb.Segmenter,
    _image: perturb.Image,
) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(clean_logits(_image, _segmenter).float().cpu().numpy())


@st.cache_resource(max_entries=8, show_spinner="Segmenting the image into superpixels …")
def _segments(image: str, _image: perturb.Image) -> npt.NDArray[np.int32]:  # noqa: ARG001 — part of the cache key
    return segments_of(_image)


def section(scene: Scene, label: str, prefix: str) -> None:
    """All score maps of a class with their colour bars, and a summary."""
    classes = scene.segmenter.classes
    index = classes.index(label)
    parts = _segments(scene.image.digest, scene.image)
    maps = score_maps(logits(scene), index, parts)
    region = scene.labels == index
    st.markdown(_sentence(maps, markdown_text(label), region))
    limit = limit_of(maps.score)
    for names in (tuple(MAPS)[:3], tuple(MAPS)[3:]):
        for column, name in zip(st.columns(3, gap="medium"), names, strict=True):
            with column:
                _show_map(getattr(maps, name), name, label, region, limit)
    counts = ", ".join(f"{layer.max() + 1:,}" for layer in parts)
    st.caption(
        f"Outlined: the pixels predicted as {markdown_text(label)}. The maps in logits share one scale; each bar is striped outside its map's own "
        f"range. Segments: Felzenszwalb at {len(parts)} scales ({counts} of them). All maps are computed from the "
        "final scores. Source: Schorr et al. 2021 (Neuroscope)."
    )
    downloads.offer(
        "Download the maps (npz)",
        {**maps.as_dict(), "segments": parts},
        name=f"{scene.image.name}-{label}-scores",
        key=f"{prefix}scores_npz",
        text="The six maps, float32, one value for each image pixel, and the segment indices.",
    )


def _sentence(maps: ScoreMaps, label: str, region: npt.NDArray[np.bool_]) -> str:
    sure = (
        f"The predicted class has a mean probability of **{maps.fusion.mean():.3f}**; at "
        f"{elements.percent(maps.unsure(UNSURE))} of the pixels it is below {UNSURE:g}."
    )
    inside, outside = maps.means(region)
    if inside is None or outside is None:
        where = "nowhere" if inside is None else "everywhere"
        only = outside if inside is None else inside
        return f"{sure} {label} is predicted {where}; its mean score is {elements.number(only or 0.0, signed=True)}."
    return (
        f"{sure} The mean score of {label} is **{elements.number(inside, signed=True)}** where it is predicted and "
        f"**{elements.number(outside, signed=True)}** elsewhere."
    )


def _show_map(
    values: npt.NDArray[np.float32], name: str, label: str, region: npt.NDArray[np.bool_], limit: float
) -> None:
    title, text = MAPS[name]
    signed = name not in SHARES
    limit = limit if signed else 1.0
    low, high = float(values.min()), float(values.max())
    unit = f"logit of {label}" if signed else "probability" + (f" of {label}" if name == "probability" else "")
    st.markdown(f"**{title}**")
    canvas = drawing.framed(colour_map(values, limit=limit, signed=signed), region)
    elements.show(canvas, alt=f"{title} of {label}, from {low:.3g} to {high:.3g} ({unit})")
    drawing.colour_bar(limit, unit, signed=signed, used=(low, high))
    st.caption(text)
