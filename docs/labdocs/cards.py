"""The pages of metrics, segmenters and samples, from their cards."""

from __future__ import annotations

import re
from typing import Any

import perturb

from .commands import listed
from .markdown import code, escaped, table

READ = {"lower": "↓ lower", "higher": "↑ higher", "control": "the control", "read": "read"}
GROUPS = {
    "curves": "Deletion and insertion",
    "road": "ROAD",
    "subject": "Subject or background hidden",
    "localisation": "Localisation",
    "concentration": "Concentration and noise",
    "errors": "Errors of the segmenter",
    "cost": "Cost",
}


def metrics() -> str:
    """A table of all metrics, then the cards by group."""
    every = listed("metrics")
    rows = [(f"[`{m['name']}`](#metric-{m['name']})", m["summary"], READ.get(m["better"], m["better"])) for m in every]
    parts = [table(("name", "what it measures", "better"), rows)]
    for group in dict.fromkeys(metric["group"] for metric in every):
        parts.append(f"## {GROUPS.get(group, group.capitalize())}")
        parts += [_metric(metric) for metric in every if metric["group"] == group]
    return "\n\n".join(parts)


def _metric(metric: dict[str, Any]) -> str:
    facts = {
        "Formula": metric["formula"],
        "Range": metric["range"],
        "Better": READ.get(metric["better"], metric["better"]),
        "Assumes": metric["assumptions"],
        "How it can be gamed": metric["gamed"],
        "Cost in forward passes": metric["cost"],
        "Source": metric["citation"],
    }
    lines = "\n".join(f"- **{name}:** {escaped(str(text))}" for name, text in facts.items() if text)
    anchor = f"(metric-{metric['name']})="
    return f"{anchor}\n### {metric['title']}\n\n`{metric['name']}` · {escaped(metric['summary'])}\n\n{lines}"


def segmenters() -> str:
    """A table of all segmenters, then a section each: its card, and its model card where there is one."""
    every = listed("segmenters")
    rows = [(f"[`{s['name']}`](#segmenter-{s['name']})", s["summary"]) for s in every]
    return "\n\n".join([table(("name", "what it is"), rows), *map(_segmenter, every)])


def _segmenter(card: dict[str, Any]) -> str:
    figures = "; ".join(f"mIoU {f['miou']:.3f} on {f['where']} (by {f['by']})" for f in card.get("figures", ()))
    facts = {
        "Architecture": card.get("architecture"),
        "Classes": ", ".join(map(str, card.get("classes", ()))),
        "Parameters": f"{card['parameters']:,}" if card.get("parameters") else "",
        "Weights": f"{card['megabytes']:.1f} MB" if card.get("megabytes") else "",
        "Trained on": card.get("data"),
        "Licence": card.get("licence"),
        "Accuracy": figures,
        "Speed": card.get("speed"),
        "Use": card.get("use"),
    }
    parts = [f"(segmenter-{card['name']})=\n## `{card['name']}`", escaped(card["summary"])]
    parts.append("\n".join(f"- **{name}:** {escaped(str(text))}" for name, text in facts.items() if text))
    model_card = perturb.SEGMENTERS[card["name"]].card().text
    if model_card:
        # Folded, so that its headings are plain bold lines: a section cannot begin inside and end outside.
        body = re.sub(r"^#+ (.*)$", r"**\1**", model_card.partition("\n")[2], flags=re.MULTILINE)
        body = re.sub(r"\]\(([\w-]+)\.md\)", r"](#segmenter-\1)", body)
        parts.append(f"<details>\n<summary>Model card</summary>\n\n{body.strip()}\n\n</details>")
    return "\n\n".join(part for part in parts if part)


def samples() -> str:
    """A table of the bundled sample images."""
    rows = [(code(sample["name"]), sample["title"], sample["summary"]) for sample in listed("samples")]
    return table(("name", "title", "what to look for"), rows)
