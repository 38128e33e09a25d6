"""Inspect: the network from its first layer to the class scores, and its errors against the ground truth."""

import streamlit as st

from pages.parts.app import shell

shell.require_entrypoint()

from pages.parts.figures import result_view, score_maps
from pages.parts.inspect import channel_table, errors_view, foreground, layer_maps, pixel
from pages.parts.runs import experiment
from perturb.methods.ablation_cam import AblationCam
from perturb.methods.registry import methods_on

PREFIX = "ins_"
EXPLAIN_PREFIX = "cam_"  # kept from the former page of Seg-Ablation-CAM, so that its links still work
VIEWS = {
    "explain": "A heat map computed inside the network, from the channels of a layer or from gradients.",
    "layers": "The same class explained at an early, a middle and a late layer, and the activation maps of a layer.",
    "scores": "Score maps of one class from the last layer.",
    "errors": "False negatives and false positives of one class, against the ground truth.",
}

st.title("Inspect")
st.caption(
    "Look inside the network, layer by layer, from the image to the class scores of each pixel. The methods of this page do "
    "not occlude the image."
)
view = st.segmented_control(
    "View",
    tuple(VIEWS),
    default="explain",
    required=True,
    key=f"{PREFIX}view",
    bind="query-params",
    help=" ".join(f"**{name}**: {text}" for name, text in VIEWS.items()),
)
view = view if view in VIEWS else "explain"
st.caption(VIEWS[view])
if view == "explain":
    asked, made = experiment.explain(methods_on("inspect"), EXPLAIN_PREFIX)
    layered = asked.method == AblationCam.name
    if layered and made is not None and made.result.method == asked.method:
        with experiment.rest(asked, "channels"):
            channel_table.show(made.result, EXPLAIN_PREFIX)
    if layered:
        foreground.section(asked, EXPLAIN_PREFIX)
    if made is not None:
        with experiment.rest(asked):
            result_view.downloads(made.result, made.curves, EXPLAIN_PREFIX)
else:
    scene = shell.scene()
    label = score_maps.class_widget(scene, PREFIX)
    if view == "layers":
        layer_maps.section(scene, label, PREFIX)
    else:
        (score_maps if view == "scores" else errors_view).section(scene, label, PREFIX)
        pixel.section(scene, score_maps.logits(scene), PREFIX)
