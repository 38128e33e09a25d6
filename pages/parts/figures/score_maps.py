"""What the last layer says of one class: score, certainty, and the score averaged over parts of the picture."""

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
    "score": ("Score map", "The logit of the class, pixel by pixel: red is above zero, blue below."),
    "probability": ("Probability map", "The logit against those of all other classes, as a probability."),
    "fusion": ("Fusion map", "The probability of whatever class is chosen; 1 is certain. The same for every class."),
    "segmented": (
        "Segmented score map",
        "Parts of the picture at several scales, the part with the highest mean score first; each pixel has the mean of "
        "the part that covered it.",
    ),
    "guided": ("Guided segmented score map", "The same, with the predicted regions of all classes among the parts."),
    "similarity": (
        "Similarity map",
        "The mean score of the class in each predicted region: which other regions look like it to the segmenter?",
    ),
}
SHARES = ("probability", "fusion")
UNSURE = 0.5


def class_widget(scene: Scene, prefix: str) -> str:
    """Which class is looked at."""
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
    """The clean picture's logits, float32 `(K, H, W)`; remembered."""
    return _logits(scene.segmenter.name, scene.segmenter.digest, scene.image.digest, scene.segmenter, scene.image)


# Keyed by digests: Streamlit would hash a large array from a sample of it and take two pictures for one.
@st.cache_resource(max_entries=4, show_spinner="Segmenting …")
def _logits(
    name: str,  # noqa: ARG001 — the key
    weights: str,  # noqa: ARG001 — the key
    picture: str,  # noqa: ARG001 — the key
    _segmenter: perturb.Segmenter,
    _image: perturb.Image,
) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(clean_logits(_image, _segmenter).float().cpu().numpy())


@st.cache_resource(max_entries=8, show_spinner="Dividing the picture into parts …")
def _segments(picture: str, _image: perturb.Image) -> npt.NDArray[np.int32]:  # noqa: ARG001 — the key
    return segments_of(_image)


def section(scene: Scene, label: str, prefix: str) -> None:
    """All score maps of a class, each with its bar, and what they say in a sentence."""
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
                _picture(getattr(maps, name), name, label, region, limit)
    counts = ", ".join(f"{layer.max() + 1:,}" for layer in parts)
    st.caption(
        f"Outlined: the pixels predicted as {markdown_text(label)}. The maps in logits share one scale; each bar is striped beyond its map's own "
        f"range. Parts: Felzenszwalb segments at {len(parts)} scales ({counts} of them). All maps come from the final "
        "scores, whatever layer is chosen elsewhere. Source: Schorr et al. 2021 (Neuroscope)."
    )
    downloads.offer(
        "Download the maps (npz)",
        {**maps.as_dict(), "segments": parts},
        name=f"{scene.image.name}-{label}-scores",
        key=f"{prefix}scores_npz",
        text="The raw arrays of the six maps, float32, a value for each pixel of the picture, and the parts' numbers.",
    )


def _sentence(maps: ScoreMaps, label: str, region: npt.NDArray[np.bool_]) -> str:
    sure = (
        f"The segmenter gives the class it chooses a probability of **{maps.fusion.mean():.3f}** on average; at "
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


def _picture(
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
