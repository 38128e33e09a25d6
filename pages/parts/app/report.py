"""The report of a session: the results added to it, their notes and order, and its downloads."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from pages.parts.app import address
from perturb.core.quoting import markdown_text
from perturb.export.report.document import Item, report_html, report_zip

PREFIXES = ("occ_", "per_", "ins_", "cam_", "cmp_", "fai_", "seg_")
"""Prefixes of the pages' settings in the address."""
MOST = 30
"""Maximum number of results in a report. Each takes about 10 MB of the server's memory."""


@dataclass
class Entry:
    """One item with the visitor's note. `source` identifies what it was made from, so that it is added only once."""

    number: int
    item: Item
    source: tuple[Any, ...]
    note: str = ""


@dataclass
class Report:
    """The report of a session, kept in the session state."""

    title: str = "What the segmenter needs to see"
    entries: list[Entry] = field(default_factory=list)
    made: int = 0

    def latest(self) -> list[Item]:
        """The items with their notes, in order. Called for a download."""
        # A click on the download button takes the focus from a note, whose text is then still on its way to the server.
        time.sleep(0.4)
        return [replace(entry.item, note=entry.note) for entry in self.entries]


def remember(prefix: str) -> None:
    """Store the address that opens what a page now shows. Call it while the result belongs to the settings."""
    st.session_state[f"{prefix}address"] = _address(prefix)


def button(prefix: str, makers: Sequence[Callable[[str], Item]], *source: object) -> None:
    """The button "Add to report", next to the downloads.

    Args:
        prefix: of the page's keys.
        makers: each makes an item from the link that reopens it; called when the button is pressed.
        source: what the items are made from; a source that is already in the report disables the button.
    """
    entries = _report().entries
    there = any(entry.source == source for entry in entries)
    full = len(entries) >= MOST
    st.button(
        "In the report" if there else "Add to report",
        key=f"{prefix}report",
        icon=":material/playlist_add_check:" if there else ":material/playlist_add:",
        disabled=there or full,
        on_click=_add,
        args=(makers, source, st.session_state.get(f"{prefix}address") or _address(prefix)),
        help=f"The report is full ({MOST} results). Remove one first."
        if full
        else "Add this result with its settings. Open the report from the sidebar and download it as one file.",
    )


def opener() -> None:
    """The button in the sidebar that opens the report. Nothing while the report is empty."""
    count = len(_report().entries)
    if count == 0:
        return
    with st.sidebar:
        pressed = st.button(
            f"Report ({count})",
            key="report_open",
            icon=":material/summarize:",
            width="stretch",
            help="Add notes, change the order, and download the report.",
        )
    if pressed:
        _dialog()


@st.dialog("Report", width="large", on_dismiss="rerun", icon=":material/summarize:")
def _dialog() -> None:
    report = _report()
    st.text_input("Title", report.title, key="report_title", on_change=_entitle, help="The heading of the report.")
    for place, entry in enumerate(report.entries):
        with st.container(border=True, horizontal=True):
            plate = entry.item.plates[-1]
            with st.container(width=150):
                st.image(plate.png, alt=plate.alt, width="stretch", output_format="PNG")
            with st.container(width="stretch"):
                st.markdown(f"**{place + 1}. {markdown_text(entry.item.title)}**")
                key = f"report_note_{entry.number}"
                st.text_area(
                    "Note",
                    entry.note,
                    key=key,
                    height=80,
                    on_change=_annotate,
                    args=(entry, key),
                    help="Printed above the images.",
                )
                with st.container(horizontal=True):
                    _move("Up", "arrow_upward", place, -1)
                    _move("Down", "arrow_downward", place, 1)
                    st.button(
                        "Remove",
                        key=f"report_remove_{entry.number}",
                        icon=":material/delete:",
                        on_click=report.entries.remove,
                        args=(entry,),
                        help="Remove this result from the report.",
                    )
    if not report.entries:
        st.info("The report is empty.", icon=":material/info:")
        return
    noted = sum(bool(entry.note.strip()) for entry in report.entries)
    st.caption(f"{len(report.entries)} result{'s' * (len(report.entries) > 1)}, {noted} with a note.")
    today = date.today().isoformat()
    with st.container(horizontal=True):
        st.download_button(
            "Download the report (HTML)",
            data=lambda: report_html(report.title, report.latest(), today),
            file_name="report.html",
            mime="text/html",
            key="report_html",
            type="primary",
            on_click="ignore",
            icon=":material/download:",
            help="One self-contained file with all images, curves and settings. It opens in any browser and can be printed.",
        )
        st.download_button(
            "Raw numbers (zip)",
            data=lambda: report_zip(report.title, report.latest(), today),
            file_name="report.zip",
            mime="application/zip",
            key="report_zip",
            on_click="ignore",
            icon=":material/folder_zip:",
            help="The report, and the arrays, curves and settings of each result in a folder of its own.",
        )


def _move(label: str, icon: str, place: int, step: int) -> None:
    entries = _report().entries
    st.button(
        label,
        key=f"report_{label.lower()}_{entries[place].number}",
        icon=f":material/{icon}:",
        disabled=not 0 <= place + step < len(entries),
        on_click=_swap,
        args=(place, place + step),
        help=f"Move this result {label.lower()} in the report.",
    )


def _swap(one: int, other: int) -> None:
    entries = _report().entries
    entries[one], entries[other] = entries[other], entries[one]


def _report() -> Report:
    report: Report = st.session_state.setdefault("report", Report())
    return report


def _add(makers: Sequence[Callable[[str], Item]], source: tuple[object, ...], link: str) -> None:
    report = _report()
    for make in makers:
        report.made += 1
        report.entries.append(Entry(report.made, make(link), source))
    st.toast(
        f"Added. The report now has {len(report.entries)} results; open it from the sidebar.".replace(
            " 1 results", " 1 result"
        ),
        icon=":material/summarize:",
    )


def _entitle() -> None:
    _report().title = st.session_state["report_title"]


def _annotate(entry: Entry, key: str) -> None:
    entry.note = st.session_state[key]


def _address(prefix: str) -> str:
    """The page's address with its query, without settings of other pages."""
    address.settle()  # the browser does not write every change by itself
    own = ("ins_", "cam_") if prefix in ("ins_", "cam_") else (prefix,)
    asked = {
        name: value
        for name, value in st.query_params.to_dict().items()
        if name.startswith(own) or not name.startswith(PREFIXES)
    }
    query = urlencode(asked, safe=",:")
    url = st.context.url or ""
    return f"{url}?{query}" if url and query else url
