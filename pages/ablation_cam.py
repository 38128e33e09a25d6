"""Seg-Ablation-CAM: the channels of a layer, silenced one after the other, and what each was worth."""

import streamlit as st

from pages.parts import shell

shell.require_entrypoint()

from pages.parts import channels, controls, experiment, views  # noqa: E402 — the page may have to start over first
from perturb.methods.ablation_cam import AblationCam  # noqa: E402

PREFIX = "cam_"

st.title("Seg-Ablation-CAM")
st.caption(
    "Inside the network: each channel of a layer is silenced in turn, and the map adds the channels up by how much the "
    "score of the class drops without them. Compare channels silenced inside the region (foreground) and outside it."
)
scene = shell.scene()
with st.container(border=True):
    target = controls.target_widgets(scene, PREFIX)
    settings = controls.method_settings(AblationCam.settings, PREFIX, scene)
result = experiment.show(experiment.plan(scene, target, AblationCam.name, settings, PREFIX))
if result is not None:
    channels.show(result, PREFIX)
    views.downloads(result, PREFIX)
