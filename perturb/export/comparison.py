"""Write several explanations of one image: maps, the difference of two, curves, the record, and code to reproduce it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy.typing as npt

from perturb.core.errors import SettingError
from perturb.core.files import csv_bytes, npz
from perturb.core.quoting import json_file, python_literal
from perturb.experiments.comparison import agreement, difference_of, disagreement, mismatches
from perturb.export.writer import image_lines, segmenter_lines, settings_of, target_line
from perturb.methods.attribution import Attribution
from perturb.metrics.curves import Curves, record_of
from perturb.segmenters.base import Segmenter

Panes = Mapping[int, Attribution]
PaneCurves = Mapping[int, Curves]
NO_CURVES: PaneCurves = MappingProxyType({})
AUCS = (
    "deletion_auc",
    "random_deletion_auc",
    "deletion_iou_auc",
    "insertion_auc",
    "random_insertion_auc",
    "insertion_iou_auc",
)


def contents(panes: Panes, pair: tuple[int, int] | None, how: str, curves: PaneCurves = NO_CURVES) -> dict[str, bytes]:
    """All files of a comparison by name.

    Args:
        panes: results of one image and target, by pane number.
        pair: numbers of the two panes to subtract; None for no difference.
        how: the normalisation before the subtraction, a name in `perturb.metrics.measures.NORMALISATIONS`.
        curves: of the panes that have curves, by pane number.

    Returns:
        `maps.npz` (maps, regions and segmentations of all panes, and the difference), `compare.json` and
        `reproduce.py`; with a pair also `agreement.csv`, `class_pairs.csv` and `class_iou.csv`; with curves also
        `curves.csv` and `auc.csv`.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    for number, result in panes.items():
        arrays[f"map_{number}"] = result.heatmap
        arrays[f"region_{number}"] = result.frozen.region
        arrays[f"segmentation_{number}"] = result.frozen.labels
    record: dict[str, Any] = {
        "panes": {str(number): record_of(result, curves.get(number)) for number, result in panes.items()}
    }
    files: dict[str, bytes] = {}
    if pair is not None:
        a, b = panes[pair[0]], panes[pair[1]]
        record["pair"] = {"a": pair[0], "b": pair[1], "normalised": how, "mismatches": mismatches(a, b)}
        try:
            arrays["difference"], record["pair"]["unit"] = difference_of(a, b, how)
        except SettingError as error:
            record["pair"]["no_difference"] = str(error)
        apart = disagreement(a.frozen.labels, a.segmenter.classes, b.frozen.labels, b.segmenter.classes)
        arrays["disagreement"] = apart.mask
        found = agreement(a.centred, b.centred)
        files["agreement.csv"] = csv_bytes(("measure", "value"), list(found._asdict().items()))
        files["class_pairs.csv"] = csv_bytes(("a", "b", "pixels", "share"), apart.pairs)
        files["class_iou.csv"] = csv_bytes(("class", "a_pixels", "b_pixels", "iou"), apart.overlaps)
    if curves:
        files["curves.csv"] = csv_bytes(("pane", "curve", "draw", "fraction", "score", "iou"), curve_rows(curves))
        files["auc.csv"] = csv_bytes(("pane", "method", "segmenter", *AUCS), auc_rows(panes, curves))
    return {
        "maps.npz": npz(arrays),
        **files,
        "compare.json": json_file(record),
        "reproduce.py": python_lines(panes, pair, how, curves).encode(),
    }


def curve_rows(curves: PaneCurves) -> list[tuple[int, str, int, float, float, float]]:
    """Pane, curve, draw (0 for a map's own curve), fraction, score and IoU of every point; see `perturb.curves`."""
    return [
        (number, name, draw, *point)
        for number, made in curves.items()
        for name, curve in made.items()
        for draw, (scores, ious) in enumerate(zip(curve.score, curve.iou, strict=True))
        for point in zip(curve.fraction.tolist(), scores.tolist(), ious.tolist(), strict=True)
    ]


def auc_rows(panes: Panes, curves: PaneCurves) -> list[tuple[Any, ...]]:
    """Pane, method, segmenter and the areas `AUCS` of each pane with curves."""
    rows = []
    for number, made in curves.items():
        result, areas = panes[number], made.metrics()
        rows.append((number, result.method, result.segmenter.name, *(areas[name] for name in AUCS)))
    return rows


def python_lines(panes: Panes, pair: tuple[int, int] | None, how: str, curves: PaneCurves = NO_CURVES) -> str:
    """Python code that reproduces a comparison; arguments as for `contents`."""
    results: Sequence[Attribution] = tuple(panes.values())
    used: dict[str, Segmenter] = {}
    for result in results:
        used.setdefault(result.segmenter_digest, result.segmenter)
        if result.frozen.first is not None:
            used.setdefault(result.frozen.first.digest, result.frozen.first)
    names = {digest: f"segmenter_{index}" for index, digest in enumerate(used, start=1)}
    lines = ["import perturb", "from perturb.experiments.comparison import agreement, difference_of, shared_region", ""]
    lines += image_lines(results[0].image)
    for digest, segmenter in used.items():
        lines += segmenter_lines(segmenter, digest, names[digest])
    lines += [target_line(results[0]), ""]
    for number, result in panes.items():
        own = names[result.segmenter_digest]
        settings = settings_of(result)
        arguments = "".join(f"    {name}={python_literal(value)},\n" for name, value in settings.items())
        first = result.frozen.first
        if first is not None:
            arguments += f"    frozen=shared_region(target, image, {own}, first={names[first.digest]}),\n"
        lines.append(f"result_{number} = perturb.explain(\n    image,\n    {own},\n    target,\n{arguments})")
    lines += [f"print(perturb.curves(result_{number}).metrics())" for number in curves]
    if pair is not None:
        a, b = (f"result_{number}" for number in pair)
        lines.append(f"print(agreement({a}.centred, {b}.centred))")
        lines.append(f"difference, unit = difference_of({a}, {b}, {python_literal(how)})")
        lines.append("print(difference.min(), difference.max(), unit)")
    return "\n".join([*lines, ""])
