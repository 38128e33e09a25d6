"""The items of a report: the images, charts and tables of a result, a comparison, a study or a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from perturb.core.colour import (
    blend,
    colour_map,
    label_colours,
    limit_of,
    outline,
    overlay,
    readable_limit,
    tint,
    to_uint8,
)
from perturb.core.files import npz, png
from perturb.core.notebook import curve_lines
from perturb.core.settings import shown as shown_settings
from perturb.core.svg import number
from perturb.core.versions import versions
from perturb.experiments.study import Study, study_contents
from perturb.export import writer
from perturb.export.report.document import Chart, Item, Plate, Table
from perturb.images.image import Image
from perturb.methods.attribution import Attribution
from perturb.methods.registry import METHODS
from perturb.metrics.curves import Curves, record_of
from perturb.metrics.fill_ranks import FILL_TITLES, FILLS
from perturb.metrics.registry import METRICS
from perturb.metrics.scorecard import Faithfulness, contents
from perturb.segmenters.base import Segmenter
from perturb.targets.target import shares

WHITE, DARK, MASK_COLOUR = (255, 255, 255), (20, 20, 20), (255, 0, 200)


def item_of(result: Attribution, link: str = "", shown: str = "score", curves: Curves | None = None) -> Item:
    """A result as an item: the image with its region, the segmentation, the map, its curves, and how to reproduce it.

    Args:
        result: from `perturb.explain`.
        link: URL that opens it again.
        shown: name in `result.maps` of a second map to show.
        curves: of its map, to show and to write; none by default.
    """
    image, frozen, segmenter = result.image, result.frozen, result.segmenter
    canvas = outline(outline(to_uint8(image.pixels), frozen.region, DARK, width=2), frozen.region, WHITE)
    legend = _legend(frozen.labels, segmenter.classes, segmenter.palette)
    plates = [
        Plate(
            "Image",
            png(canvas),
            f"{image.name}; the explained region is outlined",
            f"Outlined: the explained region, {int(frozen.region.sum()):,} pixels. {' '.join(image.notes)}".strip(),
        ),
        Plate(
            "Clean segmentation",
            png(blend(image.pixels, label_colours(frozen.labels, segmenter.palette), 0.7)),
            f"Clean segmentation of {image.name} by {segmenter.name}",
            legend=legend,
        ),
    ]
    plates += [_map_of(result, name) for name in dict.fromkeys(("score", shown)) if name in result.maps]
    used = {setting.name for setting in shown_settings(METHODS[result.method].settings, result.settings)}
    return Item(
        title=f"{frozen.name} on {image.name}: {METHODS[result.method].title}",
        plates=tuple(plates),
        charts=() if curves is None else tuple(_chart_of(curves, kind) for kind in ("deletion", "insertion")),
        tables=() if curves is None else (_areas(curves),),
        record=record_of(result, curves),
        unused=frozenset(f"settings.{name}" for name in result.settings if name not in used),
        files=lambda: writer.contents(result, curves),
        code=writer.python_lines(result, curves),
        command=writer.command_line(result, curves),
        link=link,
        sentences=result.notes if curves is None else (curves.verdict(), *result.notes),
    )


def item_of_comparison(made: Faithfulness, image: Image, label: str, link: str = "") -> Item:
    """A comparison of maps as an item: every map on its own scale, and the table of all metrics.

    Args:
        made: from `perturb.compare`.
        image: the image of the maps.
        label: the class that they explain.
        link: URL that opens it again.
    """
    plates = []
    for scored in made.maps:
        limit = readable_limit(scored.heatmap)
        painted = overlay(image.pixels, scored.heatmap, limit=limit, signed=scored.signed)
        bar = (limit, "in the map's own unit" + _beyond(scored.heatmap, limit), scored.signed)
        title = f"{scored.name} ({scored.kind})"
        plates.append(Plate(title, png(painted), f"Map of {scored.name}", " ".join(scored.notes), bar))
    rows = tuple(
        (f"{METRICS[name].title} {METRICS[name].arrow}".strip(), *(_cell(scored.values[name]) for scored in made.maps))
        for name in made.maps[0].values
    )
    names = tuple(scored.name for scored in made.maps)
    return Item(
        title=f"{label} on {image.name}: {len(made.methods)} maps compared",
        plates=tuple(plates),
        charts=(),
        tables=(Table("All metrics; the last columns are the controls", ("metric", *names), rows), *_fill_tables(made)),
        record={
            "image": {"name": image.name, "digest": image.digest},
            "class": label,
            "wrong_share": _cell(made.wrong_share),
            "versions": versions(),
        },
        files=lambda: contents(made),
        link=link,
        sentences=tuple(each.statement for each in made.fill_ranks()),
    )


def item_of_study(made: Study, link: str = "") -> Item:
    """An occlusion study as an item: all maps on one scale, and the table of all occluders."""
    first = made.trials[0].result
    names = ", ".join(trial.name for trial in made.trials)
    record = first.as_dict()
    rows = made.rows()
    sizes = len({trial.result.settings["size"] for trial in made.trials})
    return Item(
        title=f"{first.frozen.name} on {first.image.name}: {len(rows)} occluders",
        plates=(
            Plate(
                "Maps on one common scale",
                png(made.grid(sizes)),
                f"Heat maps under {names}",
                f"Row by row, from left to right: {names}.",
                (made.limit, first.unit(), True),
            ),
        ),
        charts=(),
        tables=(Table("All occluders", tuple(rows[0]), tuple(tuple(map(_cell, row.values())) for row in rows)),),
        record={part: record[part] for part in ("image", "segmenter", "target", "seed", "versions")},
        files=lambda: study_contents(made),
        link=link,
    )


def item_of_arrays(
    title: str, arrays: Mapping[str, npt.NDArray[Any]], image: Image, segmenter: Segmenter, link: str = ""
) -> Item:
    """Arrays that a page shows, as an item: each array of the size of the image becomes an image.

    Args:
        title: of the item.
        arrays: by name, `(H, W)` each: class indices (int), masks (bool) and maps (float). Arrays of other shapes are
            only written to the files.
        image, segmenter: to which they belong.
        link: URL that opens them again.
    """
    named = {name: array for name, array in arrays.items() if array.shape == (image.height, image.width)}
    return Item(
        title=title,
        plates=tuple(_array_plate(name, array, image, segmenter) for name, array in named.items()),
        charts=(),
        tables=(),
        record={
            "image": {"name": image.name, "digest": image.digest},
            "segmenter": {"name": segmenter.name, "digest": segmenter.digest},
            "arrays": list(arrays),
            "versions": versions(),
        },
        files=lambda: {"arrays.npz": npz(arrays)},
        link=link,
    )


def _array_plate(name: str, array: npt.NDArray[Any], image: Image, segmenter: Segmenter) -> Plate:
    if array.dtype == np.bool_:
        mask = outline(tint(to_uint8(image.pixels), array, MASK_COLOUR), array, MASK_COLOUR)
        counted = f"{int(array.sum()):,} pixels"
        return Plate(name, png(mask), f"{name} on {image.name}: {counted}", f"Tinted: {counted}.")
    if array.dtype.kind in "iu":
        palette = np.vstack([segmenter.palette, np.full((1, 3), 127, np.uint8)])  # grey where there is no class
        labels = np.where((array >= 0) & (array < len(segmenter.classes)), array, len(segmenter.classes))
        canvas = blend(image.pixels, label_colours(labels, palette), 0.7)
        legend = _legend(labels, (*segmenter.classes, "no class"), palette)
        return Plate(name, png(canvas), f"{name} of {image.name}", legend=legend)
    limit, signed = readable_limit(array), bool(array.min() < 0)
    low, high = number(float(array.min()), signed=signed), number(float(array.max()), signed=signed)
    return Plate(
        name,
        png(colour_map(array, limit=limit, signed=signed)),
        f"{name} of {image.name}, from {low} to {high}",
        f"From {low} to {high}{_beyond(array, limit)}.",
        (limit, name, signed),
    )


def _legend(
    labels: npt.NDArray[Any], classes: tuple[str, ...], palette: npt.NDArray[np.uint8]
) -> tuple[tuple[str, str, float], ...]:
    return tuple(
        (name, "#{:02x}{:02x}{:02x}".format(*palette[classes.index(name)].tolist()), share)
        for name, share in shares(labels, classes)
    )


def _cell(value: object) -> str:
    """A value in a table: three digits, and n/a where undefined."""
    return "n/a" if value is None else number(value) if isinstance(value, float) else str(value)


def _map_of(result: Attribution, name: str) -> Plate:
    values = result.maps[name] - np.float32(result.neutral) if name == "score" else result.maps[name]
    limit, signed, unit = readable_limit(values), result.signed(name), result.unit(name)
    canvas = outline(overlay(result.image.pixels, values, limit=limit, signed=signed), result.frozen.region, DARK)
    raw, raw_unit = result.maps[name], result.raw_unit(name)
    low, high = number(float(raw.min()), signed=signed), number(float(raw.max()), signed=signed)
    return Plate(
        f"Heat map: {name}",
        png(canvas),
        f"Heat map of {name} for {result.frozen.name}, from {low} to {high} {raw_unit}",
        f"{METHODS[result.method].captions.get(name, '')} Raw range: {low} to {high} {raw_unit}; the clean score is "
        f"{number(float(result.clean.score[0]))}.".strip(),
        (limit, unit + _beyond(values, limit), signed),
    )


def _beyond(values: npt.NDArray[np.float32], limit: float) -> str:
    return "; larger values have the colour of the end" if limit < limit_of(values) else ""


def _chart_of(made: Curves, kind: str) -> Chart:
    own, control = getattr(made, kind), getattr(made, f"random_{kind}")
    done = "hidden" if kind == "deletion" else "restored"
    return Chart(
        f"{kind.capitalize()} (fill: {made.fill})",
        curve_lines(made, kind),
        f"{kind} curve: area {own.auc:.3f}, random order {control.auc:.3f}",
        f"pixels {done}, most important first",
        f"share of the clean {made.score}" if made.score != "logit" else "score",
    )


def _fill_tables(made: Faithfulness) -> tuple[Table, ...]:
    found = made.fill_ranks()
    if not found:
        return ()
    header = ("map", *(f"{each.order}, {FILL_TITLES[fill]}" for each in found for fill in FILLS))
    rows = tuple(
        (scored.name, *(str(rank) for each in found for rank in each.ranks[scored.name])) for scored in made.methods
    )
    return (Table("Ranks under two fills, 1 for the best", header, rows),)


def _areas(made: Curves) -> Table:
    rows = []
    for kind in ("deletion", "insertion"):
        own, control, metric = getattr(made, kind), getattr(made, f"random_{kind}"), METRICS[f"{kind}_auc"]
        rows.append((f"{kind} {metric.arrow} ({metric.better} is better)", f"{own.auc:.3f}", f"{control.auc:.3f}",
                     f"{own.iou_auc:.3f}", f"{control.iou_auc:.3f}"))  # fmt: skip
    header = ("curve", "score", "random order", "IoU", "random order")
    return Table("Areas under the curves", header, tuple(rows))
