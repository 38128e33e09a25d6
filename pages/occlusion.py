"""Occlusion: the picture, what the segmenter sees, the heat map, the curves that test it, and a probe of any window."""

import streamlit as st

from pages.parts.app import shell

shell.require_entrypoint()

from pages.parts.figures import probe, result_view
from pages.parts.occlusion import studies
from pages.parts.runs import experiment
from perturb.methods.registry import methods_on

PREFIX = "occ_"

st.title("Occlusion")
st.caption(
    "A window slides over the picture. Where it hides something the segmenter needs, the score of the class drops and the "
    "map turns red; where hiding helps, it turns blue."
)
asked, made = experiment.explain(methods_on("occlusion"), PREFIX)
if made is not None:
    with experiment.rest(asked):
        probe.show(made.result, PREFIX)
        result_view.downloads(made.result, made.curves, PREFIX)
studies.section(asked.scene, asked.target, PREFIX)
