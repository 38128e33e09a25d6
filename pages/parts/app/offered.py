"""What whoever started the server offers: a segmenter and a folder of images; see `perturb lab`.

Visitors choose among it by name. No address and no widget holds a path.
"""

from __future__ import annotations

import os

import streamlit as st

import perturb
from perturb.cli.lab import VARIABLE, Entry, Offer, images_in, offer_segmenter, read_entry


def problem() -> str:
    """Why what was offered is not here, in words; empty where it is."""
    try:
        segmenter()
        images()
    except perturb.PerturbError as error:
        return str(error)
    return ""


def segmenter() -> str:
    """The name of the segmenter that is chosen at the start of a visit."""
    return _segmenter(os.environ.get(VARIABLE, ""))


def images() -> tuple[str, ...]:
    """The file names of the folder's images; none without a folder."""
    return tuple(_entries(os.environ.get(VARIABLE, "")))


def image(name: str, segmenter: perturb.Segmenter) -> perturb.Image:
    """An image of the folder, read once for all visitors until its files change.

    Args:
        name: one of `images()`.
        segmenter: the offered one, whose classes the masks hold.

    Raises:
        ImageError: it cannot be read, or its mask does not fit.
    """
    told = os.environ.get(VARIABLE, "")
    entry = _entries(told)[name]
    return _read(told, name, _changed(entry), entry, segmenter)


@st.cache_resource(max_entries=1, show_spinner="Loading the segmenter …")
def _segmenter(told: str) -> str:
    return offer_segmenter(Offer.from_variable(told))


@st.cache_resource(max_entries=1, show_spinner=False)
def _entries(told: str) -> dict[str, Entry]:
    return images_in(Offer.from_variable(told))


def _changed(entry: Entry) -> tuple[int, ...]:
    """When its files were last written; 0 for one that is gone."""
    files = (entry.file,) if entry.mask is None else (entry.file, entry.mask)
    return tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)


@st.cache_resource(max_entries=32, show_spinner="Reading the image …")
def _read(
    told: str,
    name: str,  # noqa: ARG001 — the key
    changed: tuple[int, ...],  # noqa: ARG001 — the key
    _entry: Entry,
    _segmenter: perturb.Segmenter,
) -> perturb.Image:
    return read_entry(_entry, Offer.from_variable(told), _segmenter)
