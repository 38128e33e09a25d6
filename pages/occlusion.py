"""Occlusion: the picture, what the segmenter sees, the heat map, the curves that test it, and a probe of any window."""

import streamlit as st

from pages.parts import shell

shell.require_entrypoint()

from pages.parts import controls, experiment, probe, studies, views  # noqa: E402 — the page may have to start over first
from perturb.methods.occlusion import Occlusion  # noqa: E402

PREFIX = "occ_"

st.title("Occlusion")
st.caption(
    "A window slides over the picture. Where it hides something the segmenter needs, the score of the class drops and the "
    "map turns red; where hiding helps, it turns blue."
)
scene = shell.scene()
with st.container(border=True):
    target = controls.target_widgets(scene, PREFIX)
    settings = controls.method_settings(Occlusion.settings, PREFIX, scene)
result = experiment.show(experiment.plan(scene, target, Occlusion.name, settings, PREFIX))
if result is not None:
    probe.show(result, PREFIX)
    views.downloads(result, PREFIX)
studies.section(scene, target, PREFIX)
