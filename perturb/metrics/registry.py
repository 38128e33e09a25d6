"""The metrics by name, in the order of tables and lists. A new metric is added here."""

from __future__ import annotations

from perturb.metrics.base import Metric
from perturb.metrics.concentration import Entropy, Gini, HalfArea, TotalVariation
from perturb.metrics.cost import Forwards, Seconds
from perturb.metrics.deletion_insertion import CurveArea, RandomCurveArea
from perturb.metrics.error_share import ErrorShare
from perturb.metrics.localisation import MapIou, PointingGame
from perturb.metrics.road import ROAD
from perturb.metrics.subject import SUBJECTS

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        *(CurveArea(kind) for kind in ("deletion", "insertion")),
        *(RandomCurveArea(kind) for kind in ("deletion", "insertion")),
        *(CurveArea(kind, iou=True) for kind in ("deletion", "insertion")),
        *ROAD,
        *SUBJECTS,
        MapIou(),
        *(PointingGame(margin) for margin in (15, 0)),
        Gini(),
        Entropy(),
        HalfArea(),
        TotalVariation(),
        ErrorShare(),
        Forwards(),
        Seconds(),
    )
}


def default_metrics() -> tuple[str, ...]:
    """Names of the metrics that are computed by default: all but the controls."""
    return tuple(name for name, metric in METRICS.items() if metric.better != "control")
