"""Segmenters: what a network makes of the picture, how good it is, what it is made of, and how to bring your own."""

import streamlit as st

from pages.parts.app import shell

shell.require_entrypoint()

from pages.parts.segmenters import architecture, catalogue, onnx_form, prediction, recipes

PREFIX = "seg_"
VIEWS = {
    "this-picture": "What the segmenter in the sidebar makes of the picture there: classes, certainty, and where it is wrong.",
    "catalogue": "Every segmenter that can be explained here: what it is, how good, for whom, and under which terms.",
    "architecture": "What the segmenter in the sidebar is made of, part by part, with the shapes on this picture.",
    "bring-your-own": "Your own network on every page: as an ONNX file, as weights, or as code.",
}

st.title("Segmenters")
st.caption("A segmenter gives each pixel a score for every class; the class with the highest score colours the pixel.")
view = st.segmented_control(
    "View",
    tuple(VIEWS),
    default="this-picture",
    required=True,
    key=f"{PREFIX}view",
    bind="query-params",
    help=" ".join(f"**{name}**: {text}" for name, text in VIEWS.items()),
)
view = view if view in VIEWS else "this-picture"
st.caption(VIEWS[view])
if view == "this-picture":
    prediction.section(shell.scene(), PREFIX)
elif view == "catalogue":
    catalogue.section()
elif view == "architecture":
    architecture.section(shell.scene(), PREFIX)
else:
    onnx_form.section()
    recipes.section()
