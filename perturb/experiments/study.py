"""The occlusion study: one image and target under many occluders, compared on one scale.

The colour and the size of the occluder change the attribution map (Gipiškis & Kurasova 2023). A sweep over fills, colours
and sizes measures by how much, on one image.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from perturb.core.colour import limit_of, overlay, with_colour_bar
from perturb.core.errors import SettingError
from perturb.core.files import check_directory, csv_bytes, png, write_folder
from perturb.core.quoting import json_file
from perturb.core.ranks import spearman
from perturb.core.settings import Value, check_settings, lookup
from perturb.engine.runner import Progress, span
from perturb.images.image import Image
from perturb.methods.attribution import Attribution
from perturb.methods.explain import explain
from perturb.methods.occlusion import Occlusion, windows
from perturb.metrics.curves import Curves, curve_forwards, curves, record_of
from perturb.perturbations.fills.registry import FILLS
from perturb.segmenters.base import Segmenter
from perturb.targets.target import Target

FILL_NAMES = ("black", "white", "grey", "mean", "blur")
SIZES = (48, 96)
SIGMA = 12.0
STEPS, DRAWS = 10, 2

COLUMNS = (
    "occluder",
    "fill",
    "size",
    "stride",
    "deletion_auc",
    "insertion_auc",
    "random_deletion_auc",
    "random_insertion_auc",
    "lost",
    "gained",
    "drop_min",
    "drop_max",
    "agreement",
    "forwards",
    "seconds",
)
"""The columns of `Study.rows`. `lost` and `gained` are in pixels, averaged over the windows; `drop_min` and `drop_max` are
the raw range of the map; `agreement` is the mean Spearman correlation of the map with the other maps."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One occluder of a study.

    Attributes:
        name: fill or colour, and size, such as `black 48` or `#ff0000 96`.
        result: the attribution.
        curves: deletion and insertion curves of its map.
    """

    name: str
    result: Attribution
    curves: Curves


@dataclass(frozen=True, eq=False)
class Study:
    """All occluders of a study, on one image and target.

    Attributes:
        trials: one per occluder, in the order of fills and colours, and by size within each.
        agreement: Spearman's rank correlation of the maps, float64 `(N, N)` in [−1, 1]; NaN where a map is constant.
    """

    trials: tuple[Trial, ...]
    agreement: npt.NDArray[np.float64]

    @property
    def limit(self) -> float:
        """The largest magnitude of all maps, which is the end of their common colour bar."""
        return max(limit_of(trial.result.heatmap) for trial in self.trials)

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest value of all maps."""
        maps = [trial.result.heatmap for trial in self.trials]
        return min(float(m.min()) for m in maps), max(float(m.max()) for m in maps)

    def rows(self) -> list[dict[str, Any]]:
        """The table: a dictionary with `COLUMNS` for each occluder; an undefined agreement is None."""
        return [self._row(index, trial) for index, trial in enumerate(self.trials)]

    def grid(self, columns: int) -> npt.NDArray[np.uint8]:
        """All maps over the image on the common scale, uint8 RGB `(h, w, 3)`, in rows of `columns` maps."""
        tiles = [overlay(t.result.image.pixels, t.result.heatmap, limit=self.limit) for t in self.trials]
        tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
        padded = [np.pad(tile, ((0, 8), (0, 8), (0, 0)), constant_values=255) for tile in tiles]
        return np.vstack([np.hstack(padded[i : i + columns]) for i in range(0, len(padded), columns)])

    def _row(self, index: int, trial: Trial) -> dict[str, Any]:
        others = np.delete(self.agreement[index], index)
        known = others[np.isfinite(others)]
        result, areas = trial.result, trial.curves.metrics()
        fill = result.settings["colour"] if result.settings["fill"] == "colour" else result.settings["fill"]
        values = (
            trial.name,
            fill,
            result.settings["size"],
            result.settings["stride"],
            *(areas[name] for name in COLUMNS[4:8]),
            float(result.readings.lost.mean()),
            float(result.readings.gained.mean()),
            float(result.heatmap.min()),
            float(result.heatmap.max()),
            float(known.mean()) if known.size else None,
            result.forwards + trial.curves.forwards,
            result.seconds + trial.curves.seconds,
        )
        return dict(zip(COLUMNS, values, strict=True))


def study(
    image: Image,
    segmenter: Segmenter,
    target: Target,
    *,
    fills: Sequence[str] = FILL_NAMES,
    colours: Sequence[str] = (),
    sizes: Sequence[int | str] = SIZES,
    sigma: float = SIGMA,
    seed: int = 0,
    progress: Progress | None = None,
) -> Study:
    """Run occlusion with every fill and colour in every size. Neighbouring windows overlap by half.

    Args:
        image, segmenter, target: as for `explain`.
        fills: names of fills; for the fill `colour` use `colours` instead.
        colours: flat colours, `#rrggbb`.
        sizes: widths of the window in pixels.
        sigma: standard deviation of the blur in pixels.
        seed: of all random draws.
        progress: called with the fraction of all forward passes done, in [0, 1].

    Raises:
        SettingError: there are fewer than two occluders, a fill is unknown, or a size does not fit.
        TargetError, SegmenterError: as for `explain`.
    """
    plans = plan(fills, colours, sizes, sigma)
    costs = study_forwards(image, plans)
    done, total = 0, sum(costs)

    trials, passes = [], curve_forwards(STEPS, DRAWS)
    for (name, settings), cost in zip(plans, costs, strict=True):
        own = span(progress, done / total, (cost - passes) / total)
        rest = span(progress, (done + cost - passes) / total, passes / total)
        result = explain(image, segmenter, target, method="occlusion", seed=seed, progress=own, **settings)
        made = curves(result, steps=STEPS, draws=DRAWS, progress=rest)
        done += cost
        trials.append(Trial(name, result, made))
    return Study(tuple(trials), spearman([trial.result.heatmap for trial in trials]))


FILES = ("study.csv", "study.json", "curves.csv", "agreement.csv", "maps.npz", "grid.png")


def check_study(directory: str | Path) -> Path:
    """Check that a study may be written to a folder: it is new, empty, or holds an earlier study.

    Raises:
        ExportError: it holds something else, or is a file.
    """
    return check_directory(directory, "study.json", FILES.__contains__)


def save_study(made: Study, directory: str | Path) -> Path:
    """Write a study into a folder, replacing an earlier one. If it fails, the folder stays as it was.

    Raises:
        ExportError: the folder holds something else, or cannot be written.
    """
    return write_folder(check_study(directory), lambda: study_contents(made))


def study_contents(made: Study) -> dict[str, bytes]:
    """All files of a study by name: table, record, curves, agreement, raw maps, and an image of all maps."""
    names = [trial.name for trial in made.trials]
    sizes = len({trial.result.settings["size"] for trial in made.trials})
    maps, table = io.BytesIO(), made.rows()
    by_name: dict[str, Any] = {trial.name: trial.result.heatmap for trial in made.trials}
    np.savez_compressed(maps, **by_name)
    curve_rows = [
        (trial.name, *row) for trial in made.trials for row in csv.reader(trial.curves.as_csv().splitlines()[1:])
    ]
    agreement = [(name, *row) for name, row in zip(names, made.agreement, strict=True)]
    record = {"occluders": table, "runs": [record_of(trial.result, trial.curves) for trial in made.trials]}
    unit = made.trials[0].result.unit()
    return {
        "study.csv": csv_bytes(COLUMNS, [tuple(row.values()) for row in table]),
        "study.json": json_file(record),
        "curves.csv": csv_bytes(("occluder", "curve", "fraction", "score", "iou"), curve_rows),
        "agreement.csv": csv_bytes(("occluder", *names), agreement),
        "maps.npz": maps.getvalue(),
        "grid.png": png(with_colour_bar(made.grid(sizes), limit=made.limit, unit=unit)),
    }


def plan(
    fills: Sequence[str], colours: Sequence[str], sizes: Sequence[int | str], sigma: float
) -> list[tuple[str, dict[str, Any]]]:
    """The occluders of a study: the name and the validated settings of each.

    Raises:
        SettingError: there are fewer than two, a fill is unknown, or a value is out of bounds.
    """
    for fill in fills:
        lookup(FILLS, fill, "fill")
    occluders: list[tuple[str, dict[str, str]]] = [
        (fill, {"fill": fill}) for fill in dict.fromkeys(fills) if fill != "colour"
    ]
    occluders += [(colour, {"fill": "colour", "colour": colour}) for colour in dict.fromkeys(colours)]
    plans = []
    for name, fill_settings in occluders:
        for size in dict.fromkeys(sizes):
            settings: dict[str, object] = {**fill_settings, "size": size, "stride": 1, "sigma": sigma}
            checked: dict[str, Value] = check_settings(Occlusion.settings, settings, "occlusion")
            checked["stride"] = max(1, int(checked["size"]) // 2)  # neighbouring windows overlap by half
            plans.append((f"{name} {size}", checked))
    if len(plans) < 2:
        raise SettingError(
            f"A study compares occluders: got {len(plans)}, expected at least 2. Add fills, colours or sizes."
        )
    return plans


def study_forwards(image: Image, plans: Sequence[tuple[str, dict[str, Any]]]) -> list[int]:
    """Number of forward passes for the map and the curves of each occluder."""
    return [len(windows(image, settings)) + curve_forwards(STEPS, DRAWS) for _, settings in plans]
