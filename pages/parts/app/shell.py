"""The frame of every page: navigation, the choice of image and segmenter in the sidebar, and the session state.

The address uses the names of the command line for samples, classes, fills and regions.
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
_ICON = Path(__file__).parents[2] / "icon.png"


def pages() -> list[Any]:
    """The pages in the order of the navigation. A page's address is its file name."""
    return [
        st.Page(
            "pages/home.py",
            title="Home",
            icon=":material/home:",
            default=True,
            help="Example questions and sample images.",
        ),
        st.Page(
            "pages/occlusion.py",
            title="Occlusion",
            icon=":material/select_all:",
            url_path="occlusion",
            help="Slide a window over the image and measure how the score changes.",
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
            help="Look inside the network: layers, channels, scores and errors.",
        ),
        # Kept for existing links; `enter` redirects them.
        st.Page("pages/ablation_cam.py", title="Ablation CAM", url_path="ablation_cam", visibility="hidden"),
        st.Page(
            "pages/compare.py",
            title="Compare",
            icon=":material/compare:",
            url_path="compare",
            help="Compare segmenters, methods and settings side by side on one image.",
        ),
        st.Page(
            "pages/faithfulness.py",
            title="Faithfulness",
            icon=":material/balance:",
            url_path="faithfulness",
            help="Evaluate maps: metrics with uninformative baselines, sanity checks, a planted shortcut, many images.",
        ),
        st.Page(
            "pages/segmenters.py",
            title="Segmenters",
            icon=":material/neurology:",
            url_path="segmenters",
            help="Quality and architecture of a segmenter, the catalogue, and how to bring your own.",
        ),
    ]


def navigation() -> Any:
    """Configure the browser's page and register the pages of the app. Returns the page to run."""
    # A local file: the browser would fetch an icon given by name, or that of the page, from a third-party server.
    st.set_page_config(page_title="Perturbation Lab", page_icon=str(_ICON), layout="wide")
    return st.navigation(pages())


def require_entrypoint() -> None:
    """Make sure that the entry point `streamlit_app.py` has run. The first line of every page.

    Until `st.navigation` has run once in a process, a first visit to a page's address runs that file alone, without
    the entry point. Registering the pages and running again fixes that. In a session that has already passed the entry
    point, the page draws the sidebar itself, because another run would lose the click of a button.
    """
    if st.session_state.pop("shell_ready", False):
        return
    page = navigation()
    if "page" not in st.session_state:
        st.rerun()
    enter(page.url_path)
    del st.session_state["shell_ready"]
    sidebar()


def enter(page: str) -> None:
    """Record which page this run shows, and whether the visitor has just opened it."""
    if page == "ablation_cam":
        _redirect()
    state = st.session_state
    state["shell_ready"] = True
    state["just_entered"] = state.get("page") != page
    if state["just_entered"]:
        state["arrived"] = st.query_params.to_dict()
    state["page"] = page


def _redirect() -> NoReturn:
    """Redirect a link to the former page of Seg-Ablation-CAM, before the sidebar binds its widgets to the address."""
    target = "pages/inspect.py"
    query: dict[str, str | list[str]] = {name: st.query_params.get_all(name) for name in st.query_params}
    try:
        st.switch_page(target, query_params={**query, "cam_method": "ablation-cam"})
    except (
        st.errors.StreamlitAPIException
    ):  # on a step back in the browser's history they are already bound and hold their values
        st.switch_page(target, query_params={})


@dataclass(frozen=True, eq=False)
class Scene:
    """The chosen image and segmenter, and the clean segmentation.

    Attributes:
        image, segmenter: as chosen in the sidebar.
        labels: the clean segmentation, int64 `(H, W)`.
        seconds: measured duration of one forward pass at this size.
    """

    image: perturb.Image
    segmenter: perturb.Segmenter
    labels: npt.NDArray[np.int64]
    seconds: float


def scene() -> Scene:
    """The current image and segmenter. The sidebar sets them before the page runs."""
    image: perturb.Image = st.session_state["image"]
    segmenter = segmenter_choice.current()
    return Scene(image, segmenter, *segment(segmenter, image))


def sidebar() -> None:
    """Choose the image and the segmenter. Stores `image` and `segmenter_name` in the session state."""
    st.html(STYLE)
    if problem := offered.problem():
        st.error(markdown_text(problem), icon=":material/error:")
        st.session_state.pop("shell_ready", None)  # the next run has to draw the frame again
        st.stop()
    if st.session_state["just_entered"]:
        _follow_address()
    with st.sidebar:
        image_place = st.container()  # above the segmenter, although the samples depend on its classes
        segmenter_choice.choose()
    with image_place:
        image_choice.choose()
    report.opener()


def _follow_address() -> None:
    """When a page is opened, the address takes precedence over the state of the sidebar.

    A link clicked while a page is still loading arrives together with the sidebar's current values. Streamlit prefers
    those, so the right page would open with the wrong image.
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
        if key == "source" and named is None:  # a link omits the source if it is the default
            named = next((source for source in ("sample", "folder") if source in query), None)
        present = state.get(key, image_choice.sources()[0] if key == "source" else named)
        if named in names and present != named:
            state[key] = named


__all__ = [
    "Scene",
    "enter",
    "load",
    "navigation",
    "own_segmenter",
    "pages",
    "require_entrypoint",
    "scene",
    "segment",
    "sidebar",
    "use_own",
]


def tell_dropped() -> None:
    """Report settings of a link that the page could not use. Call it after the page has been drawn."""
    state = st.session_state
    for name, wanted in state.pop("arrived", {}).items():
        shown = state.get(name)
        if name == "segmenter" and wanted == state.get("missing_file"):
            continue  # the sidebar shows a lasting warning
        if name == "folder" and not offered.images():
            st.toast(
                f"The link asks for the image {markdown_text(wanted[:60])} of a folder that this lab does not offer. "
                "Another image is shown.",
                icon=":material/link_off:",
                duration="long",
            )
        if isinstance(shown, str | int | float) and not _same(shown, wanted):
            st.toast(
                f"The link asks for {markdown_text(f'{name}={wanted}')}, which is not available here; **{markdown_text(str(shown))}** is used instead.",
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
