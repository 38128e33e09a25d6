"""The segmenter and the folder of images offered by the operator of the server; see `perturb lab`.

Visitors choose from them by name. No address and no widget contains a path.
"""

from __future__ import annotations

import os

import streamlit as st

import perturb
from perturb.images.folder import Entry, entries_in, read_entry
from perturb.segmenters.offer import VARIABLE, Offer, offer_segmenter


def problem() -> str:
    """Why the offered segmenter or images cannot be loaded; empty if they can."""
    try:
        segmenter()
        images()
    except perturb.PerturbError as error:
        return str(error)
    return ""


def segmenter() -> str:
    """The name of the segmenter that a session starts with."""
    return _segmenter(os.environ.get(VARIABLE, ""))


def images() -> tuple[str, ...]:
    """The file names of the folder's images; empty without a folder."""
    return tuple(_entries(os.environ.get(VARIABLE, "")))


def image(name: str, segmenter: perturb.Segmenter) -> perturb.Image:
    """An image of the folder, read once for all visitors until its files change.

    Args:
        name: one of `images()`.
        segmenter: the offered one, whose classes the masks hold.

    Raises:
        ImageError: it cannot be read, or its mask does not fit.
    """
    variable = os.environ.get(VARIABLE, "")
    entry = _entries(variable)[name]
    return _read(variable, name, _changed(entry), entry, segmenter)


@st.cache_resource(max_entries=1, show_spinner="Loading the segmenter …")
def _segmenter(variable: str) -> str:
    return offer_segmenter(Offer.from_variable(variable))


@st.cache_resource(max_entries=1, show_spinner=False)
def _entries(variable: str) -> dict[str, Entry]:
    offer = Offer.from_variable(variable)
    return entries_in(offer.images, offer.truth)


def _changed(entry: Entry) -> tuple[int, ...]:
    """Modification times of its files in ns; 0 for a missing file."""
    files = (entry.file,) if entry.mask is None else (entry.file, entry.mask)
    return tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)


@st.cache_resource(max_entries=32, show_spinner="Reading the image …")
def _read(
    variable: str,
    name: str,  # noqa: ARG001 — part of the cache key
    changed: tuple[int, ...],  # noqa: ARG001 — part of the cache key
    _entry: Entry,
    _segmenter: perturb.Segmenter,
) -> perturb.Image:
    return read_entry(_entry, _segmenter.classes, _segmenter.palette, Offer.from_variable(variable).ignore_index)
