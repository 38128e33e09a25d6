"""Writing a result: a whole folder, or nothing."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image

from perturb.colour import limit_of, overlay, readable_limit, with_colour_bar
from perturb.curves import FILL, Curves, curves
from perturb.folders import check_directory, write_folder, zip_of
from perturb.images import Image
from perturb.methods import METHODS
from perturb.results import COLUMNS, Result
from perturb.samples import is_sample
from perturb.segmenters.base import Segmenter
from perturb.settings import Value, shown

FILES = (
    "heatmap.npy",
    "lost.npy",
    "gained.npy",
    "overlay.png",
    "curves.csv",
    "readings.csv",
    "result.json",
    "reproduce.py",
)
"""What a folder may hold besides the method's other maps and `segments.npy`; one that holds anything else is never replaced."""

UNITS = {"logit": "drop in logit", "probability": "drop in probability", "iou": "drop in IoU"}
"""What a heat map is measured in."""


def check(directory: str | Path) -> Path:
    """Whether a result may be written to a folder: it is new, empty, or holds an earlier result.

    Raises:
        ExportError: it holds something else, or is a file.
    """
    return check_directory(directory, "result.json", lambda name: name in FILES or name.endswith(".npy"))


def save(result: Result, directory: str | Path) -> Path:
    """Write a result into a folder, replacing an earlier result; the folder is whole or as it was before.

    Returns:
        The folder.

    Raises:
        ExportError: the folder holds something else, or cannot be written.
    """
    return write_folder(check(directory), lambda: contents(result))


def to_zip(result: Result) -> bytes:
    """The same files as one zip archive."""
    return zip_of(contents(result))


def contents(result: Result) -> dict[str, bytes]:
    """All files of a result by name. Curves that were not computed yet are computed with their defaults."""
    made = result.latest_curves or curves(result)
    values = result.heatmap - np.float32(result.neutral)
    limit = readable_limit(values)
    painted = with_colour_bar(
        overlay(result.image.pixels, values, limit=limit, signed=result.signed()),
        limit=limit,
        unit=unit_of(result, "score"),
        signed=result.signed(),
        beyond=limit < limit_of(values),
    )
    arrays: dict[str, npt.NDArray[Any]] = {"heatmap.npy": result.heatmap}
    arrays |= {f"{name}.npy": other for name, other in result.maps.items() if name != "score"}
    if result.segments is not None:
        arrays["segments.npy"] = result.segments
    return {
        **{name: _npy(array) for name, array in arrays.items()},
        "overlay.png": png(painted),
        "curves.csv": curves_csv(made).encode(),
        "readings.csv": readings_csv(result).encode(),
        "result.json": (json.dumps(result.as_dict(), indent=2, ensure_ascii=False) + "\n").encode(),
        "reproduce.py": python_lines(result).encode(),
    }


def unit_of(result: Result, name: str) -> str:
    """What a map of a result is measured in, for its colour bar."""
    if name in ("lost", "gained"):
        return f"pixels {name}"
    if name == "input":
        return result.frozen.target.score  # gradient × input
    score = result.frozen.target.score
    if result.neutral:
        return f"{score} above {result.neutral:.3g}"
    return str(result.facts.get("unit", UNITS[score]))


def png(pixels: npt.NDArray[Any]) -> bytes:
    """uint8 `(H, W, 3)` or `(H, W)` as a PNG file."""
    buffer = io.BytesIO()
    # A few percent larger than usual, in a fifth of the time; a page shows half a dozen.
    PIL.Image.fromarray(pixels).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def curves_csv(made: Curves) -> str:
    """The four curves as `curve,fraction,score,iou`; a control is the mean of its draws."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("curve", "fraction", "score", "iou"))
    for name, curve in made.items():
        for row in zip(curve.fraction, curve.score.mean(0), curve.iou.mean(0), strict=True):
            writer.writerow((name, *(f"{value:.9g}" for value in row)))
    return buffer.getvalue()


def readings_csv(result: Result) -> str:
    """Every perturbation's readings, a row each."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("index", *COLUMNS))
    columns = [getattr(result.readings, column) for column in COLUMNS]
    for index, row in enumerate(zip(*columns, strict=True)):
        writer.writerow((index, *(f"{value:.9g}" if isinstance(value, float) else value for value in row)))
    return buffer.getvalue()


def python_lines(result: Result) -> str:
    """The Python lines that make this result again."""
    settings = "".join(f"    {name}={json.dumps(value)},\n" for name, value in settings_of(result).items())
    if "precision" in result.facts:
        settings += f'    precision="{result.facts["precision"]}",\n'
    first = result.frozen.first
    elsewhere: list[str] = []
    if first is not None:
        elsewhere = ["from perturb.differences import shared_region", *segmenter_lines(first, "first")]
        settings += "    frozen=shared_region(target, image, segmenter, first=first),\n"
    return "\n".join(
        (
            "import perturb",
            "",
            *picture_lines(result.image),
            *segmenter_lines(result.segmenter),
            *elsewhere,
            target_line(result),
            f"result = perturb.explain(\n    image,\n    segmenter,\n    target,\n{settings})",
            f"curves = perturb.curves(result{_curve_options(result)})",
            "print(curves.metrics())",
            'result.save("out")',
            "",
        )
    )


def picture_lines(image: Image) -> list[str]:
    """The lines that load a picture as `image`, with its ground truth, and check that it is this one."""
    same = f'assert image.digest == "{image.digest}", "another picture"'
    if is_sample(image):
        return [f'image = perturb.sample("{image.name}")', same]
    lines = [f'image = perturb.load_image("PATH OF YOUR PICTURE", max_side={max(image.height, image.width)})', same]
    if image.truth is not None:
        names = f", {json.dumps(list(image.truth_classes), ensure_ascii=False)}" if image.truth_classes else ""
        void = f", ignore_index={list(image.truth_ignored)}" if image.truth_ignored else ""
        lines += [
            f'image = image.with_truth("PATH OF ITS MASK OF CLASS INDICES"{names}{void})',
            f'assert image.key == "{image.key}", "another ground truth"',
        ]
    return lines


def segmenter_lines(segmenter: Segmenter, name: str = "segmenter") -> list[str]:
    """The lines that load a segmenter as `name`, and check that it is this one."""
    return [
        f"{name} = {segmenter.recipe or f'perturb.load_segmenter({json.dumps(segmenter.name)})'}",
        f'assert {name}.digest == "{segmenter.digest}", "another segmenter"',
    ]


def target_line(result: Result) -> str:
    """The line that says what was explained, as `target`."""
    target = result.frozen.target
    return f'target = perturb.Target("{result.frozen.name}", region="{target.region}", score="{target.score}")'


def settings_of(result: Result) -> dict[str, Value]:
    """Method, seed and the settings that mattered, by their names in `explain`."""
    matter = shown(METHODS[result.method].settings, result.settings)
    return {"method": result.method, "seed": result.seed, **{s.name: result.settings[s.name] for s in matter}}


def _curve_options(result: Result) -> str:
    made = result.latest_curves
    return "" if made is None or made.fill == FILL else f', fill="{made.fill}"'


def _npy(array: npt.NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
