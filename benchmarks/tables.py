"""The claims' statistics over many pictures, as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import spearmanr

from benchmarks.claims import CLAIMS, Cell, Relation, Statistic

Groups = dict[str, Callable[[Cell], bool]]

KINDS: Groups = {
    "all": lambda cell: True,
    "drawn": lambda cell: cell["kind"] == "drawn",
    "photographs": lambda cell: cell["kind"] == "photograph",
    "seen in training": lambda cell: cell["kind"] == "seen in training",
}
BY_LIGHT: Groups = {
    "darker than its picture": lambda cell: cell["object_brightness"] < cell["brightness"],
    "brighter": lambda cell: cell["object_brightness"] >= cell["brightness"],
}
BY_CLASS: Groups = {
    name: lambda cell, name=name: cell["class"] == name  # type: ignore[misc]
    for name in ("car", "bicyclist", "pedestrian")
}


def tables(cells: Sequence[Cell]) -> str:
    """All tables in Markdown: of each claim by kind of picture, then of all by class. Counts pictures without a class."""
    used = [cell for cell in cells if cell["class"]]
    parts = [f"{len(used)} pictures; {len(cells) - len(used)} without a class large enough."]
    for title, rows in CLAIMS.items():
        groups = KINDS | (BY_LIGHT if title.startswith("3") else {})
        parts.append(f"### {title}\n\n{_table(rows, used, groups)}")
    every = [row for rows in CLAIMS.values() for row in rows]
    parts.append(f"### By class\n\n{_table(every, used, BY_CLASS)}")
    return "\n\n".join(parts)


def _table(rows: Sequence[Statistic | Relation], cells: Sequence[Cell], groups: Groups) -> str:
    kept = {name: chosen for name, holds in groups.items() if (chosen := [c for c in cells if holds(c)])}
    head = [f"{name} ({len(chosen)})" for name, chosen in kept.items()]
    lines = ["| | bar | " + " | ".join(head) + " |", "|---" * (len(head) + 2) + "|"]
    for row in rows:
        entries = [_entry(row, chosen, interval=name == "all") for name, chosen in kept.items()]
        bar = row.bar if isinstance(row, Statistic) else "ρ"
        lines.append(f"| {row.name} | {bar} | " + " | ".join(entries) + " |")
    return "\n".join(lines)


def _entry(row: Statistic | Relation, cells: Sequence[Cell], *, interval: bool) -> str:
    if isinstance(row, Relation):
        pairs = np.array([(row.one(cell), row.other(cell)) for cell in cells], dtype=float)
        if len(pairs) < 8:
            return "–"
        low, high = _interval(pairs, lambda chosen: float(spearmanr(*chosen.T).statistic))
        return f"{spearmanr(*pairs.T).statistic:.2f} [{low:.2f}, {high:.2f}]"
    found = [row.number(cell) for cell in cells]
    values = np.array([value for value in found if value is not None], dtype=float)
    if not len(values):
        return "–"
    low, high = _interval(values, lambda chosen: float(np.median(chosen)))
    held = sum(row.clears(float(value)) for value in values)
    between = f" [{_short(low)}, {_short(high)}]" if interval else ""
    return f"{_short(float(np.median(values)))}{between}, {held}/{len(values)}"


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2g}"


def _interval(values: np.ndarray, statistic: Callable[[np.ndarray], float], draws: int = 2000) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval over the pictures, seeded."""
    generator = np.random.default_rng(0)
    drawn = [statistic(values[generator.integers(0, len(values), len(values))]) for _ in range(draws)]
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(low), float(high)
