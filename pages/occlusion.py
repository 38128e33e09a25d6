"""Occlusion: the image and its segmentation, the heat map, its curves, and a probe of single windows."""

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
    "A window slides over the image and hides what lies below it. The map is red where the score of the class drops, and "
    "blue where it rises."
)
asked, made = experiment.explain(methods_on("occlusion"), PREFIX)
if made is not None:
    with experiment.rest(asked):
        probe.show(made.result, PREFIX)
        result_view.downloads(made.result, made.curves, PREFIX)
studies.section(asked.scene, asked.target, PREFIX)
