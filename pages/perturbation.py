"""Perturbation: hide segments or random parts, alone or several at once, and attribute the score to them."""

import streamlit as st

from pages.parts.app import shell

shell.require_entrypoint()

from pages.parts.figures import probe, result_view
from pages.parts.runs import experiment
from perturb.methods.registry import methods_on

PREFIX = "per_"

st.title("Perturbation")
st.caption(
    "Hide segments of the image, alone or in random combinations, and attribute the score of the class to them. Red "
    "segments support the class, blue ones speak against it."
)
asked, made = experiment.explain(methods_on("perturbation"), PREFIX)
if made is not None:
    with experiment.rest(asked):
        probe.show(made.result, PREFIX)
        result_view.downloads(made.result, made.curves, PREFIX)
