"""What stands around every page: navigation, the picture and the segmenter in the sidebar, and the visit's state.

The words in the address bar are the words of the command line: samples, classes, fills and regions go by their names.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import streamlit as st

import perturb
from pages.parts.app import image_choice, offered, report, segmenter_choice
from pages.parts.app.segmenter_choice import load, own_segmenter, segment, use_own
from perturb.core.quoting import markdown_text
from perturb.images.samples import EVERY

STYLE = Path(__file__).parent / "frontend" / "shell.css"


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
            "pages/inspect.py",
            title="Inspect",
            icon=":material/layers:",
            url_path="inspect",
            help="Look inside the network: layers, channels, scores and errors, pixel by pixel.",
        ),
        # Its links are out in the world; `enter` sends them on.
        st.Page("pages/ablation_cam.py", title="Ablation CAM", url_path="ablation_cam", visibility="hidden"),
        st.Page(
            "pages/compare.py",
            title="Compare",
            icon=":material/compare:",
            url_path="compare",
            help="Segmenters, methods and settings beside each other on one picture, and what differs.",
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
            help="How good a segmenter is, what it is made of, which there are, and how to bring your own.",
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
    if page == "ablation_cam":
        _send_on()
    state = st.session_state
    state["shell_ready"] = True
    state["just_entered"] = state.get("page") != page
    if state["just_entered"]:
        state["arrived"] = st.query_params.to_dict()
    state["page"] = page


def _send_on() -> NoReturn:
    """Open what a link to the page of Seg-Ablation-CAM meant, before the sidebar ties its widgets to the address."""
    target = "pages/inspect.py"
    query: dict[str, str | list[str]] = {name: st.query_params.get_all(name) for name in st.query_params}
    try:
        st.switch_page(target, query_params={**query, "cam_method": "ablation-cam"})
    except (
        st.errors.StreamlitAPIException
    ):  # back in the browser's history: they are tied already, and hold their values
        st.switch_page(target, query_params={})


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
    segmenter = segmenter_choice.current()
    return Scene(image, segmenter, *segment(segmenter, image))


def sidebar() -> None:
    """Choose the picture and the segmenter; leaves `image` and `segmenter_name` in the session's state."""
    # Streamlit leaves a hand's breadth of empty page above the title, and has a Stop button of its own in the header,
    # which also ends what must not end. A run that can be stopped has one beside its bar.
    st.html(STYLE)
    if problem := offered.problem():
        st.error(markdown_text(problem), icon=":material/error:")
        st.session_state.pop("shell_ready", None)  # the next run has nothing around its page either
        st.stop()
    if st.session_state["just_entered"]:
        _follow_address()
    with st.sidebar:
        picture = st.container()  # stands above the segmenter, but which samples there are depends on its classes
        segmenter_choice.choose()
    with picture:
        image_choice.choose()
    report.opener()


def _follow_address() -> None:
    """On the way to a page the address holds over what the sidebar held.

    A link that is pressed while its page is still being drawn arrives together with the sidebar's present choices, and
    Streamlit lets those win: the right page would open with the wrong picture.
    """
    state, query = st.session_state, st.query_params
    choices = {
        "source": image_choice.sources(),
        "sample": EVERY,
        "folder": offered.images(),
        "segmenter": segmenter_choice.names(),
    }
    for key, names in choices.items():
        named = query.get(key)
        if key == "source" and named is None:  # a link leaves out the source where it is the default of its lab
            named = next((source for source in ("sample", "folder") if source in query), None)
        present = state.get(key, image_choice.sources()[0] if key == "source" else named)
        if named in names and present != named:
            state[key] = named


__all__ = [
    "Scene",
    "enter",
    "load",
    "own_segmenter",
    "pages",
    "require_entrypoint",
    "scene",
    "segment",
    "sidebar",
    "use_own",
]


def tell_dropped() -> None:
    """Say which settings of a link a page did not understand; to be called once the page has been drawn."""
    state = st.session_state
    for name, wanted in state.pop("arrived", {}).items():
        shown = state.get(name)
        if name == "segmenter" and wanted == state.get("missing_file"):
            continue  # the sidebar says it for as long as it is true
        if name == "folder" and not offered.images():
            st.toast(
                f"The link asks for the image {markdown_text(wanted[:60])} of a folder that this lab was not started with; "
                "another image is shown.",
                icon=":material/link_off:",
                duration="long",
            )
        if isinstance(shown, str | int | float) and not _same(shown, wanted):
            st.toast(
                f"The link asks for {markdown_text(f'{name}={wanted}')}, which does not fit here; **{markdown_text(str(shown))}** is used instead.",
                icon=":material/link_off:",
                duration="long",
            )


def _same(shown: str | float, wanted: str) -> bool:
    if isinstance(shown, str):
        return shown.lower() == wanted.lower()
    try:
        return float(wanted) == float(shown)
    except ValueError:
        return isinstance(shown, bool) and wanted.lower() == str(shown).lower()
