"""Evaluate every method on every class of many images, one row each, in a table that survives an interrupted run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from perturb.core.errors import ImageError, PerturbError, SettingError, TargetError
from perturb.core.settings import check_settings
from perturb.engine import runner
from perturb.engine.runner import Progress
from perturb.experiments.estimates import duration, timed_pass
from perturb.experiments.evaluation_folder import Rows, hold, key_of, open_folder, table_of, write_table
from perturb.experiments.evaluation_plan import Plan
from perturb.images.image import Image, load_image
from perturb.images.samples import EVERY, sample
from perturb.methods.base import Request
from perturb.methods.explain import explain
from perturb.methods.registry import METHODS
from perturb.metrics.baselines import CONTROLS
from perturb.metrics.evaluator import MapEvaluator, forwards_of
from perturb.segmenters.base import Segmenter
from perturb.segmenters.named import load_named
from perturb.targets.target import Frozen, Target, shares


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
