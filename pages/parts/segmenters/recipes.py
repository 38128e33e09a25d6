"""How to bring a network: what an ONNX file must be, recipes that export one, own weights and own code."""

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
    """The rows of the last chapter's table, as points of a list: three columns are too wide for a phone."""
    rows = [
        line.strip("|").split("|") for line in chapters()["What gets in the way"].splitlines() if line.startswith("|")
    ]
    return [f"- *{said.strip()}*: {why.strip()}; remedy: {mend.strip()}." for said, why, mend in rows[2:]]


def section() -> None:
    """Advice in short, then a recipe for each framework and for what is no ONNX file, folded."""
    st.subheader("How to make that file")
    st.markdown(
        "- **Input:** colour pictures, `(N, 3, H, W)` or `(N, H, W, 3)`, of any size or of one.\n"
        "- **Output:** a score for every class and pixel, as logits or probabilities. No `argmax` at the end: a map of class "
        "numbers holds nothing that could be watched.\n"
        "- **Scale:** how the network wants its pictures (ImageNet's mean and deviation, [0, 1], [−1, 1] or [0, 255]) stands in "
        "no graph. Take the one of the training; a wrong one makes nonsense of the segmentation.\n"
        "- **Class names:** in the order of the channels, typed above or carried by the file.\n"
        "- **One file:** weights inside, standard operators, no loops, no random numbers, nothing else that runs."
    )
    known = chapters()
    for name in FRAMEWORKS:
        with st.expander(f"Export from {name}", icon=":material/code:"):
            st.markdown(known[name])
    with st.expander("Let the file carry its scale and names", icon=":material/label:"):
        st.markdown(known["Let the file say the rest"])
    with st.expander("What gets in the way", icon=":material/build:"):
        st.markdown("\n".join(obstacles()))
    st.subheader("Without ONNX, from Python and the command line")
    st.caption(
        "Weights and code are brought where the lab runs, not through the browser. They allow what ONNX files do not: methods "
        "that use gradients, and the test with weights drawn anew."
    )
    with st.expander("Your own weights in a known architecture", icon=":material/database:"):
        st.markdown(
            f"A safetensors file with exactly the tensors of one of these architectures, for any classes: "
            f"{', '.join(f'`{name}`' for name in ARCHITECTURES)}. What is missing or does not fit is named."
        )
        st.code(
            "python -m perturb explain street.jpg --segmenter deeplabv3-resnet50 --weights mine.safetensors \\\n"
            "    --classes road,car,rest --target car --out out",
            language="bash",
        )
        st.code('perturb.load_weights("deeplabv3-resnet50", "mine.safetensors", ["road", "car", "rest"])')
    with st.expander("Your own code, in five lines", icon=":material/terminal:"):
        st.markdown(inspect.cleandoc(perturb.Segmenter.__doc__ or "").partition("\nAttributes:")[0])
