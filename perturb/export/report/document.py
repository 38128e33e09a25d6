"""A report: several runs, with notes, as one HTML file that needs nothing else, and as a zip of their raw numbers.

The file holds no script and refers to nothing outside itself but the links that open a run again; whatever a visitor
typed or a file was called is escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perturb.core.files import zip_of
from perturb.core.quoting import encodable, file_name, json_file
from perturb.core.svg import Line, colour_bar, line_chart, templates
from perturb.core.versions import versions

TEMPLATES = templates(Path(__file__).parent)


@dataclass(frozen=True, eq=False)
class Plate:
    """A picture of a report.

    Attributes:
        title: above it.
        png: the file.
        alt: what it shows, in words.
        text: below it.
        bar: limit, unit and whether it is signed, of the colour bar; None without.
        legend: name, colour as `#rrggbb` and share in [0, 1] of each class.
    """

    title: str
    png: bytes
    alt: str
    text: str = ""
    bar: tuple[float, str, bool] | None = None
    legend: tuple[tuple[str, str, float], ...] = ()


@dataclass(frozen=True, eq=False)
class Chart:
    """Lines of a report, over the share of pixels."""

    title: str
    lines: tuple[Line, ...]
    alt: str
    x_title: str
    y_title: str


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of a report, as text."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, eq=False)
class Item:
    """One run of a report.

    Attributes:
        title: what it is.
        plates, charts, tables: what is shown, in this order.
        record: settings, digests and versions, as plain data.
        files: makes its raw files by name, for the zip.
        code: the Python lines that make it again; empty if there are none.
        command: the shell line that does; empty if there is none.
        link: opens it again in the browser.
        sentences: what a reader should know.
        note: what the visitor wrote about it.
        unused: dotted names in the record that say nothing of this run; the page leaves them out, the zip does not.
    """

    title: str
    plates: tuple[Plate, ...]
    charts: tuple[Chart, ...]
    tables: tuple[Table, ...]
    record: Mapping[str, Any]
    files: Callable[[], dict[str, bytes]]
    code: str = ""
    command: str = ""
    link: str = ""
    sentences: tuple[str, ...] = ()
    note: str = ""
    unused: frozenset[str] = frozenset()


def report_html(title: str, items: Sequence[Item], date: str = "") -> str:
    """The report as one HTML file, UTF-8.

    Args:
        title: of the whole.
        items: in their order; none gives a report that says so.
        date: when it was made, in words; left out if empty.
    """
    page = TEMPLATES.get_template("report.html.jinja").render(
        title=title.strip() or "Report",
        items=items,
        date=date,
        version=versions()["perturbation-lab"],
        rows=_rows,
        line_chart=line_chart,
        colour_bar=colour_bar,
    )
    return encodable(page)


def report_zip(title: str, items: Sequence[Item], date: str = "") -> bytes:
    """The raw arrays, curves and settings of every run in a folder of its own, with the report and `report.json`."""
    files = {"report.html": report_html(title, items, date).encode()}
    folders = [f"{number:02d}-{file_name(item.title.lower())}" for number, item in enumerate(items, 1)]
    for folder, item in zip(folders, items, strict=True):
        files |= {f"{folder}/{name}": data for name, data in item.files().items()}
    entries = [
        {"folder": folder, "title": item.title, "note": item.note, "link": item.link, "record": dict(item.record)}
        for folder, item in zip(folders, items, strict=True)
    ]
    summary = {"title": title, "date": date, "items": entries}
    files["report.json"] = json_file(summary)
    return zip_of(files)


def _rows(record: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Nested plain data as pairs of a dotted name and a text."""
    rows: list[tuple[str, str]] = []
    for name, value in record.items():
        if isinstance(value, Mapping):
            rows += _rows(value, f"{above}{name}.")
        else:
            text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            rows += [(f"{above}{name}", text)] if text else []
    return rows
