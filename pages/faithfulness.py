"""Faithfulness: evaluate attribution maps with metrics, uninformative baselines and sanity checks."""

import streamlit as st

from pages.parts.app import shell

shell.require_entrypoint()

from pages.parts.faithfulness import comparison, evaluations, sanity, twins
from pages.parts.figures import metric_cards
from pages.parts.widgets import controls

PREFIX = "fai_"
VIEWS = {
    "methods": "Several methods on one image, under the same metrics, next to three uninformative baselines.",
    "sanity": "Parameter randomization test: does the map change when the weights are randomized? And is it stable across seeds?",
    "known-answers": "Ground truth by construction: a segmenter with a planted shortcut. Do the maps find the cue that is known to "
    "drive its prediction? This view uses drawn streets of its own, not the image in the sidebar.",
    "many-pictures": "An evaluation over many images, classes and methods, made on the command line: means with confidence intervals.",
    "cards": "What each metric measures, what it assumes, and how it can be gamed.",
}

st.title("Faithfulness")
st.caption(
    "An attribution map can look plausible and still be wrong. This page tests maps: it hides the pixels they rank highest, "
    "compares them with uninformative baselines, randomizes the segmenter's weights, and uses a segmenter whose decisive "
    "cue is known."
)
view = st.segmented_control(
    "View",
    tuple(VIEWS),
    default="methods",
    required=True,
    key=f"{PREFIX}view",
    bind="query-params",
    help=" ".join(f"**{name}**: {text}" for name, text in VIEWS.items()),
)
view = view if view in VIEWS else "methods"
st.caption(VIEWS[view])
if view in ("methods", "sanity"):
    scene = shell.scene()
    with st.container(border=True):
        target = controls.target_widgets(scene, PREFIX)
        if view == "methods":
            chosen = comparison.methods_widget(PREFIX)
        else:
            method, stages = sanity.widgets(PREFIX)
    if view == "methods":
        comparison.section(scene, target, chosen, PREFIX)
    else:
        sanity.section(scene, target, method, stages, PREFIX)
elif view == "known-answers":
    twins.section()
elif view == "many-pictures":
    evaluations.section(PREFIX)
else:
    metric_cards.section()
