"""A report: several runs, with notes, as one HTML file that needs nothing else, and as a zip of their raw numbers.

The file holds no script and refers to nothing outside itself but the links that open a run again; whatever a visitor
typed or a file was called is escaped.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perturb.core.files import zip_of
from perturb.core.quoting import file_name, html_text, json_file
from perturb.export.report.svg import Line, colour_bar, line_chart
from perturb.methods.attribution import versions


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
    shown = html_text(title.strip() or "Report")
    made = f"Made with Perturbation Lab {versions()['perturbation-lab']}"
    contents = "".join(f'<li><a href="#run-{n}">{html_text(item.title)}</a></li>' for n, item in enumerate(items, 1))
    body = "".join(_section(number, item) for number, item in enumerate(items, 1)) or "<p>Nothing was added yet.</p>"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>{shown}</title><style>{_STYLE}</style></head><body><header><h1>{shown}</h1>"
        f"<p class=quiet>{made}{f', {html_text(date)}' if date else ''}.</p></header>"
        f"{f'<nav><ol>{contents}</ol></nav>' if len(items) > 1 else ''}<main>{body}</main></body></html>\n"
    )


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


def _section(place: int, item: Item) -> str:
    """One run, everything in it escaped."""
    link = item.link if re.match(r"https?://", item.link) else ""
    parts = [f'<section id="run-{place}"><h2>{place}. {html_text(item.title)}</h2>']
    if item.note.strip():
        parts.append(f"<div class=note>{html_text(item.note.strip())}</div>")
    parts += [f"<p>{html_text(sentence)}</p>" for sentence in item.sentences]
    parts.append(f"<div class=plates>{''.join(map(_plate, item.plates))}</div>")
    charts = "".join(
        f"<figure><b>{html_text(chart.title)}</b>"
        f"{line_chart(chart.lines, alt=chart.alt, x_title=chart.x_title, y_title=chart.y_title)}</figure>"
        for chart in item.charts
    )
    parts.append(f"<div class=plates>{charts}</div>" if charts else "")
    for table in item.tables:
        head = "".join(f"<th scope=col>{html_text(name)}</th>" for name in table.header)
        rows = "".join(f"<tr>{''.join(f'<td>{html_text(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
        parts.append(f"<h3>{html_text(table.title)}</h3><div class=wide><table><tr>{head}</tr>{rows}</table></div>")
    if link:
        parts.append(f'<p>Open it again: <a href="{html_text(link)}">{html_text(link)}</a></p>')
    settings = "".join(
        f"<tr><th scope=row>{html_text(name)}</th><td>{html_text(value)}</td></tr>"
        for name, value in _rows(item.record)
        if name not in item.unused
    )
    parts.append(f"<h3>Settings, digests and versions</h3><div class=wide><table class=record>{settings}</table></div>")
    if item.code:
        parts.append(f"<h3>The same in Python</h3><pre>{html_text(item.code)}</pre>")
    return "".join([*parts, "</section>"])


def _plate(plate: Plate) -> str:
    data = base64.b64encode(plate.png).decode()
    bar = "" if plate.bar is None else colour_bar(plate.bar[0], plate.bar[1], signed=plate.bar[2])
    legend = "".join(
        f'<span><svg viewBox="0 0 10 10" aria-hidden="true"><rect width="10" height="10" fill="{html_text(colour)}"/>'
        f"</svg> {html_text(name)} {share:.1%}</span>"
        for name, colour, share in plate.legend
    )
    return (
        f"<figure><b>{html_text(plate.title)}</b>"
        f'<img src="data:image/png;base64,{data}" alt="{html_text(plate.alt)}">{bar}'
        f"{f'<div class=legend>{legend}</div>' if legend else ''}<figcaption>{html_text(plate.text)}</figcaption></figure>"
    )


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


_STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:68rem;margin:auto;padding:1rem;background:Canvas;color:CanvasText}
h1{font-size:1.9rem;margin:.5rem 0 0}h2{font-size:1.35rem;margin:0 0 .5rem}h3{font-size:1.05rem;margin:1.2rem 0 .3rem}
section{border-top:1px solid #8886;padding-top:1.2rem;margin-top:2rem}
.quiet,figcaption{opacity:.75;font-size:.9rem}.note{white-space:pre-wrap;border-left:4px solid #c2410c;padding-left:.8rem}
.plates{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,19rem),1fr));gap:1.2rem;margin:1rem 0}
figure{margin:0;break-inside:avoid}img,figure>svg{width:100%;height:auto;display:block;margin:.3rem 0}
.legend{display:flex;flex-wrap:wrap;gap:.1rem .8rem;font-size:.85rem}.legend svg{width:.8rem;height:.8rem;vertical-align:-.05rem}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.9rem}
td,th{border-bottom:1px solid #8884;padding:.2rem .9rem .2rem 0;text-align:left;vertical-align:top}
.record td{overflow-wrap:anywhere}.record th{font-weight:400;min-width:8.5rem}
pre{overflow-x:auto;border:1px solid #8886;border-radius:.3rem;padding:.8rem;font-size:.85rem}a{overflow-wrap:anywhere}
@media print{:root{color-scheme:light}section{break-before:page}section:first-of-type{break-before:auto}
pre{white-space:pre-wrap;overflow-wrap:anywhere}svg,img{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
"""
