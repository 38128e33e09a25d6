"""The pictures of a visit: samples, photographs and shots of the camera, and which of them is explained."""

from __future__ import annotations

from typing import Any

import streamlit as st

import perturb
from pages.parts.app import address, elements, mask_upload, offered
from pages.parts.app.segmenter_choice import current, load
from perturb.core.quoting import markdown_text
from perturb.images.samples import DEFAULT_SAMPLE, EVERY, is_sample
from perturb.images.samples import offered as offered_samples

SOURCES = ("sample", "upload", "camera")
FOLDER = "folder"
"""The source of the images that whoever started the server offers; it comes first where there are any."""
TYPES = ("png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff", "gif")
_FOLDER_HELP = "The images that this lab was started with. "
KEPT = 24
"""Pictures that a visit keeps; the one that was added first is forgotten first. One takes about 4 MB."""
THUMBNAIL = 94
"""Its width in pixels: two beside each other, at a desk and on a phone."""


def choose() -> None:
    """The picture's part of the sidebar; leaves `image` in the session's state."""
    state = st.session_state
    wanted = st.query_params.get("photo", "")
    samples = offered_samples(current().classes)
    # Photographs come first where there are any for the segmenter.
    first = DEFAULT_SAMPLE if len(samples) == len(perturb.SAMPLES) else next(iter(samples))
    source = st.segmented_control(
        "Picture",
        sources(),
        default=sources()[0],
        required=True,
        key="source",
        bind="query-params",
        help=f"{_FOLDER_HELP if offered.images() else ''}A drawn street with exact ground truth, photographs of your own, or your device's camera. "
        "Photographs stay in the server's memory and are never written to its disk.",
    )
    address.keep("source")
    if source in ("upload", "camera"):
        _new_photographs(str(source))
    is_new = state.pop("photo_is_new", False)  # what just came wins over the address
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
            help="Pictures, each chosen for a question. The same names work on the command line.",
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
    elements.show(image.pixels, alt=f"The picture to explain: {image.name}", caption=caption)
    if photo is not None:
        mask_upload.offer(image)
    # An upload cannot stand in a link, but its digest can, so that the link says which picture it needs.
    if source in ("sample", FOLDER):
        st.query_params.pop("photo", None)
    elif photo is not None and (not wanted or is_new):
        st.query_params["photo"] = image.digest
    state["image"] = image
    known = _known()
    known[_name_of(image)] = image
    if source == FOLDER:  # whoever looks through a large folder does not keep all of it
        _forget_first(_name_of(image))
    _thumbnails(_name_of(image), [name for name in known if name not in EVERY or name in samples])


def sources() -> tuple[str, ...]:
    """Where images come from in this lab; the first is the one a visit begins with."""
    return (FOLDER, *SOURCES) if offered.images() else SOURCES


def _of_folder() -> perturb.Image | None:
    """The image of the offered folder that is chosen, with this visit's ground truth if it was given any; None if broken."""
    state = st.session_state
    name = st.selectbox(
        "Image",
        offered.images(),
        key="folder",
        bind="query-params",
        help="Images that whoever started this lab offers.",
    )
    address.keep("folder")
    try:
        image = offered.image(name, load(offered.segmenter()))
    except perturb.PerturbError as error:
        st.error(f"{markdown_text(f'{name}: {error}')} Until then, a sample stands in.", icon=":material/broken_image:")
        return None
    state.setdefault("folder_names", {})[image.digest] = name
    return _known().get(image.digest, image)


def _known() -> dict[str, perturb.Image]:
    """The pictures of this visit in the order in which they came: samples by name, others by digest."""
    known: dict[str, perturb.Image] = st.session_state.setdefault("pictures", {})
    return known


def _name_of(image: perturb.Image) -> str:
    return image.name if is_sample(image) else image.digest


def _photograph(wanted: str) -> perturb.Image | None:
    """The photograph that is shown: the one that the address names if it is there, else the latest choice."""
    state, known = st.session_state, _known()
    if wanted in known:
        state["photo"] = wanted
    return known.get(state.get("photo", ""))


def _new_photographs(source: str) -> None:
    """The uploader or the camera, and what could not be read."""
    state = st.session_state
    # What is uploaded moves to the list, so the uploader is made anew, empty, under another name.
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
            help="One or several, up to 50 MB each; scaled to 640 px.",
        )
    else:
        st.camera_input("Your camera", key=key, on_change=_take, args=(key,), help="A shot joins the list below.")
    for error in state.get("upload_errors", ()):
        st.error(markdown_text(error), icon=":material/broken_image:")


def _take(key: str) -> None:
    """Decode new files and show the first; what cannot be read leaves the picture that was there."""
    state, known = st.session_state, _known()
    given: Any = state[key]
    files = given if isinstance(given, list) else [] if given is None else [given]
    if not files:
        return
    state["uploads"] = state.get("uploads", 0) + 1
    state["upload_errors"] = []
    shown = False
    for file in files:  # each by itself: what is wrong with one takes nothing from the others
        name = f"camera-{state['uploads']}" if key.startswith("camera") else str(file.name).rsplit(".", 1)[0]
        try:
            image = perturb.load_image(file.getvalue(), name=name)
        except perturb.PerturbError as error:
            kept = " The picture before it is still here." if state.get("photo") in known else ""
            state["upload_errors"].append(f"{file.name}: {error}{kept}")
            continue
        known.setdefault(image.digest, image)  # one that is there keeps its ground truth
        if not shown:
            state["photo"], state["photo_is_new"], shown = image.digest, True, True
    _forget_first(str(state.get("photo")))


def _forget_first(shown: str) -> None:
    """Forget the images that came first while there are too many, but not the one that is shown."""
    known = _known()
    while len(known) > KEPT:
        del known[next(name for name in known if name != shown)]


def _thumbnails(shown: str, names: list[str]) -> None:
    """The pictures to move to, and to take off the list; nothing while there is only one."""
    if len(names) < 2:
        return
    with st.expander("Pictures of this visit", expanded=True, key="pictures_fold"):
        with st.container(horizontal=True, gap="xsmall"):  # columns would stand one below the other on a phone
            for name in names:
                _thumbnail(name, names, shown=name == shown)
        st.caption("One click shows another picture under the same settings.")


def _thumbnail(name: str, names: list[str], *, shown: bool) -> None:
    """A picture that is a button, and the button that takes it off the list."""
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
            help=f"Take {label} off this list.",
        )


def _open(name: str) -> None:
    """Move to a picture of the list; to be called as a widget's callback."""
    state = st.session_state
    if name in EVERY:
        state["source"], state["sample"] = "sample", name
    elif name in state.get("folder_names", {}):
        state["source"], state["folder"] = FOLDER, state["folder_names"][name]
    else:
        state["source"], state["photo"], state["photo_is_new"] = "upload", name, True


def _remove(name: str, names: list[str]) -> None:
    """Take a picture off the list; if it is the one shown, its neighbour is shown in its place."""
    del _known()[name]
    if name == _name_of(st.session_state["image"]):
        place = names.index(name)
        _open(names[place - 1] if place else names[1])


def _invitation(wanted: str) -> str:
    if wanted:
        return (
            f"This link belongs to a photograph that is not in it, the one with the digest {markdown_text(wanted[:12])}…. "
            "Upload it here to see the same result; until then another picture is shown."
        )
    return "Choose a photograph above; until then the sample is shown."
