"""Faithfulness: which map deserves belief, measured beside controls that know nothing of the segmenter."""

import streamlit as st

from pages.parts.app import shell

shell.require_entrypoint()

from pages.parts.faithfulness import comparison, evaluations, sanity, twins
from pages.parts.figures import metric_cards
from pages.parts.widgets import controls

PREFIX = "fai_"
VIEWS = {
    "methods": "Several methods on one picture, under the same metrics, beside three maps that know nothing.",
    "sanity": "Does the map change when the segmenter forgets what it learned, and stay when only the seed changes?",
    "known-answers": "A segmenter with a planted shortcut: do the maps find what is known to decide? On streets of its own, "
    "whatever the sidebar shows.",
    "many-pictures": "A table of many pictures, classes and methods, from the command line: means with their intervals.",
    "cards": "What each metric measures, what it assumes, and how it can be gamed.",
}

st.title("Faithfulness")
st.caption(
    "A heat map can look right and be wrong. Here maps are tested: by hiding what they call important, against chance, "
    "against a segmenter that forgot everything, and against a planted truth."
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
