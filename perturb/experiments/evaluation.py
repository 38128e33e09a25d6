"""Evaluate every method on every class of many images, one row each, in a table that survives an interrupted run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from perturb.core.errors import ImageError, PerturbError, SettingError, TargetError
from perturb.core.settings import check_settings, lookup
from perturb.core.versions import __version__
from perturb.engine import runner
from perturb.engine.runner import Progress
from perturb.experiments.estimates import duration, timed_pass
from perturb.experiments.evaluation_folder import Rows, hold, key_of, open_folder, table_of, write_table
from perturb.images.image import MAX_SIDE, Image, load_image
from perturb.images.samples import EVERY, SAMPLES, sample
from perturb.methods.base import Request
from perturb.methods.explain import explain
from perturb.methods.registry import METHODS
from perturb.metrics.baselines import CONTROLS
from perturb.metrics.evaluator import MapEvaluator, forwards_of
from perturb.metrics.registry import METRICS, default_metrics
from perturb.segmenters.base import Segmenter
from perturb.segmenters.factory import is_factory
from perturb.segmenters.named import is_onnx_file, load_named
from perturb.segmenters.registry import DEFAULT, SEGMENTERS
from perturb.targets.target import Frozen, Target, shares

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")
SMALLEST = 0.01
"""Smallest share of the image, in [0, 1], that a predicted class must cover to be explained by default."""


@dataclass(frozen=True)
class Plan:
    """What to evaluate. Two runs of the same plan give the same table.

    Attributes:
        pictures: names of samples, or paths of image files.
        segmenters: registered names, paths of ONNX files, or `module:factory`.
        methods, metrics: names.
        classes: names; empty for every class that covers at least `smallest` of an image.
        smallest: share of the image, at least 0 and below 1.
        settings: of the methods, by method and name.
        seed: of all random draws.
        truth: folder with a PNG of class indices for each image, of the same stem; empty for none.
        ignore_index: class indices of the ground truth whose pixels have no class.
        max_side: larger images are scaled down to this many pixels on the longer side.
        onnx: settings that ONNX files do not contain: fields of `OnnxSpec`, and `classes`, names separated by commas.

    Raises:
        SettingError: there are no images, a name or a setting is unknown, or a value is out of bounds.
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
            raise SettingError("There are no images to evaluate: expected image files or names of samples.")
        if not 0 <= self.smallest < 1:
            raise SettingError(f"The smallest share of a class lies between 0 and 1: got {self.smallest}.")
        for name in self.segmenters:
            if not is_onnx_file(name) and not is_factory(name):
                lookup(SEGMENTERS, name, "segmenter")
        if self.onnx and not any(map(is_onnx_file, self.segmenters)):
            raise SettingError("There are settings for an ONNX file, but none of the segmenters is one; omit them.")
        for name in self.methods:
            lookup(METHODS, name, "method")
        for name in self.metrics:
            lookup(METRICS, name, "metric")
        for name, values in self.settings.items():
            if name not in self.methods:
                raise SettingError(f"There is a setting for '{name}', which is not among the methods to evaluate.")
            check_settings(METHODS[name].settings, values, name)

    def as_dict(self) -> dict[str, Any]:
        """The plan as plain data; it must match when a run is resumed."""
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


def pictures_in(where: str) -> tuple[str, ...]:
    """The images that an argument names: `samples` for all samples, the name of one, a file, or a folder.

    Raises:
        SettingError: there is nothing of that name, or the folder contains no image.
    """
    path = Path(where)
    if path.is_dir():
        files = sorted(str(file) for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
        if not files:
            raise SettingError(f"The folder '{where}' contains no image; expected files of {', '.join(SUFFIXES)}.")
        return tuple(files)
    if path.exists():
        return (where,)
    if where == "samples":
        return tuple(SAMPLES)
    if where in EVERY:
        return (where,)
    raise SettingError(
        f"There is no folder, image file or sample '{where}'; expected a folder of images, 'samples', or one of "
        f"{', '.join(EVERY)}."
    )


@dataclass(frozen=True)
class Evaluation:
    """The result of an evaluation.

    Attributes:
        table: a row for each image, segmenter, class and map, in the order of the plan.
        skipped: images, classes of images, or methods with a segmenter that could not be evaluated, each with the reason.
        resumed: number of rows that an earlier run had finished.
        damaged: number of damaged rows in the folder that were computed again.
    """

    table: pd.DataFrame
    skipped: tuple[tuple[str, str], ...]
    resumed: int
    damaged: int = 0


class Workload(NamedTuple):
    """What an evaluation has left to do.

    Attributes:
        rows: number of rows to compute.
        forwards: number of passes that they take; a backward pass counts as one.
        seconds: estimated time, if every pass runs the whole network.
    """

    rows: int
    forwards: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.rows:,} rows to compute: {self.forwards:,} passes take at most about {duration(self.seconds)}"


def evaluate(
    plan: Plan,
    out: str | Path,
    *,
    progress: Progress | None = None,
    batch: int | None = None,
    started: Callable[[Workload], None] | None = None,
) -> Evaluation:
    """Evaluate a plan row by row into a folder. A run that was interrupted resumes where it stopped.

    Each finished row is on disk before the next one starts, so an interrupted run loses at most one row, and no row is
    computed twice. Writes `table.parquet`, `metrics.json` (the cards of the metrics) and `evaluation.json` (the plan and
    what was skipped). `cells.jsonl` holds the finished rows during the run.

    Args:
        plan: what to evaluate.
        out: a new or empty folder, or one with an evaluation of the same plan.
        progress: called with the fraction of rows finished, in [0, 1].
        batch: images per forward pass.
        started: called once before the first map is computed, with the work to do.

    Raises:
        ExportError: the folder holds something else, a damaged evaluation, or one of another plan or of segmenters with
            other weights; another run is writing into it; or it cannot be written.
        SettingError: two segmenters have the same name, or no image can be read.
        SegmenterError: a segmenter cannot be loaded.
    """
    segmenters = _segmenters(plan)
    folder, weights = Path(out), {segmenter.name: segmenter.digest for segmenter in segmenters}
    with hold(folder):
        open_folder(folder, plan.as_dict(), weights)
        skipped: list[tuple[str, str]] = []
        with Rows(folder, plan.metrics) as rows:
            resumed, damaged = len(rows.finished), rows.damaged
            finished = list(_rows(plan, segmenters, rows, skipped, progress, batch, started))
        table = table_of(finished, plan.metrics)
        write_table(folder, plan.as_dict(), weights, table, skipped)
    return Evaluation(table, tuple(skipped), resumed, damaged)


def _rows(
    plan: Plan,
    segmenters: Sequence[Segmenter],
    rows: Rows,
    skipped: list[tuple[str, str]],
    progress: Progress | None,
    batch: int | None,
    started: Callable[[Workload], None] | None,
) -> Iterator[dict[str, Any]]:
    """Every row in the order of the plan; rows that are not finished yet are computed and saved."""
    unable: list[tuple[str, str]] = []
    maps_of = {segmenter.name: _able(plan, segmenter, unable) for segmenter in segmenters}
    work = list(_subjects(plan, segmenters, maps_of, rows, skipped))
    if not work:
        raise SettingError(
            f"Nothing can be evaluated: {len(skipped)} of {len(plan.pictures)} images were skipped; the first one, "
            f"{skipped[0][0]}: {skipped[0][1]}"
        )
    skipped.extend(unable)
    if started is not None:
        started(
            Workload(
                sum(len(subject.missing) for subject in work),
                sum(subject.forwards for subject in work),
                sum(subject.forwards * subject.pass_seconds for subject in work),
            )
        )
    total, done = sum(len(maps_of[subject.segmenter.name]) for subject in work), 0
    for name, segmenter, label, missing, *_ in work:
        cells = _cells(plan, name, segmenter, label, missing, batch) if missing else iter(())
        for each in maps_of[segmenter.name]:
            key = key_of(name, segmenter.name, label, each)
            if key not in rows.finished:
                rows.append(next(cells))
            yield rows.finished[key]
            done += 1
            if progress is not None:
                progress(done / total)


def _segmenters(plan: Plan) -> list[Segmenter]:
    loaded = [load_named(name, onnx=plan.onnx) for name in plan.segmenters]
    names = [segmenter.name for segmenter in loaded]
    if twice := [name for name in names if names.count(name) > 1]:
        raise SettingError(
            f"Two of the segmenters have the name '{twice[0]}', so their rows could not be distinguished. Rename one of them."
        )
    return loaded


def _able(plan: Plan, segmenter: Segmenter, unable: list[tuple[str, str]]) -> list[str]:
    """The maps that can be computed for a segmenter; methods that it does not support are added to `unable`."""
    reasons = {name: METHODS[name].lacking(segmenter) for name in plan.methods}
    unable.extend((f"{segmenter.name}, {name}", reason) for name, reason in reasons.items() if reason)
    return [*(name for name, reason in reasons.items() if not reason), *CONTROLS]


class _Subject(NamedTuple):
    """One image, segmenter and class to evaluate, with the maps that are not finished yet and the passes they take."""

    name: str
    segmenter: Segmenter
    label: str
    missing: list[str]
    forwards: int
    pass_seconds: float


def _subjects(
    plan: Plan,
    segmenters: Sequence[Segmenter],
    maps_of: Mapping[str, Sequence[str]],
    rows: Rows,
    skipped: list[tuple[str, str]],
) -> Iterator[_Subject]:
    """Each image with each segmenter and class; what cannot be evaluated is added to `skipped`."""
    pass_seconds: dict[tuple[str, int, int], float] = {}
    for name in plan.pictures:
        try:
            image = _load(plan, name)
        except ImageError as error:
            skipped.append((name, str(error)))
            continue
        for segmenter in segmenters:
            size = segmenter.name, image.height, image.width
            if size in pass_seconds:
                logits = runner.clean_logits(image, segmenter)
            else:  # one timing for each size of image
                logits, pass_seconds[size] = timed_pass(image, segmenter)
            labels = logits.argmax(0).cpu().numpy()
            present = [label for label, share in shares(labels, segmenter.classes) if share >= plan.smallest]
            for label in plan.classes or present:
                try:
                    frozen = Target(label).freeze(image, labels, segmenter.classes)
                except TargetError as error:
                    skipped.append((f"{name}, {label}", str(error)))
                    continue
                maps = maps_of[segmenter.name]
                missing = [each for each in maps if key_of(name, segmenter.name, label, each) not in rows.finished]
                forwards = _forwards(plan, image, segmenter, frozen, missing)
                yield _Subject(name, segmenter, label, missing, forwards, pass_seconds[size])


def _forwards(plan: Plan, image: Image, segmenter: Segmenter, frozen: Frozen, missing: Sequence[str]) -> int:
    """Number of passes that the missing rows of one image, segmenter and class take."""
    if not missing:
        return 0
    passes = 2 + len(missing) * forwards_of(
        plan.metrics
    )  # the clean image once for the target and once for the metrics
    for name in missing:
        if name in METHODS:
            settings = check_settings(METHODS[name].settings, plan.settings.get(name, {}), name)
            with suppress(PerturbError):  # a setting that does not fit this image ends the run when it gets there
                passes += 1 + METHODS[name].forwards(Request(image, segmenter, frozen, settings, plan.seed))
    return passes


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
    """A row for each map of one image, segmenter and class, in order."""
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
