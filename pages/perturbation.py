"""Perturbation: hide segments or random parts, one at a time or many together, and read what they are worth."""

import streamlit as st

from pages.parts import shell

shell.require_entrypoint()

from pages.parts import controls, experiment, probe, views  # noqa: E402 — the page may have to start over first
from perturb.methods import METHODS  # noqa: E402

PREFIX = "per_"
NAMES = ("feature-ablation", "lime", "kernel-shap", "rise")

st.title("Perturbation")
st.caption(
    "Hide segments that follow the picture, alone or in random company, and read what each is worth to the class: red "
    "segments are needed, blue ones stand in the way."
)
scene = shell.scene()
with st.container(border=True):
    target = controls.target_widgets(scene, PREFIX)
    name = st.segmented_control(
        "Method",
        NAMES,
        default=NAMES[0],
        required=True,
        key=f"{PREFIX}method",
        bind="query-params",
        help=" ".join(f"**{name}**: {METHODS[name].summary}" for name in NAMES),
    )
    method = METHODS[name if name in NAMES else NAMES[0]]
    st.caption(f"{method.summary} Source: {method.citation}.")
    settings = controls.method_settings(method.settings, PREFIX, scene)
result = experiment.show(experiment.plan(scene, target, method.name, settings, PREFIX))
if result is not None:
    probe.show(result, PREFIX)
    views.downloads(result, PREFIX)
