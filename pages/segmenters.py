"""Segmenters: prediction and quality on the image, the catalogue, the architecture, and how to bring your own."""

import streamlit as st

from pages.parts.app import shell

shell.require_entrypoint()

from pages.parts.segmenters import architecture, catalogue, onnx_form, prediction, recipes

PREFIX = "seg_"
VIEWS = {
    "this-picture": "The prediction of the segmenter in the sidebar on the image there: classes, confidence and errors.",
    "catalogue": "Every available segmenter with its purpose, quality and licence.",
    "architecture": "The modules of the segmenter in the sidebar, with their output shapes on this image.",
    "bring-your-own": "Use your own network on every page: as an ONNX file, as weights, or as code.",
}

st.title("Segmenters")
st.caption(
    "A segmenter computes a score for every class at each pixel. The class with the highest score is the prediction."
)
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
