"""Which map deserves belief? Maps of one picture and target under the same metrics, with controls beside them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from perturb.core.errors import SettingError
from perturb.core.files import csv_bytes
from perturb.core.quoting import json_file
from perturb.core.ranks import ranks, spearman
from perturb.engine.runner import Progress
from perturb.methods.attribution import Attribution
from perturb.metrics.baselines import CONTROLS
from perturb.metrics.cards import METRICS
from perturb.metrics.curves import STEPS, Curve
from perturb.metrics.fill_ranks import FILLS, FillRanks, fill_ranks
from perturb.metrics.judge import DEFAULT_METRICS, LEVELS, Judge, Value, span
from perturb.metrics.measures import normalise, top_overlap
from perturb.metrics.verdict import FALL, SMALLEST_GAP, falls

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Judged:
    """One map and its numbers.

    Attributes:
        name: of the method, or of the control.
        kind: `method` or `control`.
        heatmap: about its neutral value, float32 `(H, W)`.
        values: by metric; None for n/a.
        curves: by name; see `Judge.measure`.
        notes: what a reader should know, in sentences.
        signed: whether the map has a sign; else it is a size from 0 up, as the controls' are.
    """

    name: str
    kind: Literal["method", "control"]
    heatmap: npt.NDArray[np.float32]
    values: dict[str, Value]
    curves: dict[str, Curve]
    notes: tuple[str, ...] = ()
    signed: bool = False


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """Several maps of one picture and target, and how they compare.

    Attributes:
        maps: the methods in the order given, then the controls.
        spearman, overlap: of all pairs of maps, float64 `(N, N)`; see `perturb.metrics.measures`.
        consensus: mean rank of each pixel over the methods, float32 `(H, W)`, from 0 (least) to 1 (most important).
        disagreement: standard deviation of these ranks, float32 `(H, W)` in [0, 0.5].
        wrong_share: share of the picture's pixels that the segmenter gets wrong; None without ground truth.
        clean_score: mean probability in the region of the clean image.
    """

    maps: tuple[Judged, ...]
    spearman: Floats
    overlap: Floats
    consensus: npt.NDArray[np.float32]
    disagreement: npt.NDArray[np.float32]
    wrong_share: float | None
    clean_score: float

    @property
    def methods(self) -> tuple[Judged, ...]:
        """The maps that are no controls."""
        return tuple(judged for judged in self.maps if judged.kind == "method")

    def ranks(self, metric: str) -> dict[str, int]:
        """Place of each method on a metric that has a direction, 1 for the best; equal values share the better place."""
        better = METRICS[metric].better
        known = [(m.name, m.values.get(metric)) for m in self.methods]
        known = [(name, value) for name, value in known if value is not None]
        if better not in ("lower", "higher") or not known:
            return {}
        sign = 1.0 if better == "lower" else -1.0
        places = ranks([sign * float(value or 0.0) for _, value in known], method="min")
        return {name: int(place) for (name, _), place in zip(known, places, strict=True)}

    def informative(self, metric: str) -> bool:
        """Whether a metric can tell maps apart here.

        Metrics that hide pixels can only where hiding them lowers the score, for one of the maps at least, by `FALL` of its
        clean value; see `perturb.metrics.verdict`. For the IoU both the score and the IoU must fall. All others always can.
        """
        group = METRICS[metric].group
        if group not in ("curves", "road", "subject"):
            return True
        if self.clean_score <= 1e-6:  # there is nothing to lower
            return False
        if group == "subject":
            side, fill = metric.split("_")[1:]
            drops = [m.values.get(f"drop_{side}_{fill}") for m in self.maps]
            return None in drops or max(drop for drop in drops if drop is not None) >= 100 * FALL
        kinds = ("deletion", "insertion") if group == "curves" else ("road_morf", "road_lerf")
        curves = [m.curves[kind] for m in self.maps for kind in kinds if kind in m.curves]
        if "iou" in metric and not any(falls(np.append(1.0, curve.iou[0]), "iou") for curve in curves):
            return False
        return any(falls(np.append(1.0, curve.score[0])) for curve in curves)

    def fill_ranks(self) -> tuple[FillRanks, ...]:
        """The methods ranked under two fills, by deletion and by insertion, and whether these agree."""
        return fill_ranks([(judged.name, judged.values) for judged in self.methods], self.ranks, self.informative)

    def decided(self) -> list[str]:
        """The metrics with a direction that are informative and on which the maps, controls included, are not all equal."""
        return [
            metric
            for metric in self.maps[0].values
            if METRICS[metric].arrow
            and self.informative(metric)
            and len({value for judged in self.maps if (value := judged.values.get(metric)) is not None}) > 1
        ]

    def unbeaten(self) -> list[tuple[str, str, list[str]]]:
        """Where a method does not beat every control: method, metric, and the controls that are as good or better.

        Under metrics that hide pixels a control is as good that is no more than `SMALLEST_GAP` of the clean score behind.
        A metric on which all maps are equal, or under which hiding hardly lowers the score, tells nothing apart and is left
        out.
        """
        controls = [m for m in self.maps if m.kind == "control"]
        found = []
        for judged in self.methods:
            for metric in self.decided():
                value = judged.values.get(metric)
                if value is None:
                    continue
                sign = 1.0 if METRICS[metric].better == "higher" else -1.0
                rivals = [(c.name, c.values.get(metric)) for c in controls]
                as_good = [
                    name for name, other in rivals if other is not None and sign * (value - other) <= _margin(metric)
                ]
                if as_good:
                    found.append((judged.name, metric, as_good))
        return found


def _margin(metric: str) -> float:
    """By how much a map must be better than a control, in the metric's units."""
    group = METRICS[metric].group
    if group in ("curves", "road"):
        return SMALLEST_GAP
    return 100 * SMALLEST_GAP if group == "subject" else 0.0  # the latter in percent


def compare(
    results: Sequence[Attribution],
    *,
    metrics: Iterable[str] = DEFAULT_METRICS,
    seed: int = 0,
    progress: Progress | None = None,
    batch: int | None = None,
) -> Faithfulness:
    """Measure the maps of several results, with the controls beside them.

    Args:
        results: of one picture, segmenter and region, from `explain`; one is enough, but ranks and agreement need two.
        metrics: names in `METRICS`.
        seed: as for `Judge`.
        progress: called with the fraction done.
        batch: pictures a forward pass.

    Raises:
        SettingError: no result, or results of different pictures, segmenters or regions.
    """
    if not results:
        raise SettingError("There is nothing to measure: got no result, expected at least one. Choose a method.")
    first = results[0]
    for other in results[1:]:
        same = other.image.digest == first.image.digest and other.segmenter_digest == first.segmenter_digest
        if (
            not same
            or other.frozen.index != first.frozen.index
            or not np.array_equal(other.frozen.region, first.frozen.region)
        ):
            raise SettingError(
                f"Only maps of one picture, segmenter and region compare: got {first.method} on '{first.image.name}' "
                f"({first.frozen.name}) and {other.method} on '{other.image.name}' ({other.frozen.name})."
            )
    judge = Judge(first.image, first.unchanged(), first.frozen, metrics=metrics, seed=seed)
    total = len(results) + len(CONTROLS)

    def part(index: int) -> Progress | None:
        return None if progress is None else span(progress, index / total, 1 / total)

    maps = []
    for index, result in enumerate(results):
        values, curves = judge.measure_centred(result.heatmap, result.neutral, progress=part(index), batch=batch)
        centred = result.heatmap - np.float32(result.neutral)
        values |= {
            k: v for k, v in (("forwards", float(result.forwards)), ("seconds", result.seconds)) if k in judge.metrics
        }
        maps.append(Judged(result.method, "method", centred, values, curves, result.notes, result.signed()))
    for index, control in enumerate(CONTROLS.values(), start=len(results)):
        made = control.make(first.image, seed)
        values, curves = judge.measure(made, progress=part(index), batch=batch)
        values |= {name: 0.0 for name in ("forwards", "seconds") if name in judge.metrics}
        maps.append(Judged(control.name, "control", made, values, curves))
    ranks = np.stack([normalise(judged.heatmap, "rank") for judged in maps[: len(results)]])
    heatmaps = [judged.heatmap for judged in maps]
    return Faithfulness(
        tuple(maps),
        spearman(heatmaps),
        top_overlap(heatmaps, seed=seed),
        ranks.mean(0).astype(np.float32),
        ranks.std(0).astype(np.float32),
        None if judge.wrong is None else float(judge.wrong.mean()),
        judge.clean_score(),
    )


def compare_forwards(methods: int, metrics: Iterable[str], steps: int = STEPS) -> int:
    """Forward passes that `compare` takes for a number of methods, the controls included."""
    groups = {METRICS[name].group for name in metrics}
    each = (2 * steps - 1) * ("curves" in groups) + 2 * len(LEVELS) * ("road" in groups) + 4 * ("subject" in groups)
    return each * (methods + len(CONTROLS))


def contents(made: Faithfulness) -> dict[str, bytes]:
    """All files of a comparison by name: the table, ranks under both fills, curves, both agreements, the raw maps, and the metrics' cards."""
    names = [judged.name for judged in made.maps]
    metrics = list(made.maps[0].values)
    rows = [(judged.name, judged.kind, *(judged.values[name] for name in metrics)) for judged in made.maps]
    curves = [
        (judged.name, kind, *point)
        for judged in made.maps
        for kind, curve in judged.curves.items()
        for point in zip(curve.fraction.tolist(), curve.score[0].tolist(), curve.iou[0].tolist(), strict=True)
    ]
    maps = io.BytesIO()
    arrays: dict[str, Any] = {judged.name: judged.heatmap for judged in made.maps}
    np.savez_compressed(maps, **arrays, consensus=made.consensus, disagreement=made.disagreement)
    by_fill = [
        (name, each.order, fill, metric, value, rank)
        for each in made.fill_ranks()
        for name, values in each.values.items()
        for fill, metric, value, rank in zip(FILLS, each.metrics, values, each.ranks[name], strict=True)
    ]
    pairs = {"agreement_spearman.csv": made.spearman, "agreement_top10.csv": made.overlap}
    cards = [METRICS[name].as_dict() for name in metrics]
    return {
        "table.csv": csv_bytes(("map", "kind", *metrics), rows),
        "ranks_by_fill.csv": csv_bytes(("map", "order", "fill", "metric", "value", "rank"), by_fill),
        "curves.csv": csv_bytes(("map", "curve", "fraction", "score", "iou"), curves),
        **{
            file: csv_bytes(("map", *names), [(name, *row) for name, row in zip(names, matrix.tolist(), strict=True)])
            for file, matrix in pairs.items()
        },
        "maps.npz": maps.getvalue(),
        "metrics.json": json_file(cards),
    }
