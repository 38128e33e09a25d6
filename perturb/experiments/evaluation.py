"""Many pictures: every method on every class of every picture, one row each, in a table that survives a kill."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from perturb.core.errors import ImageError, SettingError, TargetError
from perturb.core.settings import check_settings, lookup
from perturb.core.versions import __version__
from perturb.engine import runner
from perturb.engine.runner import Progress
from perturb.experiments.evaluation_folder import Rows, hold, key_of, open_folder, table_of, write_table
from perturb.images.image import MAX_SIDE, Image, load_image
from perturb.images.samples import EVERY, SAMPLES, sample
from perturb.methods.explain import explain
from perturb.methods.registry import METHODS
from perturb.metrics.baselines import CONTROLS
from perturb.metrics.evaluator import MapEvaluator
from perturb.metrics.registry import METRICS, default_metrics
from perturb.segmenters.base import Segmenter
from perturb.segmenters.onnx.segmenter import load_onnx_options
from perturb.segmenters.registry import DEFAULT, SEGMENTERS, load_segmenter
from perturb.targets.target import Target, shares

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")
SMALLEST = 0.01
"""Share of the picture. A class with fewer predicted pixels is not explained, unless it is asked for."""


@dataclass(frozen=True)
class Plan:
    """What to evaluate; two runs of one plan give one table.

    Attributes:
        pictures: names of samples, or paths of picture files.
        segmenters: by name, or paths of ONNX files.
        methods, metrics: by name.
        classes: by name; empty for every class that holds at least `smallest` of a picture.
        smallest: share of the picture in [0, 1].
        settings: of methods, by method and name.
        seed: of everything drawn by chance.
        truth: folder with a PNG of class indices for each picture, of the same stem; empty for none.
        ignore_index: indices of the ground truth whose pixels have no class.
        max_side: photographs are scaled down to this many pixels.
        onnx: what ONNX files do not say themselves: fields of `OnnxSpec`, and `classes`, names with commas between them.
    """

    pictures: tuple[str, ...]
    segmenters: tuple[str, ...] = (DEFAULT,)
    methods: tuple[str, ...] = tuple(METHODS)
    metrics: tuple[str, ...] = field(default_factory=default_metrics)
    classes: tuple[str, ...] = ()
    smallest: float = SMALLEST
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seed: int = 0
    truth: str = ""
    ignore_index: tuple[int, ...] = ()
    max_side: int = MAX_SIDE
    onnx: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.pictures:
            raise SettingError("There are no pictures to evaluate: expected picture files or names of samples.")
        if not 0 <= self.smallest < 1:
            raise SettingError(f"The smallest share of a class lies between 0 and 1: got {self.smallest}.")
        for name in self.segmenters:
            if not _is_file(name):
                lookup(SEGMENTERS, name, "segmenter")
        if self.onnx and not any(map(_is_file, self.segmenters)):
            raise SettingError(
                "There are settings for an ONNX file, and none of the segmenters is one; leave them out."
            )
        for name in self.methods:
            lookup(METHODS, name, "method")
        for name in self.metrics:
            lookup(METRICS, name, "metric")
        for name, values in self.settings.items():
            if name not in self.methods:
                raise SettingError(f"There is a setting for '{name}', which is not among the methods to evaluate.")
            check_settings(METHODS[name].settings, values, name)

    def as_dict(self) -> dict[str, Any]:
        """Plain data: what must agree when a run is taken up again."""
        settings = {name: dict(sorted(values.items())) for name, values in sorted(self.settings.items())}
        names = ("pictures", "segmenters", "methods", "metrics", "classes")
        return {
            **{name: list(getattr(self, name)) for name in names},
            **{name: getattr(self, name) for name in ("smallest", "seed", "truth", "max_side")},
            "ignore_index": sorted(self.ignore_index),
            "settings": settings,
            "onnx": dict(sorted(self.onnx.items())),
            "version": __version__,
        }


def _is_file(segmenter: str) -> bool:
    return segmenter not in SEGMENTERS and (Path(segmenter).is_file() or Path(segmenter).suffix == ".onnx")


def pictures_in(where: str) -> tuple[str, ...]:
    """The pictures that a word on the command line means: `samples`, one sample's name, a file, or a folder's files.

    Raises:
        SettingError: nothing of that name, or a folder without pictures.
    """
    path = Path(where)
    if path.is_dir():
        found = sorted(str(file) for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
        if not found:
            raise SettingError(f"The folder '{where}' holds no picture; expected files of {', '.join(SUFFIXES)}.")
        return tuple(found)
    if path.exists():
        return (where,)
    if where == "samples":
        return tuple(SAMPLES)
    if where in EVERY:
        return (where,)
    raise SettingError(
        f"There is no folder, picture or sample '{where}'; expected a folder of pictures, 'samples', or one of "
        f"{', '.join(EVERY)}."
    )


@dataclass(frozen=True)
class Evaluation:
    """What came out.

    Attributes:
        table: a row for each picture, segmenter, class and map, in the plan's order.
        skipped: pictures, classes of pictures, or methods with a segmenter, that could not be evaluated, with the reason.
        resumed: rows that an earlier run had finished.
        damaged: rows that lay damaged in the folder and were computed again.
    """

    table: pd.DataFrame
    skipped: tuple[tuple[str, str], ...]
    resumed: int
    damaged: int = 0


def evaluate(plan: Plan, out: str | Path, *, progress: Progress | None = None, batch: int | None = None) -> Evaluation:
    """Evaluate a plan, a row at a time, into a folder; a run that was killed goes on where it stopped.

    Each finished row is on the disk before the next one is begun, so a kill loses at most the row in work, and no row is
    computed twice. Writes `table.parquet`, `metrics.json` (the cards of the metrics) and `evaluation.json` (the plan and
    what was skipped); `cells.jsonl` holds the rows as they come.

    Args:
        plan: what to evaluate.
        out: a new or empty folder, or one of the same plan.
        progress: called with the fraction of rows that is finished.
        batch: pictures a forward pass.

    Raises:
        ExportError: the folder holds something else, a damaged evaluation, or one of another plan or of segmenters with
            other weights; another run is writing into it; or it cannot be written.
        SettingError: two segmenters of one name; no picture can be read.
        SegmenterError: a segmenter cannot be loaded.
    """
    segmenters = _segmenters(plan)
    folder, weights = Path(out), {segmenter.name: segmenter.digest for segmenter in segmenters}
    with hold(folder):
        open_folder(folder, plan.as_dict(), weights)
        skipped: list[tuple[str, str]] = []
        with Rows(folder, plan.metrics) as rows:
            resumed, damaged = len(rows.finished), rows.damaged
            made = list(_rows(plan, segmenters, rows, skipped, progress, batch))
        table = table_of(made, plan.metrics)
        write_table(folder, plan.as_dict(), weights, table, skipped)
    return Evaluation(table, tuple(skipped), resumed, damaged)


def _rows(
    plan: Plan,
    segmenters: Sequence[Segmenter],
    rows: Rows,
    skipped: list[tuple[str, str]],
    progress: Progress | None,
    batch: int | None,
) -> Iterator[dict[str, Any]]:
    """Every row in the plan's order; those that are not finished yet are computed and kept."""
    work = list(_subjects(plan, segmenters, skipped))
    if not work:
        raise SettingError(
            f"Nothing can be evaluated: {len(skipped)} of {len(plan.pictures)} pictures were skipped; the first one, "
            f"{skipped[0][0]}: {skipped[0][1]}"
        )
    able = {segmenter.name: _able(plan, segmenter, skipped) for segmenter in segmenters}
    total, done = sum(len(able[segmenter.name]) for _, segmenter, _ in work), 0
    for name, segmenter, label in work:
        maps = able[segmenter.name]
        missing = [m for m in maps if key_of(name, segmenter.name, label, m) not in rows.finished]
        cells = _cells(plan, name, segmenter, label, missing, batch) if missing else iter(())
        for each in maps:
            key = key_of(name, segmenter.name, label, each)
            if key not in rows.finished:
                rows.append(next(cells))
            yield rows.finished[key]
            done += 1
            if progress is not None:
                progress(done / total)


def _segmenters(plan: Plan) -> list[Segmenter]:
    made = [load_onnx_options(name, plan.onnx) if _is_file(name) else load_segmenter(name) for name in plan.segmenters]
    names = [segmenter.name for segmenter in made]
    if twice := [name for name in names if names.count(name) > 1]:
        raise SettingError(
            f"Two of the segmenters are called '{twice[0]}', and their rows could not be told apart. Rename one of the files."
        )
    return made


def _able(plan: Plan, segmenter: Segmenter, skipped: list[tuple[str, str]]) -> list[str]:
    """The maps that can be made of a segmenter; a method that cannot is named in `skipped`."""
    reasons = {name: METHODS[name].lacking(segmenter) for name in plan.methods}
    skipped.extend((f"{segmenter.name}, {name}", reason) for name, reason in reasons.items() if reason)
    return [*(name for name, reason in reasons.items() if not reason), *CONTROLS]


def _subjects(
    plan: Plan, segmenters: Sequence[Segmenter], skipped: list[tuple[str, str]]
) -> Iterator[tuple[str, Segmenter, str]]:
    """Each picture with each segmenter and class; what cannot be is named in `skipped`."""
    for name in plan.pictures:
        try:
            image = _load(plan, name)
        except ImageError as error:
            skipped.append((name, str(error)))
            continue
        for segmenter in segmenters:
            labels = runner.clean_logits(image, segmenter).argmax(0).cpu().numpy()
            found = [label for label, share in shares(labels, segmenter.classes) if share >= plan.smallest]
            for label in plan.classes or found:
                try:
                    Target(label).freeze(image, labels, segmenter.classes)
                except TargetError as error:
                    skipped.append((f"{name}, {label}", str(error)))
                    continue
                yield name, segmenter, label


def _load(plan: Plan, name: str) -> Image:
    if name in EVERY and not Path(name).exists():
        return sample(name)
    truth = Path(plan.truth) / f"{Path(name).stem}.png" if plan.truth else None
    return load_image(
        name,
        truth=truth if truth is not None and truth.exists() else None,
        ignore_index=plan.ignore_index,
        max_side=plan.max_side,
    )


def _cells(
    plan: Plan, name: str, segmenter: Segmenter, label: str, maps: Sequence[str], batch: int | None
) -> Iterator[dict[str, Any]]:
    """A row for each map of one picture, segmenter and class, in order."""
    image = _load(plan, name)
    labels = runner.clean_logits(image, segmenter).argmax(0).cpu().numpy()
    frozen = Target(label).freeze(image, labels, segmenter.classes)
    evaluator = MapEvaluator(image, segmenter, frozen, metrics=plan.metrics, seed=plan.seed)
    for each in maps:
        row: dict[str, Any] = {
            "picture": name,
            "digest": image.digest,
            "segmenter": segmenter.name,
            "class": label,
            "region_pixels": int(frozen.region.sum()),
            "wrong_share": None if evaluator.wrong is None else float(evaluator.wrong.mean()),
            "map": each,
            "kind": "method" if each in METHODS else "control",
        }
        forwards, seconds, neutral, notes = 0, 0.0, 0.0, ""
        if each in METHODS:
            settings: dict[str, Any] = dict(plan.settings.get(each, {}))
            result = explain(
                image, segmenter, Target(label), method=each, seed=plan.seed, batch=batch, frozen=frozen, **settings
            )
            heatmap, neutral, notes = result.heatmap, result.neutral, " ".join(result.notes)
            forwards, seconds = result.forwards, round(result.seconds, 3)
        else:
            heatmap = CONTROLS[each].make(image, plan.seed)
        values, _ = evaluator.measure(heatmap, neutral=neutral, forwards=forwards, seconds=seconds, batch=batch)
        yield row | values | {"notes": notes}
