"""Home: what the lab answers, the samples, and questions that open a page with everything set."""

import streamlit as st

from pages.parts.app import shell

shell.require_entrypoint()

import perturb
from pages.parts.app.elements import show

QUESTIONS = (
    (
        "Does it need the wheels to see a car?",
        "Small grey windows over a parked car: where does the score drop most?",
        "occlusion",
        {"sample": "quiet-street", "occ_class": "car", "occ_size": "40", "occ_stride": "24"},
    ),
    (
        "What does black do that grey does not?",
        "Black windows over a street with two cars: which of them turn into cars? Then set the fill to grey and run again.",
        "occlusion",
        {"sample": "car-in-shadow", "occ_class": "car", "occ_fill": "black", "occ_map": "gained"},
    ),
    (
        "Who is behind the pole?",
        "A pedestrian, half hidden already: which half carries the decision?",
        "occlusion",
        {
            "sample": "pedestrian-behind-pole",
            "occ_class": "pedestrian",
            "occ_size": "32",
            "occ_stride": "16",
            "occ_fill": "blur",
        },
    ),
    (
        "Is a bicyclist a person or a bicycle?",
        "Blur parts of rider and bicycle in turn and see which the class rests on.",
        "occlusion",
        {
            "sample": "bicyclist-close",
            "occ_class": "bicyclist",
            "occ_size": "48",
            "occ_stride": "24",
            "occ_fill": "blur",
        },
    ),
    (
        "Is it the object, or what surrounds it?",
        "Silence a layer's channels inside the car, then outside it: foreground against background.",
        "inspect",
        {"sample": "car-in-shadow", "cam_method": "ablation-cam", "cam_class": "car", "cam_layer": "decoder3"},
    ),
    (
        "At what depth does the car appear?",
        "One class at an early, a middle and a late layer: how much of each map lies on the car?",
        "inspect",
        {"sample": "quiet-street", "ins_view": "layers", "ins_class": "car"},
    ),
    (
        "Where is it wrong, and how sure is it there?",
        "A white car before a sunlit wall: which of its pixels are missed, which invented? Click one for every class's score.",
        "inspect",
        {"sample": "bright-car-bright-wall", "ins_view": "errors", "ins_class": "car"},
    ),
    (
        "Do two methods tell the same story?",
        "Two explanations of one car side by side, under one zoom and one scale, and what differs between them.",
        "compare",
        {"sample": "quiet-street", "cmp_class": "car"},
    ),
    (
        "Would a heat map find a shortcut?",
        "A twin was taught to call a car a bicyclist where a small board stands. Which maps show the board?",
        "faithfulness",
        {"sample": "fog", "fai_view": "known-answers"},
    ),
)

st.title("What does a segmenter need to see?")
st.markdown(
    "A segmenter colours every pixel of a picture: road, car, pedestrian. This lab hides parts of the picture, runs it "
    "again, and shows **what changed**: a signed heat map, the pixels lost and gained, and curves that say whether the "
    "map deserves belief."
)
st.subheader("Start with a question")
places = [place for _ in range(0, len(QUESTIONS), 3) for place in st.columns(3)]
for column, (question, detail, page, parameters) in zip(places, QUESTIONS, strict=True):
    with column, st.container(border=True, height="stretch"):
        show(perturb.sample(parameters["sample"]).pixels, alt=perturb.SAMPLES[parameters["sample"]].title)
        st.markdown(f"**{question}**")
        st.caption(detail)
        st.page_link(f"pages/{page}.py", label="Show me", query_params=parameters, icon=":material/arrow_forward:")
st.subheader("Or with a picture")
with st.container(horizontal=True):
    for name, sample in perturb.SAMPLES.items():
        with st.container(width=150, gap="xsmall"):  # six beside each other on a desk, two on a phone
            show(perturb.sample(name).pixels, alt=sample.title)
            st.page_link("pages/occlusion.py", label=sample.title, query_params={"sample": name}, width="stretch")
            st.caption(f"{sample.sentence}  \n`{name}`")  # the name that the sidebar lists
st.caption(
    "Or bring your own photograph: choose *upload* or *camera* in the sidebar. The lab also works from Python and the "
    "command line, without a browser: `python -m perturb explain --help`."
)
