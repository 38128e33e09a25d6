"""The command `list`: the methods, segmenters, fills, samples or metrics by name."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

import perturb
from perturb.images.samples import EVERY
from perturb.metrics.registry import METRICS


def add(commands: Any) -> None:
    """Add the command to the subparsers of an `argparse` parser."""
    listing = commands.add_parser(
        "list", help="list the methods, segmenters, fills, samples or metrics", allow_abbrev=False
    )
    listing.add_argument("what", choices=tuple(_LISTS), help="what to list")
    listing.add_argument("--json", action="store_true", help="print JSON")
    listing.set_defaults(run=_run)


def _methods() -> list[dict[str, Any]]:
    return [
        {
            "name": method.name,
            "title": method.title,
            "summary": method.summary,
            "citation": method.citation,
            "settings": [
                {
                    "name": setting.name,
                    "kind": setting.kind,
                    "default": setting.default,
                    "help": setting.help,
                    **({"low": setting.low, "high": setting.high} if setting.kind in ("int", "float") else {}),
                    **({"choices": [name for name, _ in setting.choices]} if setting.choices else {}),
                }
                for setting in method.settings
            ],
        }
        for method in perturb.METHODS.values()
    ]


_LISTS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "methods": _methods,
    "segmenters": lambda: [segmenter.as_dict() for segmenter in perturb.SEGMENTERS.values()],
    "fills": lambda: [
        {"name": f.name, "title": f.title, "summary": f.summary, "citation": f.citation} for f in perturb.FILLS.values()
    ],
    "samples": lambda: [{"name": n, "title": s.title, "summary": s.sentence} for n, s in EVERY.items()],
    "metrics": lambda: [metric.as_dict() for metric in METRICS.values()],
}


def _run(options: argparse.Namespace) -> None:
    rows = _LISTS[options.what]()
    if options.json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    wide = max(len(row["name"]) for row in rows)
    for row in rows:
        print(f"{row['name']:<{wide}}  {row['summary']}")
        for setting in row.get("settings", []):
            print(f"{'':<{wide}}    --set {setting['name']}={setting['default']}  {setting['help']}")
