"""Write a result to a folder or a zip archive, with the code and the command that reproduce it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from perturb.core.colour import limit_of, overlay, readable_limit, with_colour_bar
from perturb.core.files import check_directory, csv_bytes, npy, png, write_folder, zip_of
from perturb.core.quoting import json_file, python_literal, shell_line, shell_option
from perturb.core.settings import Value, shown
from perturb.images.image import MAX_SIDE, Image
from perturb.images.samples import is_sample
from perturb.methods.attribution import Attribution
from perturb.methods.registry import METHODS
from perturb.metrics.curves import FILL, Curves, record_of
from perturb.segmenters.base import Segmenter
from perturb.segmenters.registry import SEGMENTERS
from perturb.targets.readings import COLUMNS

FILES = (
    "heatmap.npy",
    "lost.npy",
    "gained.npy",
    "overlay.png",
    "curves.csv",
    "readings.csv",
    "result.json",
    "reproduce.py",
    "reproduce.sh",
)
"""The files of a result, besides further maps and `segments.npy`. A folder with any other file is never replaced."""


def check(directory: str | Path) -> Path:
    """Check that a result may be written to a folder: it is new, empty, or holds an earlier result.

    Returns:
        The folder.

    Raises:
        ExportError: it holds something else, or is a file.
    """
    return check_directory(directory, "result.json", lambda name: name in FILES or name.endswith(".npy"))


def save(result: Attribution, directory: str | Path, *, curves: Curves | None = None) -> Path:
    """Write the attribution map, overlay, curves, readings and record of a result to a folder, all or nothing.

    Args:
        result: from `perturb.explain`.
        directory: a new folder, an empty one, or one of an earlier result, which is replaced.
        curves: from `perturb.curves` of this result; see `contents`. Nothing is computed here.

    Returns:
        The folder.

    Raises:
        ExportError: the folder holds something else, or cannot be written.
    """
    return write_folder(check(directory), lambda: contents(result, curves))


def to_zip(result: Attribution, curves: Curves | None = None) -> bytes:
    """The same files as `save` writes, as a zip archive."""
    return zip_of(contents(result, curves))


def contents(result: Attribution, curves: Curves | None = None) -> dict[str, bytes]:
    """All files of a result by name.

    Args:
        result: the result to write.
        curves: of its map. Without them there is no `curves.csv`, and `result.json`, `reproduce.py` and `reproduce.sh`
            do not mention any.
    """
    values = result.heatmap - np.float32(result.neutral)
    limit = readable_limit(values)
    painted = with_colour_bar(
        overlay(result.image.pixels, values, limit=limit, signed=result.signed()),
        limit=limit,
        unit=result.unit(),
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
        **({} if curves is None else {"curves.csv": curves.as_csv().encode()}),
        "readings.csv": readings_csv(result).encode(),
        "result.json": json_file(record_of(result, curves)),
        "reproduce.py": python_lines(result, curves).encode(),
        "reproduce.sh": f"{command_line(result, curves)}\n".encode(),
    }


def readings_csv(result: Attribution) -> str:
    """The readings as CSV, one row for each perturbation."""
    columns = [getattr(result.readings, column) for column in COLUMNS]
    rows = [(index, *row) for index, row in enumerate(zip(*columns, strict=True))]
    return csv_bytes(("index", *COLUMNS), rows, digits=9).decode()


def python_lines(result: Attribution, curves: Curves | None = None) -> str:
    """Python code that reproduces this result, and its curves if given."""
    settings = "".join(f"    {name}={python_literal(value)},\n" for name, value in settings_of(result).items())
    if "precision" in result.facts:
        settings += f"    precision={python_literal(result.facts['precision'])},\n"
    first = result.frozen.first
    elsewhere: list[str] = []
    if first is not None:
        elsewhere = [
            "from perturb.experiments.comparison import shared_region",
            *segmenter_lines(first, first.digest, "first"),
        ]
        settings += "    frozen=shared_region(target, image, segmenter, first=first),\n"
    return "\n".join(
        (
            "import perturb",
            "",
            *image_lines(result.image),
            *segmenter_lines(result.segmenter, result.segmenter_digest),
            *elsewhere,
            target_line(result),
            f"result = perturb.explain(\n    image,\n    segmenter,\n    target,\n{settings})",
            *_last_lines(curves),
            "",
        )
    )


def image_lines(image: Image) -> list[str]:
    """Python lines that load the image as `image`, with its ground truth, and assert that it is the same."""
    same = f'assert image.digest == {python_literal(image.digest)}, "another image"'
    if is_sample(image):
        return [f"image = perturb.sample({python_literal(image.name)})", same]
    lines = [f'image = perturb.load_image("PATH OF YOUR IMAGE", max_side={max(image.height, image.width)})', same]
    if image.truth is not None:
        names = f", {python_literal(list(image.truth_classes))}" if image.truth_classes else ""
        void = f", ignore_index={list(image.truth_ignored)}" if image.truth_ignored else ""
        lines += [
            f'image = image.with_truth("PATH OF ITS MASK OF CLASS INDICES"{names}{void})',
            f'assert image.key == {python_literal(image.key)}, "another ground truth"',
        ]
    return lines


def segmenter_lines(segmenter: Segmenter, digest: str, name: str = "segmenter") -> list[str]:
    """Python lines that load the segmenter as `name`, and assert that it is the same.

    A segmenter that neither a name nor a file can load gets a placeholder, as the paths of images do.
    """
    own = python_literal(segmenter.name)
    call = segmenter.recipe or (f"perturb.load_segmenter({own})" if segmenter.name in SEGMENTERS else "")
    return [
        f"{name} = {call}" if call else f"{name} = your_segmenter({own})  # replace this by your code that builds it",
        f'assert {name}.digest == {python_literal(digest)}, "another segmenter"',
    ]


def target_line(result: Attribution) -> str:
    """The Python line that creates the target as `target`."""
    target = result.frozen.target
    label, region, score = map(python_literal, (result.frozen.name, target.region, target.score))
    return f"target = perturb.Target({label}, region={region}, score={score})"


def settings_of(result: Attribution) -> dict[str, Value]:
    """Method, seed and the settings that affect the result, by their names in `explain`."""
    used = shown(METHODS[result.method].settings, result.settings)
    return {"method": result.method, "seed": result.seed, **{s.name: result.settings[s.name] for s in used}}


def _last_lines(curves: Curves | None) -> list[str]:
    """Python lines that compute the curves, if given, and write the files."""
    if curves is None:
        return ['perturb.save(result, "out")']
    options = "" if curves.fill == FILL else f", fill={python_literal(curves.fill)}"
    return [
        f"curves = perturb.curves(result{options})",
        "print(curves.metrics())",
        'perturb.save(result, "out", curves=curves)',
    ]


def command_line(result: Attribution, curves: Curves | None = None) -> str:
    """The shell command that reproduces this result, and its curves if given.

    If no command can, a shell comment that says why.
    """
    segmenter, image, frozen = result.segmenter, result.image, result.frozen
    network = segmenter.options or (shell_option("--segmenter", segmenter.name) if segmenter.name in SEGMENTERS else ())
    if not network:
        return "# No command reproduces this result: its segmenter was built by custom code. See reproduce.py."
    if frozen.first is not None:
        return "# No command reproduces this result: its region is shared with another segmenter. See reproduce.py."
    own = not is_sample(image)
    parts = ["python", "-m", "perturb", "explain", "PATH_OF_YOUR_IMAGE" if own else image.name, *network]
    if own:
        parts += _image_options(image)
    # A class name with unprintable characters cannot be typed in a terminal, but its index can.
    label = frozen.name if frozen.name.isprintable() else str(frozen.index)
    parts += [*shell_option("--target", label), "--method", result.method]
    if frozen.target.region != "class":
        parts += ["--region", frozen.target.region]
    if frozen.target.score != "logit":
        parts += ["--score", frozen.target.score]
    for setting in METHODS[result.method].settings:
        if result.settings[setting.name] != setting.default:
            parts += ["--set", f"{setting.name}={result.settings[setting.name]}"]
    if "precision" in result.facts:
        parts += ["--precision", str(result.facts["precision"])]
    if curves is None:
        parts += ["--no-curves"]
    elif curves.fill != FILL:
        parts += ["--curve-fill", curves.fill]
    return shell_line([*parts, "--seed", str(result.seed), "--out", "out"])


def _image_options(image: Image) -> list[str]:
    """Command-line options with which a file is read as this image."""
    parts = []
    if image.truth is not None:
        parts += ["--truth", "PATH_OF_ITS_MASK"]
        if image.truth_ignored:
            parts += ["--ignore-index", ",".join(map(str, image.truth_ignored))]
    side = max(image.height, image.width)
    # A file smaller than the default is never scaled, so it needs no option.
    if side > MAX_SIDE or (image.file_shape is not None and side != MAX_SIDE):
        parts += ["--max-side", str(side)]
    return parts
