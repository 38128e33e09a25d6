"""Perturbation: hide segments or random parts, one at a time or many together, and read what they are worth."""

import streamlit as st

from pages.parts.app import shell

shell.require_entrypoint()

from pages.parts.figures import probe, result_view
from pages.parts.runs import experiment
from perturb.methods.registry import methods_on

PREFIX = "per_"

st.title("Perturbation")
st.caption(
    "Hide segments that follow the picture, alone or in random company, and read what each is worth to the class: red "
    "segments are needed, blue ones stand in the way."
)
asked, made = experiment.explain(methods_on("perturbation"), PREFIX)
if made is not None:
    with experiment.rest(asked):
        probe.show(made.result, PREFIX)
        result_view.downloads(made.result, made.curves, PREFIX)
