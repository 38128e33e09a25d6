"""How to bring a network: requirements of an ONNX file, export recipes, own weights and own code."""

from __future__ import annotations

import inspect
import re
from functools import cache
from pathlib import Path

import streamlit as st

import perturb
from perturb.segmenters.own_weights import ARCHITECTURES

EXPORT = Path(__file__).parents[3] / "docs" / "export.md"
FRAMEWORKS = ("PyTorch", "Keras 3", "segmentation-models-pytorch")


@cache
def chapters() -> dict[str, str]:
    """The chapters of `docs/export.md` by their headings; its recipes are run by the tests."""
    text = re.split(r"^## ", EXPORT.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {title.strip(): body.strip("\n") for title, _, body in (part.partition("\n") for part in text[1:])}


def obstacles() -> list[str]:
    """The rows of the last chapter's table as list items: three columns are too wide for a phone."""
    rows = [
        line.strip("|").split("|") for line in chapters()["What gets in the way"].splitlines() if line.startswith("|")
    ]
    return [f"- *{said.strip()}*: {why.strip()}; remedy: {mend.strip()}." for said, why, mend in rows[2:]]


def section() -> None:
    """Requirements, then folded recipes for each framework and for weights and code."""
    st.subheader("How to make that file")
    st.markdown(
        "- **Input:** colour images, `(N, 3, H, W)` or `(N, H, W, 3)`, of any size or of a fixed size.\n"
        "- **Output:** a score for every class and pixel, as logits or probabilities. No `argmax` at the end: class indices "
        "have no score to explain.\n"
        "- **Scale:** the graph does not contain the input scaling (ImageNet's mean and standard deviation, [0, 1], [−1, 1] or "
        "[0, 255]). Use the one of the training; with a wrong one the segmentation is nonsense.\n"
        "- **Class names:** in the order of the channels, entered above or stored in the file.\n"
        "- **One file:** embedded weights, standard operators, no loops, no random numbers."
    )
    known = chapters()
    for name in FRAMEWORKS:
        with st.expander(f"Export from {name}", icon=":material/code:"):
            st.markdown(known[name])
    with st.expander("Store scale and class names in the file", icon=":material/label:"):
        st.markdown(known["Let the file say the rest"])
    with st.expander("What gets in the way", icon=":material/build:"):
        st.markdown("\n".join(obstacles()))
    st.subheader("Without ONNX: Python and the command line")
    st.caption(
        "Weights and code are loaded on the machine that runs the lab, not through the browser. Unlike ONNX files, they support "
        "gradient methods and the parameter randomization test."
    )
    with st.expander("Your own weights in a known architecture", icon=":material/database:"):
        st.markdown(
            f"A safetensors file with exactly the tensors of one of these architectures, for any classes: "
            f"{', '.join(f'`{name}`' for name in ARCHITECTURES)}. Missing or mismatched tensors are reported by name."
        )
        st.code(
            "python -m perturb explain street.jpg --segmenter deeplabv3-resnet50 --weights mine.safetensors \\\n"
            "    --classes road,car,rest --target car --out out",
            language="bash",
        )
        st.code('perturb.load_weights("deeplabv3-resnet50", "mine.safetensors", ["road", "car", "rest"])')
    with st.expander("Your own code, in five lines", icon=":material/terminal:"):
        st.markdown(inspect.cleandoc(perturb.Segmenter.__doc__ or "").partition("\nAttributes:")[0])
