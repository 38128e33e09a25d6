"""Seg-Ablation-CAM: the channels of a layer, silenced one after the other, and what each was worth."""

import streamlit as st

from pages.parts import shell

shell.require_entrypoint()

from pages.parts import channels, experiment, grounds, views  # noqa: E402 — the page may have to start over first

PREFIX = "cam_"

st.title("Seg-Ablation-CAM")
st.caption(
    "Inside the network: each channel of a layer is silenced in turn, and the map adds the channels up by how much the "
    "score of the class drops without them. Compare channels silenced inside the region (foreground) and outside it."
)
asked, result = experiment.explain(("ablation-cam",), PREFIX)
if result is not None:
    channels.show(result, PREFIX)
grounds.section(asked, PREFIX)
if result is not None:
    views.downloads(result, PREFIX)
