"""What stands around every page: navigation, the picture and the segmenter in the sidebar, and the visit's state.

The words in the address bar are the words of the command line: samples, classes, fills and regions go by their names.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import streamlit as st

import perturb
from pages.parts.figures import show
from perturb.engine import clean_logits
from perturb.samples import DEFAULT_SAMPLE, EVERY, offered
from perturb.segmenters import DEFAULT
from perturb.segmenters.onnx import OnnxSegmenter

SOURCES = ("sample", "upload", "camera")
TYPES = ("png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff", "gif")


def pages() -> list[Any]:
    """The pages, in the order of the navigation; each page's address is its file name."""
    return [
        st.Page("pages/home.py", title="Home", icon=":material/home:", default=True, help="What the lab answers."),
        st.Page(
            "pages/occlusion.py",
            title="Occlusion",
            icon=":material/select_all:",
            url_path="occlusion",
            help="Slide a window over the picture and see what its absence changes.",
        ),
        st.Page(
            "pages/perturbation.py",
            title="Perturbation",
            icon=":material/grid_view:",
            url_path="perturbation",
            help="Hide segments or random parts: feature ablation, LIME, KernelSHAP, RISE.",
        ),
        st.Page(
            "pages/ablation_cam.py",
            title="Ablation CAM",
            icon=":material/layers:",
            url_path="ablation_cam",
            help="Silence the channels of a layer, one after the other.",
        ),
        st.Page(
            "pages/faithfulness.py",
            title="Faithfulness",
            icon=":material/balance:",
            url_path="faithfulness",
            help="Which map deserves belief: metrics with controls, sanity checks, known answers, many pictures.",
        ),
        st.Page(
            "pages/segmenters.py",
            title="Segmenters",
            icon=":material/neurology:",
            url_path="segmenters",
            help="What can be explained: bring your own network as an ONNX file.",
        ),
    ]


def require_entrypoint() -> None:
    """The first line of every page: make sure that this run has what `streamlit_app.py` puts around a page.

    Until `st.navigation` has run once in a process, a first visit to a page's address runs that file alone, without
    the entry point. Registering the pages and running again puts it right. In a session that has been through it, the
    page makes its surroundings itself: another run would lose the press of a button.
    """
    if st.session_state.pop("shell_ready", False):
        return
    page = st.navigation(pages())
    if "page" not in st.session_state:
        st.rerun()
    enter(page.url_path)
    del st.session_state["shell_ready"]
    sidebar()


def enter(page: str) -> None:
    """Note which page this run shows, and whether the visitor has just come to it."""
    state = st.session_state
    state["shell_ready"] = True
    state["just_entered"] = state.get("page") != page
    state["page"] = page


@dataclass(frozen=True, eq=False)
class Scene:
    """What the sidebar chose, and what the segmenter makes of it.

    Attributes:
        image, segmenter: the choice.
        labels: the clean segmentation, int64 `(H, W)`.
        seconds: of one forward pass at this size, measured.
    """

    image: perturb.Image
    segmenter: perturb.Segmenter
    labels: npt.NDArray[np.int64]
    seconds: float


def scene() -> Scene:
    """The current picture and segmenter; the sidebar has chosen them before the page runs."""
    image: perturb.Image = st.session_state["image"]
    segmenter = _current()
    return Scene(image, segmenter, *segment(segmenter, image))


def _current() -> perturb.Segmenter:
    own, name = own_segmenter(), st.session_state["segmenter_name"]
    return own if own is not None and own.name == name else load(name)


def segment(segmenter: perturb.Segmenter, image: perturb.Image) -> tuple[npt.NDArray[np.int64], float]:
    """The clean segmentation, int64 `(H, W)`, and the seconds of one forward pass; remembered."""
    return _segment(segmenter.name, segmenter.digest, image.digest, segmenter, image)


def own_segmenter() -> OnnxSegmenter | None:
    """The network that this visitor brought, if any."""
    own: OnnxSegmenter | None = st.session_state.get("own_segmenter")
    return own


def use_own(segmenter: OnnxSegmenter) -> None:
    """Make a visitor's network the one that is explained; to be called as a widget's callback. One is kept a visit."""
    state = st.session_state
    state["own_segmenter"], state["segmenter"], state["model_is_new"] = segmenter, segmenter.name, True


def _leave_link() -> None:
    """Whoever chooses another segmenter no longer waits for the one that a link asked for."""
    st.query_params.pop("model", None)


def _segmenters() -> tuple[str, ...]:
    own = own_segmenter()
    return (*perturb.SEGMENTERS, *(() if own is None else (own.name,)))


# The largest takes a quarter of a gigabyte; a page of twins shows two, and one more is the visitor's own choice.
@st.cache_resource(max_entries=3, show_spinner="Loading the segmenter …")
def load(name: str) -> perturb.Segmenter:
    """A segmenter, loaded once and shared by all visitors."""
    return perturb.load_segmenter(name)


# Keyed by digests: Streamlit would hash a large array from a sample of it and take two pictures for one.
@st.cache_resource(max_entries=64, show_spinner="Segmenting …")
def _segment(
    name: str,  # noqa: ARG001 — the key
    weights: str,  # noqa: ARG001 — the key
    picture: str,  # noqa: ARG001 — the key
    _segmenter: perturb.Segmenter,
    _image: perturb.Image,
) -> tuple[npt.NDArray[np.int64], float]:
    clean_logits(_image, _segmenter)  # the first pass of a size pays for allocations
    began = time.perf_counter()
    logits = clean_logits(_image, _segmenter)
    return logits.argmax(0).cpu().numpy(), time.perf_counter() - began


def sidebar() -> None:
    """Choose the picture and the segmenter; leaves `image` and `segmenter_name` in the session's state."""
    # Streamlit leaves a hand's breadth of empty page above the title, and has a Stop button of its own in the header,
    # which also ends what must not end. A run that can be stopped has one beside its bar.
    st.html(
        "<style>[data-testid=stMainBlockContainer] {padding-top: 3.2rem} "
        "[data-testid=stStatusWidget] button {display: none} "
        "[class*='_stale'] {opacity: .45; filter: grayscale(.5)}</style>"
    )
    state = st.session_state
    wanted = st.query_params.get("photo", "")
    if state["just_entered"]:
        _follow_address()
    with st.sidebar:
        picture = st.container()  # stands above the segmenter, but which samples there are depends on its classes
        chosen_name = st.selectbox(
            "Segmenter",
            _segmenters(),
            index=_segmenters().index(DEFAULT),
            key="segmenter",
            on_change=_leave_link,
            bind="query-params",
            help="The network that colours every pixel, and whose needs are explained.",
        )
        _describe_segmenter(chosen_name)
        state["segmenter_name"] = _usable(chosen_name)
    with picture:
        samples = offered(_current().classes)
        # Photographs come first where there are any for the segmenter.
        first = DEFAULT_SAMPLE if len(samples) == len(perturb.SAMPLES) else next(iter(samples))
        source = st.segmented_control(
            "Picture",
            SOURCES,
            default=SOURCES[0],
            required=True,
            key="source",
            bind="query-params",
            help="A drawn street with exact ground truth, a photograph of your own, or your device's camera. "
            "Photographs stay in the server's memory and are never written to its disk.",
        )
        if source == "upload":
            file = st.file_uploader(
                "Your photograph", type=TYPES, max_upload_size=50, key="upload", help="Up to 50 MB; scaled to 640 px."
            )
            _take(file)
        elif source == "camera":
            _take(st.camera_input("Your camera", key="camera"))
        photo = state.get("photo") if source != "sample" else None
        if source == "sample" or photo is None:
            name = st.selectbox(
                "Sample",
                tuple(samples),
                index=list(samples).index(first),
                key="sample",
                bind="query-params",
                disabled=source != "sample",
                help="Pictures, each chosen for a question. The same names work on the command line.",
            )
            image = perturb.sample(name if name in samples else first)
            chosen = EVERY[image.name]
            caption = f"**{chosen.title}.** {chosen.sentence}"
            if source != "sample":
                st.info(_invitation(wanted), icon=":material/upload:")
        else:
            image, caption = photo, " ".join(photo.notes)
            if wanted and wanted != image.digest:
                st.warning(_invitation(wanted), icon=":material/link:")
        show(image.pixels, alt=f"The picture to explain: {image.name}", caption=caption or image.name)
        # An upload cannot stand in a link, but its digest can, so that the link says which picture it needs.
        if source == "sample":
            st.query_params.pop("photo", None)
        elif photo is not None and (not wanted or state.pop("photo_is_new", False)):
            st.query_params["photo"] = image.digest
        state["image"] = image


def _usable(name: str) -> str:
    """The segmenter by this name if it can be loaded, else the default; then it says why, and offers the download."""
    entry = perturb.SEGMENTERS.get(name)
    if entry is None:  # the visitor's own
        return name
    if entry.weights is not None and not entry.ready():
        st.info(f"Its weights are not here yet; until they are, {DEFAULT} stands in.", icon=":material/download:")
        if not st.button(f"Download ({entry.weights().megabytes:.0f} MB)", key="download"):
            return DEFAULT
        bar = st.progress(0.0)
        try:
            entry.fetch(bar.progress)
        except perturb.SegmenterError as error:
            bar.empty()
            st.error(str(error), icon=":material/cloud_off:")
            return DEFAULT
        st.rerun()
    try:
        load(name)
    except perturb.SegmenterError as error:
        st.error(f"{error} Until then, {DEFAULT} stands in.", icon=":material/error:")
        return DEFAULT
    return name


def _describe_segmenter(name: str) -> None:
    """What the chosen segmenter is; and for a visitor's own, its digest in the address, so that a link names the file."""
    own, wanted = own_segmenter(), st.query_params.get("model", "")
    if own is None or own.name != name:
        st.caption(perturb.SEGMENTERS[name].summary)
    else:
        st.caption(
            f"Your ONNX file, {len(own.classes)} classes. It stays in the server's memory, and goes when you leave."
        )
        if not wanted or st.session_state.pop("model_is_new", False):
            st.query_params["model"] = wanted = own.digest
    if wanted and (own is None or own.digest != wanted or own.name != name):
        st.warning(
            f"This link belongs to an ONNX file that is not in it, the one with the digest {wanted[:12]}…. Upload it on "
            "the Segmenters page to see the same result; until then another segmenter is shown.",
            icon=":material/link:",
        )


def _follow_address() -> None:
    """On the way to a page the address holds over what the sidebar held.

    A link that is pressed while its page is still being drawn arrives together with the sidebar's present choices, and
    Streamlit lets those win: the right page would open with the wrong picture.
    """
    state, query = st.session_state, st.query_params
    for key, names in (("source", SOURCES), ("sample", EVERY), ("segmenter", _segmenters())):
        # A link to a sample leaves out the source, which is then the samples.
        named = query.get(key) or (SOURCES[0] if key == "source" and "sample" in query else None)
        if named in names and state.get(key, named) != named:
            state[key] = named


def _take(file: Any) -> None:
    """Decode a new upload; one that cannot be read leaves the picture that was there."""
    state = st.session_state
    if file is None or state.get("photo_file") == file.file_id:
        if error := state.get("photo_error"):
            st.error(error, icon=":material/broken_image:")
        return
    try:
        state["photo"] = perturb.load_image(file.getvalue(), name=str(file.name).rsplit(".", 1)[0])
        state["photo_is_new"] = True
        state["photo_error"] = ""
    except perturb.ImageError as error:
        kept = " The picture before it is still here." if state.get("photo") else ""
        state["photo_error"] = f"{error}{kept}"
        st.error(state["photo_error"], icon=":material/broken_image:")
    state["photo_file"] = file.file_id


def _invitation(wanted: str) -> str:
    if wanted:
        return (
            f"This link belongs to a photograph that is not in it, the one with the digest {wanted[:12]}…. "
            "Upload it here to see the same result; until then another picture is shown."
        )
    return "Choose a photograph above; until then the sample is shown."
