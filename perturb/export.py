"""Writing a result: a whole folder, or nothing."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image

from perturb.colour import limit_of, overlay, readable_limit, with_colour_bar
from perturb.curves import FILL, Curves
from perturb.curves import curves as compute_curves
from perturb.folders import check_directory, csv_bytes, npy, write_folder, zip_of
from perturb.images import Image
from perturb.methods import METHODS
from perturb.quoting import json_file, python_literal
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


def save(result: Result, directory: str | Path, *, curves: bool = True) -> Path:
    """Write a result into a folder, replacing an earlier result; the folder is whole or as it was before.

    Args:
        result: to write.
        directory: new, empty, or of an earlier result.
        curves: whether to compute curves that were not computed yet; see `contents`.

    Returns:
        The folder.

    Raises:
        ExportError: the folder holds something else, or cannot be written.
    """
    return write_folder(check(directory), lambda: contents(result, curves=curves))


def to_zip(result: Result) -> bytes:
    """The same files as one zip archive."""
    return zip_of(contents(result))


def contents(result: Result, *, curves: bool = True) -> dict[str, bytes]:
    """All files of a result by name.

    Args:
        result: to write.
        curves: whether to compute curves with their defaults if none were computed yet. Without any curves there is no
            `curves.csv`, and `result.json` and `reproduce.py` do not speak of them.
    """
    made = result.latest_curves or (compute_curves(result) if curves else None)
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
        **{name: npy(array) for name, array in arrays.items()},
        "overlay.png": png(painted),
        **({} if made is None else {"curves.csv": curves_csv(made).encode()}),
        "readings.csv": readings_csv(result).encode(),
        "result.json": json_file(result.as_dict()),
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
    rows = [
        (name, *row)
        for name, curve in made.items()
        for row in zip(curve.fraction, curve.score.mean(0), curve.iou.mean(0), strict=True)
    ]
    return csv_bytes(("curve", "fraction", "score", "iou"), rows, digits=9).decode()


def readings_csv(result: Result) -> str:
    """Every perturbation's readings, a row each."""
    columns = [getattr(result.readings, column) for column in COLUMNS]
    rows = [(index, *row) for index, row in enumerate(zip(*columns, strict=True))]
    return csv_bytes(("index", *COLUMNS), rows, digits=9).decode()


def python_lines(result: Result) -> str:
    """The Python lines that make this result again."""
    settings = "".join(f"    {name}={python_literal(value)},\n" for name, value in settings_of(result).items())
    if "precision" in result.facts:
        settings += f"    precision={python_literal(result.facts['precision'])},\n"
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
            *_last_lines(result),
            "",
        )
    )


def picture_lines(image: Image) -> list[str]:
    """The lines that load a picture as `image`, with its ground truth, and check that it is this one."""
    same = f'assert image.digest == {python_literal(image.digest)}, "another picture"'
    if is_sample(image):
        return [f"image = perturb.sample({python_literal(image.name)})", same]
    lines = [f'image = perturb.load_image("PATH OF YOUR PICTURE", max_side={max(image.height, image.width)})', same]
    if image.truth is not None:
        names = f", {python_literal(list(image.truth_classes))}" if image.truth_classes else ""
        void = f", ignore_index={list(image.truth_ignored)}" if image.truth_ignored else ""
        lines += [
            f'image = image.with_truth("PATH OF ITS MASK OF CLASS INDICES"{names}{void})',
            f'assert image.key == {python_literal(image.key)}, "another ground truth"',
        ]
    return lines


def segmenter_lines(segmenter: Segmenter, name: str = "segmenter") -> list[str]:
    """The lines that load a segmenter as `name`, and check that it is this one."""
    return [
        f"{name} = {segmenter.recipe or f'perturb.load_segmenter({python_literal(segmenter.name)})'}",
        f'assert {name}.digest == {python_literal(segmenter.digest)}, "another segmenter"',
    ]


def target_line(result: Result) -> str:
    """The line that says what was explained, as `target`."""
    target = result.frozen.target
    label, region, score = map(python_literal, (result.frozen.name, target.region, target.score))
    return f"target = perturb.Target({label}, region={region}, score={score})"


def settings_of(result: Result) -> dict[str, Value]:
    """Method, seed and the settings that mattered, by their names in `explain`."""
    matter = shown(METHODS[result.method].settings, result.settings)
    return {"method": result.method, "seed": result.seed, **{s.name: result.settings[s.name] for s in matter}}


def _last_lines(result: Result) -> list[str]:
    """The lines that compute the curves, if there are any, and write the files."""
    made = result.latest_curves
    if made is None:
        return ['result.save("out", curves=False)']
    options = "" if made.fill == FILL else f", fill={python_literal(made.fill)}"
    return [f"curves = perturb.curves(result{options})", "print(curves.metrics())", 'result.save("out")']
