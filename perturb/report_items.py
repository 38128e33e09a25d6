"""What a report says about a run: its pictures, curves and numbers, made from the result."""

from __future__ import annotations

from typing import Any

import numpy as np

from perturb import export
from perturb.cards import METRICS
from perturb.colour import blend, label_colours, limit_of, outline, overlay, to_uint8
from perturb.curves import Curves
from perturb.drawings import Line, number
from perturb.faithfulness import Faithfulness, contents
from perturb.methods import METHODS
from perturb.report import Chart, Item, Plate, Table
from perturb.results import Result, versions
from perturb.targets import shares

MAP_COLOUR, CONTROL_COLOUR = "#c2410c", "#7d828b"
WHITE, DARK = (255, 255, 255), (20, 20, 20)


def item_of(result: Result, link: str = "", shown: str = "score") -> Item:
    """A run for a report: the picture with its region, the segmentation, the map, its curves, and how to make it again.

    Args:
        result: from `perturb.explain`; its latest curves are shown if there are any.
        link: opens it again.
        shown: a map to show beside the score's, by its name in `result.maps`.
    """
    image, frozen, segmenter = result.image, result.frozen, result.segmenter
    canvas = outline(outline(to_uint8(image.pixels), frozen.region, DARK, width=2), frozen.region, WHITE)
    legend = tuple(
        (name, "#{:02x}{:02x}{:02x}".format(*segmenter.palette[segmenter.classes.index(name)].tolist()), share)
        for name, share in shares(frozen.labels, segmenter.classes)
    )
    plates = [
        Plate(
            "Picture",
            export.png(canvas),
            f"{image.name}; the explained region is outlined",
            f"Outlined: the explained region, {int(frozen.region.sum()):,} pixels. {' '.join(image.notes)}".strip(),
        ),
        Plate(
            "Clean segmentation",
            export.png(blend(image.pixels, label_colours(frozen.labels, segmenter.palette), 0.7)),
            f"Clean segmentation of {image.name} by {segmenter.name}",
            legend=legend,
        ),
    ]
    plates += [_map_of(result, name) for name in dict.fromkeys(("score", shown)) if name in result.maps]
    made = result.latest_curves
    return Item(
        title=f"{frozen.name} on {image.name}: {METHODS[result.method].title}",
        plates=tuple(plates),
        charts=() if made is None else tuple(_chart_of(made, kind) for kind in ("deletion", "insertion")),
        tables=() if made is None else (_areas(made),),
        record=result.as_dict(),
        files=lambda: export.contents(result),
        code=export.python_lines(result),
        link=link,
        sentences=result.notes,
    )


def item_of_comparison(made: Faithfulness, title: str, link: str = "") -> Item:
    """A comparison of maps for a report: every map on its own scale, and the table of all metrics."""
    metrics = [METRICS[name] for name in made.maps[0].values]
    plates = []
    for judged in made.maps:
        limit = limit_of(judged.heatmap)
        plates.append(
            Plate(
                f"{judged.name} ({judged.kind})",
                export.png(_painted(judged.heatmap, limit, judged.signed)),
                f"Map of {judged.name}",
                " ".join(judged.notes),
                (limit, "in the map's own unit", judged.signed),
            )
        )
    rows = tuple(
        (
            f"{metric.title} {metric.arrow}".strip(),
            *("n/a" if (value := judged.values[metric.name]) is None else number(float(value)) for judged in made.maps),
        )
        for metric in metrics
    )
    table = Table("All metrics; the last columns are the controls", ("metric", *(m.name for m in made.maps)), rows)
    record = {"maps": [m.name for m in made.maps], "wrong_share": made.wrong_share, "versions": versions()}
    return Item(title, tuple(plates), (), (table,), record, lambda: contents(made), link=link)


def _map_of(result: Result, name: str) -> Plate:
    values = result.maps[name] - np.float32(result.neutral) if name == "score" else result.maps[name]
    limit, signed, unit = limit_of(values), result.signed(name), export.unit_of(result, name)
    canvas = outline(overlay(result.image.pixels, values, limit=limit, signed=signed), result.frozen.region, DARK)
    raw = result.maps[name]
    low, high = number(float(raw.min()), signed=signed), number(float(raw.max()), signed=signed)
    return Plate(
        f"Heat map: {name}",
        export.png(canvas),
        f"Heat map of {name} for {result.frozen.name}, from {low} to {high} {unit}",
        f"{METHODS[result.method].captions.get(name, '')} Raw range: {low} to {high} {unit}; the clean score is "
        f"{number(float(result.clean.score[0]))}.".strip(),
        (limit, unit, signed),
    )


def _painted(values: Any, limit: float, signed: bool) -> Any:
    return overlay(np.ones((*values.shape, 3), np.float32), values, limit=limit, opacity=1.0, signed=signed)


def _chart_of(made: Curves, kind: str) -> Chart:
    own, control = getattr(made, kind), getattr(made, f"random_{kind}")
    draws = control.score
    lines = (
        Line("random order", control.fraction, draws.mean(0), CONTROL_COLOUR, True, draws.min(0), draws.max(0)),
        Line("this map", own.fraction, own.score[0], MAP_COLOUR),
    )
    done = "hidden" if kind == "deletion" else "restored"
    return Chart(
        f"{kind.capitalize()} (fill: {made.fill})",
        lines,
        f"{kind} curve: area {own.auc:.3f}, random order {control.auc:.3f}",
        f"pixels {done}, most important first",
        "share of the clean score" if made.score != "logit" else "score",
    )


def _areas(made: Curves) -> Table:
    rows = []
    for kind in ("deletion", "insertion"):
        own, control, metric = getattr(made, kind), getattr(made, f"random_{kind}"), METRICS[f"{kind}_auc"]
        rows.append((f"{kind} {metric.arrow} ({metric.better} is better)", f"{own.auc:.3f}", f"{control.auc:.3f}",
                     f"{own.iou_auc:.3f}", f"{control.iou_auc:.3f}"))  # fmt: skip
    header = ("curve", "score", "random order", "IoU", "random order")
    return Table("Areas under the curves", header, tuple(rows))
