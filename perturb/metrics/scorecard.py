"""Compare maps of one image and target under the same metrics, with uninformative baselines as controls."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from perturb.core.errors import SettingError
from perturb.core.files import csv_bytes
from perturb.core.quoting import json_file
from perturb.core.ranks import ranks, spearman
from perturb.engine.runner import Progress, span
from perturb.methods.attribution import Attribution
from perturb.metrics.base import MapScores
from perturb.metrics.baselines import CONTROLS
from perturb.metrics.evaluator import MapEvaluator, forwards_of
from perturb.metrics.fill_ranks import FILLS, FillRanks, fill_ranks
from perturb.metrics.measures import normalise, top_overlap
from perturb.metrics.registry import METRICS

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """Several maps of one image and target, and how they compare.

    Attributes:
        maps: those of the methods in the order given, then the controls.
        spearman, overlap: rank correlation and top-pixel overlap of all pairs of maps, float64 `(N, N)`; see
            `perturb.metrics.measures`.
        consensus: mean rank of each pixel over the methods, float32 `(H, W)`, from 0 (least) to 1 (most important).
        disagreement: standard deviation of these ranks, float32 `(H, W)` in [0, 0.5].
        wrong_share: share of the pixels that the segmenter predicts wrongly, in [0, 1]; None without ground truth.
        clean_score: mean probability over the region on the clean image, in [0, 1].
    """

    maps: tuple[MapScores, ...]
    spearman: Floats
    overlap: Floats
    consensus: npt.NDArray[np.float32]
    disagreement: npt.NDArray[np.float32]
    wrong_share: float | None
    clean_score: float

    @property
    def methods(self) -> tuple[MapScores, ...]:
        """The maps of the methods, without the controls."""
        return tuple(scored for scored in self.maps if scored.kind == "method")

    def ranks(self, metric: str) -> dict[str, int]:
        """Rank of each method on a metric with a direction, 1 for the best; equal values share the better rank."""
        better = METRICS[metric].better
        known = [(m.name, m.values.get(metric)) for m in self.methods]
        known = [(name, value) for name, value in known if value is not None]
        if better not in ("lower", "higher") or not known:
            return {}
        sign = 1.0 if better == "lower" else -1.0
        places = ranks([sign * float(value or 0.0) for _, value in known], method="min")
        return {name: int(place) for (name, _), place in zip(known, places, strict=True)}

    def informative(self, metric: str) -> bool:
        """Whether a metric can distinguish these maps.

        A metric that hides pixels can if hiding them lowers the score of at least one map by `FALL` of its clean value;
        see `perturb.metrics.verdict`. For the IoU, both the score and the IoU must fall. All other metrics always can.
        """
        chosen = METRICS[metric]
        if chosen.streams and self.clean_score <= 1e-6:  # the score cannot fall
            return False
        return chosen.informative(self.maps)

    def fill_ranks(self) -> tuple[FillRanks, ...]:
        """The methods ranked under two fills, by deletion and by insertion, and whether the rankings agree."""
        return fill_ranks([(scored.name, scored.values) for scored in self.methods], self.ranks, self.informative)

    def decided(self) -> list[str]:
        """Informative metrics with a direction on which the maps, controls included, are not all equal."""
        return [
            metric
            for metric in self.maps[0].values
            if METRICS[metric].arrow
            and self.informative(metric)
            and len({value for scored in self.maps if (value := scored.values.get(metric)) is not None}) > 1
        ]

    def unbeaten(self) -> list[tuple[str, str, list[str]]]:
        """Where a method does not beat every control: method, metric, and the controls that are as good or better.

        On metrics that hide pixels, a control counts as equally good if it is worse by no more than `SMALLEST_GAP` of the
        clean score. Metrics that cannot distinguish the maps are left out; see `decided`.
        """
        controls = [m for m in self.maps if m.kind == "control"]
        unbeaten = []
        for scored in self.methods:
            for metric in self.decided():
                value = scored.values.get(metric)
                if value is None:
                    continue
                sign = 1.0 if METRICS[metric].better == "higher" else -1.0
                rivals = [(c.name, c.values.get(metric)) for c in controls]
                as_good = [
                    name
                    for name, other in rivals
                    if other is not None and sign * (value - other) <= METRICS[metric].margin
                ]
                if as_good:
                    unbeaten.append((scored.name, metric, as_good))
        return unbeaten


def compare(
    results: Sequence[Attribution],
    *,
    metrics: Iterable[str] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    batch: int | None = None,
) -> Faithfulness:
    """Compute metrics for the maps of several results and for the controls.

    Args:
        results: from `explain`, of one image, segmenter and region. One is enough, but ranks and agreement need two.
        metrics: names in `METRICS`; by default all but the controls.
        seed: as for `MapEvaluator`.
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
                f"Only maps of one image, segmenter and region can be compared: got {first.method} on '{first.image.name}' "
                f"({first.frozen.name}) and {other.method} on '{other.image.name}' ({other.frozen.name})."
            )
    evaluator = MapEvaluator(first.image, first.unchanged(), first.frozen, metrics=metrics, seed=seed)
    total = len(results) + len(CONTROLS)
    maps = []
    for index, result in enumerate(results):
        values, curves = evaluator.measure(
            result.heatmap, neutral=result.neutral, forwards=float(result.forwards), seconds=result.seconds,
            progress=span(progress, index / total, 1 / total), batch=batch,
        )  # fmt: skip
        maps.append(MapScores(result.method, "method", result.centred, values, curves, result.notes, result.signed()))
    for index, control in enumerate(CONTROLS.values(), start=len(results)):
        heatmap = control.make(first.image, seed)
        values, curves = evaluator.measure(
            heatmap, forwards=0.0, progress=span(progress, index / total, 1 / total), batch=batch
        )
        maps.append(MapScores(control.name, "control", heatmap, values, curves))
    ranks = np.stack([normalise(scored.heatmap, "rank") for scored in maps[: len(results)]])
    heatmaps = [scored.heatmap for scored in maps]
    return Faithfulness(
        tuple(maps),
        spearman(heatmaps),
        top_overlap(heatmaps, seed=seed),
        ranks.mean(0).astype(np.float32),
        ranks.std(0).astype(np.float32),
        None if evaluator.wrong is None else float(evaluator.wrong.mean()),
        float(evaluator.clean.score[0]),
    )


def compare_forwards(methods: int, metrics: Iterable[str] | None = None) -> int:
    """Number of forward passes that `compare` takes for a number of methods, with the controls, without the clean image."""
    return forwards_of(metrics) * (methods + len(CONTROLS))


def contents(made: Faithfulness) -> dict[str, bytes]:
    """All files of a comparison by name.

    They are the table, the ranks under both fills, the curves, both agreement matrices, the raw maps, and the cards of
    the metrics.
    """
    names = [scored.name for scored in made.maps]
    metrics = list(made.maps[0].values)
    rows = [(scored.name, scored.kind, *(scored.values[name] for name in metrics)) for scored in made.maps]
    curves = [
        (scored.name, kind, *point)
        for scored in made.maps
        for kind, curve in scored.curves.items()
        for point in zip(curve.fraction.tolist(), curve.score[0].tolist(), curve.iou[0].tolist(), strict=True)
    ]
    maps = io.BytesIO()
    arrays: dict[str, Any] = {scored.name: scored.heatmap for scored in made.maps}
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
