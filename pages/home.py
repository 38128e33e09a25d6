"""Home: example questions that open a page with all settings chosen, and the sample images."""

import streamlit as st

from pages.parts.app import shell

shell.require_entrypoint()

import perturb
from pages.parts.app.elements import show

QUESTIONS = (
    (
        "Does it need the wheels to see a car?",
        "Slide small grey windows over a parked car. Where does the score drop most?",
        "occlusion",
        {"sample": "quiet-street", "occ_class": "car", "occ_size": "40", "occ_stride": "24"},
    ),
    (
        "What does black do that grey does not?",
        "Slide black windows over a street with two cars. Which windows are segmented as cars? Set the fill to grey and compare.",
        "occlusion",
        {"sample": "car-in-shadow", "occ_class": "car", "occ_fill": "black", "occ_map": "gained"},
    ),
    (
        "Who is behind the pole?",
        "A pole already hides part of a pedestrian. Which half does the prediction depend on?",
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
        "Blur parts of the rider and of the bicycle. Which part does the class depend on?",
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
        "Set the channels of a layer to zero inside the car, then outside it. Which lowers the score more?",
        "inspect",
        {"sample": "car-in-shadow", "cam_method": "ablation-cam", "cam_class": "car", "cam_layer": "decoder3"},
    ),
    (
        "At what depth does the car appear?",
        "Explain one class at an early, a middle and a late layer. How much of each map lies on the car?",
        "inspect",
        {"sample": "quiet-street", "ins_view": "layers", "ins_class": "car"},
    ),
    (
        "Where is it wrong, and how sure is it there?",
        "A white car in front of a sunlit wall. Which pixels are missed, which are false positives? Click a pixel for its class scores.",
        "inspect",
        {"sample": "bright-car-bright-wall", "ins_view": "errors", "ins_class": "car"},
    ),
    (
        "Do two methods agree?",
        "Two explanations of one car side by side, with a shared zoom and colour scale, and their difference.",
        "compare",
        {"sample": "quiet-street", "cmp_class": "car"},
    ),
    (
        "Do heat maps reveal a shortcut?",
        "One segmenter was trained to call a car a bicyclist when a small board is present. Which maps highlight the board?",
        "faithfulness",
        {"sample": "fog", "fai_view": "known-answers"},
    ),
)

st.title("What does a segmenter need to see?")
st.markdown(
    "A semantic segmenter assigns every pixel of an image a class, such as road, car or pedestrian. This lab perturbs parts "
    "of the image, runs the segmenter again, and shows **what changed**: a signed attribution map, the pixels lost and "
    "gained, and deletion and insertion curves that test the map."
)
st.subheader("Start with a question")
columns = [column for _ in range(0, len(QUESTIONS), 3) for column in st.columns(3)]
for column, (question, detail, page, parameters) in zip(columns, QUESTIONS, strict=True):
    with column, st.container(border=True, height="stretch"):
        show(perturb.sample(parameters["sample"]).pixels, alt=perturb.SAMPLES[parameters["sample"]].title)
        st.markdown(f"**{question}**")
        st.caption(detail)
        st.page_link(f"pages/{page}.py", label="Open", query_params=parameters, icon=":material/arrow_forward:")
st.subheader("Or start with an image")
with st.container(horizontal=True):
    for name, sample in perturb.SAMPLES.items():
        with st.container(width=150, gap="xsmall"):  # six side by side on a desktop, two on a phone
            show(perturb.sample(name).pixels, alt=sample.title)
            st.page_link("pages/occlusion.py", label=sample.title, query_params={"sample": name}, width="stretch")
            st.caption(f"{sample.sentence}  \n`{name}`")  # the name in the sidebar's list
st.caption(
    "To use your own photograph, choose *upload* or *camera* in the sidebar. The lab also works from Python and on the "
    "command line: `python -m perturb explain --help`."
)
