"""The images of a session: samples, uploads and camera shots, and which of them is explained."""

from __future__ import annotations

from typing import Any

import streamlit as st

import perturb
from pages.parts.app import address, elements, mask_upload, offered, processes
from pages.parts.app.segmenter_choice import current, load
from perturb.core.quoting import markdown_text
from perturb.images.samples import DEFAULT_SAMPLE, EVERY, is_sample
from perturb.images.samples import offered as offered_samples

SOURCES = ("sample", "upload", "camera")
FOLDER = "folder"
"""The source for images offered by the operator of the server. It comes first if there are any."""
TYPES = ("png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff", "gif")
_FOLDER_HELP = "The images that this lab was started with, "
KEPT = 24
"""Images kept in a session. The oldest is dropped first. Each takes about 4 MB."""
THUMBNAIL = 94
"""Width of a thumbnail in pixels: two fit side by side, on a desktop and on a phone."""


def choose() -> None:
    """The image part of the sidebar. Stores the choice as `image` in the session state."""
    state = st.session_state
    wanted = st.query_params.get("photo", "")
    samples = offered_samples(current().classes)
    # If there are photographs for the segmenter, they come first.
    first = DEFAULT_SAMPLE if len(samples) == len(perturb.SAMPLES) else next(iter(samples))
    source = st.segmented_control(
        "Image source",
        sources(),
        default=sources()[0],
        required=True,
        key="source",
        bind="query-params",
        help=f"{_FOLDER_HELP if offered.images() else ''}a drawn street with exact ground truth, your own photographs, or your camera. "
        "Photographs stay in the server's memory and are never written to disk.",
    )
    address.keep("source")
    if source in ("upload", "camera"):
        _new_photographs(str(source))
    is_new = state.pop("photo_is_new", False)  # a new upload takes precedence over the address
    photo = None
    if source in ("upload", "camera"):
        photo = _photograph("" if is_new else wanted)
    elif source == FOLDER:
        photo = _of_folder()
    if source != FOLDER:
        address.forget("folder")
    if photo is None:
        name = st.selectbox(
            "Sample",
            tuple(samples),
            index=list(samples).index(first),
            key="sample",
            bind="query-params",
            disabled=source != "sample",
            help="Bundled images. The same names work on the command line.",
        )
        address.keep("sample")
        image = perturb.sample(name if name in samples else first)
        chosen = EVERY[image.name]
        caption = f"**{chosen.title}.** {chosen.sentence}"
        if source in ("upload", "camera"):
            st.info(_invitation(wanted), icon=":material/upload:")
    else:
        address.forget("sample")
        image, caption = photo, "  \n".join((f"**{markdown_text(photo.name)}**", *map(markdown_text, photo.notes)))
        if source != FOLDER and wanted and wanted != image.digest and not is_new:
            st.warning(_invitation(wanted), icon=":material/link:")
    elements.show(image.pixels, alt=f"The image to explain: {image.name}", caption=caption)
    if photo is not None:
        mask_upload.offer(image)
    # A link cannot contain an upload, but it can contain its digest, and so say which image it needs.
    if source in ("sample", FOLDER):
        st.query_params.pop("photo", None)
    elif photo is not None and (not wanted or is_new):
        st.query_params["photo"] = image.digest
    state["image"] = image
    known = _known()
    known[_name_of(image)] = image
    if source == FOLDER:  # browsing a large folder must not keep all its images
        _forget_first(_name_of(image))
    _thumbnails(_name_of(image), [name for name in known if name not in EVERY or name in samples])


def sources() -> tuple[str, ...]:
    """The image sources of this lab; the first is the default."""
    return (FOLDER, *SOURCES) if offered.images() else SOURCES


def _of_folder() -> perturb.Image | None:
    """The chosen image of the offered folder, with ground truth added in this session if any. None if it is broken."""
    state = st.session_state
    name = st.selectbox(
        "Image",
        offered.images(),
        key="folder",
        bind="query-params",
        help="The images that this lab was started with.",
    )
    address.keep("folder")
    try:
        image = offered.image(name, load(offered.segmenter()))
    except perturb.PerturbError as error:
        st.error(f"{markdown_text(f'{name}: {error}')} A sample is shown instead.", icon=":material/broken_image:")
        return None
    state.setdefault("folder_names", {})[image.digest] = name
    return _known().get(image.digest, image)


def _known() -> dict[str, perturb.Image]:
    """The images of this session in the order of their first use. Keys: the name of a sample, else the digest."""
    known: dict[str, perturb.Image] = st.session_state.setdefault("pictures", {})
    return known


def _name_of(image: perturb.Image) -> str:
    return image.name if is_sample(image) else image.digest


def _photograph(wanted: str) -> perturb.Image | None:
    """The photograph to show: the one in the address if it is known, else the latest choice."""
    state, known = st.session_state, _known()
    if wanted in known:
        state["photo"] = wanted
    return known.get(state.get("photo", ""))


def _new_photographs(source: str) -> None:
    """The file uploader or the camera, and errors of files that could not be read."""
    state = st.session_state
    # Uploads move to the list of images, so a new key gives an empty uploader.
    key = f"{source}_{state.get('uploads', 0)}"
    if source == "upload":
        st.file_uploader(
            "Your photographs",
            type=TYPES,
            accept_multiple_files=True,
            max_upload_size=50,
            key=key,
            on_change=_take,
            args=(key,),
            help="One or several files, up to 50 MB each. Images are scaled down to 640 px.",
        )
    else:
        st.camera_input(
            "Your camera", key=key, on_change=_take, args=(key,), help="Each shot is added to the list below."
        )
    for error in state.get("upload_errors", ()):
        st.error(markdown_text(error), icon=":material/broken_image:")


def _take(key: str) -> None:
    """Decode new files and show the first. If none can be read, the previous image stays."""
    state, known = st.session_state, _known()
    given: Any = state[key]
    files = given if isinstance(given, list) else [] if given is None else [given]
    if not files:
        return
    state["uploads"] = state.get("uploads", 0) + 1
    state["upload_errors"] = []
    shown = False
    for file in files:  # one at a time: an error in one file does not affect the others
        name = f"camera-{state['uploads']}" if key.startswith("camera") else str(file.name).rsplit(".", 1)[0]
        try:
            image = processes.decoders().load(file.getvalue(), name=name)
        except perturb.PerturbError as error:
            kept = " The previous image is still shown." if state.get("photo") in known else ""
            state["upload_errors"].append(f"{file.name}: {error}{kept}")
            continue
        known.setdefault(image.digest, image)  # a known image keeps its ground truth
        if not shown:
            state["photo"], state["photo_is_new"], shown = image.digest, True, True
    _forget_first(str(state.get("photo")))


def _forget_first(shown: str) -> None:
    """Drop the oldest images while there are too many, but never the one that is shown."""
    known = _known()
    while len(known) > KEPT:
        del known[next(name for name in known if name != shown)]


def _thumbnails(shown: str, names: list[str]) -> None:
    """Thumbnails to switch to another image or remove it from the list. Nothing if there is only one image."""
    if len(names) < 2:
        return
    with st.expander("Images of this session", expanded=True, key="pictures_fold"):
        with st.container(horizontal=True, gap="xsmall"):  # on a phone, columns would be stacked
            for name in names:
                _thumbnail(name, names, shown=name == shown)
        st.caption("Click an image to switch to it. All settings are kept.")


def _thumbnail(name: str, names: list[str], *, shown: bool) -> None:
    """A clickable thumbnail, and the button that removes it from the list."""
    image = _known()[name]
    label = markdown_text(image.name)
    with st.container(key=f"thumb_{'on' if shown else 'off'}_{name}", width=THUMBNAIL):
        elements.show(image.thumbnail, alt=f"Thumbnail of {image.name}")
        st.button(
            f"{label}, shown now" if shown else f"Show {label}",
            key=f"open_{name}",
            on_click=_open,
            args=(name,),
            disabled=shown,
            help=label + (" (with ground truth)" if image.truth is not None else ""),
        )
        st.button(
            f"Remove {label}",
            icon=":material/close:",
            key=f"remove_{name}",
            on_click=_remove,
            args=(name, names),
            help=f"Remove {label} from this list.",
        )


def _open(name: str) -> None:
    """Switch to an image of the list. A widget callback."""
    state = st.session_state
    if name in EVERY:
        state["source"], state["sample"] = "sample", name
    elif name in state.get("folder_names", {}):
        state["source"], state["folder"] = FOLDER, state["folder_names"][name]
    else:
        state["source"], state["photo"], state["photo_is_new"] = "upload", name, True


def _remove(name: str, names: list[str]) -> None:
    """Remove an image from the list. If it is the one shown, its neighbour is shown instead."""
    del _known()[name]
    if name == _name_of(st.session_state["image"]):
        place = names.index(name)
        _open(names[place - 1] if place else names[1])


def _invitation(wanted: str) -> str:
    if wanted:
        return (
            f"This link belongs to a photograph that a link cannot contain, with the digest {markdown_text(wanted[:12])}…. "
            "Upload it here to see the same result. Until then, another image is shown."
        )
    return "Upload a photograph above. Until then, the sample is shown."
