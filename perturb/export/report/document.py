"""A report: several runs with notes, as one self-contained HTML file and as a zip of their raw numbers.

The HTML file contains no script and no external reference except the links that open a run again. User input and file
names are escaped.
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
    """An image in a report, with its caption.

    Attributes:
        title: above the image.
        png: the image as a PNG file.
        alt: text alternative.
        text: caption below the image.
        bar: limit, unit and sign of the colour bar; None for no colour bar.
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
    """A line chart in a report; the x axis is the fraction of pixels."""

    title: str
    lines: tuple[Line, ...]
    alt: str
    x_title: str
    y_title: str


@dataclass(frozen=True, eq=False)
class Table:
    """A table in a report, with cells as text."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, eq=False)
class Item:
    """One run in a report.

    Attributes:
        title: heading of the run.
        plates, charts, tables: the content, in this order.
        record: settings, digests and versions, as plain data.
        files: computes its raw files by name, for the zip.
        code: Python code that reproduces it; empty if there is none.
        command: shell command that reproduces it; empty if there is none.
        link: URL that opens it again.
        sentences: remarks for the reader.
        note: the user's own note.
        unused: dotted names in the record that do not affect this run; the HTML leaves them out, the zip keeps them.
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
        title: of the report.
        items: the runs, in order; a report without runs says so.
        date: date of the report, as text; left out if empty.
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
    """A zip archive with the report, `report.json`, and a folder of raw arrays, curves and settings for each run."""
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
