"""Compute the chosen metrics for maps of one image and target."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from perturb.core.errors import TargetError
from perturb.core.settings import check_settings, lookup
from perturb.engine import runner
from perturb.engine.runner import Progress
from perturb.images.image import Image
from perturb.metrics.base import MetricInput, Stream, Value
from perturb.metrics.curves import Curve, Order
from perturb.metrics.measures import check_map
from perturb.metrics.registry import METRICS, default_metrics
from perturb.perturbations.fills.registry import FILL_SETTINGS, make_fill
from perturb.perturbations.masks import Chain, order_by
from perturb.segmenters.base import Segmenter
from perturb.targets.quality import true_labels, wrong_pixels
from perturb.targets.reader import Reader
from perturb.targets.readings import Readings
from perturb.targets.target import Frozen


class MapEvaluator:
    """Compute metrics for maps of one image and target; what the maps share is computed once.

    Args:
        image, segmenter: the clean image and the segmenter that was explained.
        frozen: the target on the image. Scores are mean probabilities over its region, whatever its own score.
        metrics: names in `METRICS`; by default all but the controls.
        seed: of the draws among equal values, of the random orders, and of the noise of the imputation.

    Attributes:
        metrics: the names.
        wrong: the pixels that the segmenter predicts wrongly, bool `(H, W)`; None without ground truth.

    Raises:
        SettingError: a metric is unknown.
    """

    def __init__(
        self,
        image: Image,
        segmenter: Segmenter,
        frozen: Frozen,
        *,
        metrics: Iterable[str] | None = None,
        seed: int = 0,
    ) -> None:
        chosen = default_metrics() if metrics is None else metrics
        self.metrics = tuple(lookup(METRICS, name, "metric").name for name in chosen)
        self._image, self._segmenter, self._seed = image, segmenter, seed
        self._frozen = frozen.with_score("probability")
        self._object_mask = _object_mask(image, frozen)
        self.wrong = _wrong(image, frozen, segmenter.classes)

    @cached_property
    def clean(self) -> Readings:
        """Readings of the clean image; one entry. Takes one forward pass."""
        logits = runner.clean_logits(self._image, self._segmenter)
        nothing = logits.new_zeros((1, *logits.shape[1:])).bool()
        return Reader(self._frozen, logits.device).read(logits[None], nothing)

    def measure(
        self,
        heatmap: npt.NDArray[Any],
        *,
        neutral: float = 0.0,
        forwards: float = 0,
        seconds: float = 0.0,
        progress: Progress | None = None,
        batch: int | None = None,
    ) -> tuple[dict[str, Value], dict[str, Curve]]:
        """Compute all chosen metrics of one map, and its curves.

        Args:
            heatmap: `(H, W)`, finite; larger values are more important.
            neutral: the value that means no effect. Magnitudes are distances from it. Ranks are those of the map itself,
                since subtracting could make two values equal.
            forwards, seconds: cost of the map.
            progress: called once per batch with the fraction done in [0, 1].
            batch: images per forward pass.

        Returns:
            Values by metric, None where undefined; and the curves that were computed, such as `deletion`, `insertion`,
            `road_morf` and `road_lerf`: S(x')/S(x) and IoU over the exact fraction.

        Raises:
            SettingError: the map has another shape, or values that are not finite.
        """
        heatmap = check_map(heatmap, self._frozen.region.shape)
        rank = order_by(heatmap, self._seed)
        readings, curves = self._run(rank, progress, batch)
        given = MetricInput(
            heatmap=heatmap,
            centred=heatmap - np.float32(neutral),
            rank=rank,
            region=self._frozen.region,
            object_mask=self._object_mask,
            wrong=self.wrong,
            clean=self.clean,
            readings=readings,
            curves=curves,
            forwards=forwards,
            seconds=seconds,
        )
        return {name: METRICS[name].value(given) for name in self.metrics}, curves

    def _run(
        self, rank: Order, progress: Progress | None, batch: int | None
    ) -> tuple[dict[type[Stream], Readings], dict[str, Curve]]:
        """The readings of all streams, and their curves. Streams with the same fill share a run."""
        streams = [kind(rank, self._seed) for kind in _streams(self.metrics)]
        total, done = sum(map(len, streams)), 0
        readings: dict[type[Stream], Readings] = {}
        curves: dict[str, Curve] = {}
        for fill in dict.fromkeys(stream.fill for stream in streams):
            together = [stream for stream in streams if stream.fill == fill]
            masks = Chain(*together)
            settings = check_settings(FILL_SETTINGS, {"fill": fill}, "faithfulness")
            rest = runner.run(
                self._image, masks, make_fill(self._image, settings, self._seed), self._segmenter, self._frozen,
                batch=batch, progress=runner.span(progress, done / total, len(masks) / total),
            )  # fmt: skip
            done += len(masks)
            for stream in together:
                own, rest = rest[: len(stream)], rest[len(stream) :]
                readings[type(stream)] = own
                curves |= stream.curves(own, self.clean)
        return readings, curves


def forwards_of(metrics: Iterable[str] | None = None) -> int:
    """Number of forward passes that the metrics take for one map; `metrics` as for `MapEvaluator`."""
    blank = np.zeros((1, 1), np.int64)  # the number of masks does not depend on the image
    return sum(len(kind(blank, 0)) for kind in _streams(default_metrics() if metrics is None else metrics))


def _streams(metrics: Iterable[str]) -> list[type[Stream]]:
    """The streams that the metrics need, each once.

    They are in the order of the registry, since the noise of a fill depends on the index of the mask.
    """
    chosen = set(metrics)
    return list(dict.fromkeys(s for name, metric in METRICS.items() if name in chosen for s in metric.streams))


def _object_mask(image: Image, frozen: Frozen) -> npt.NDArray[np.bool_]:
    """The true mask of the class if the whole class is explained and the ground truth has it; otherwise the region."""
    if image.truth is not None and frozen.target.parts()[0] == "class" and frozen.name in image.truth_classes:
        mask = image.truth == image.truth_classes.index(frozen.name)
        if mask.any():
            return np.asarray(mask)
    return frozen.region


def _wrong(image: Image, frozen: Frozen, classes: tuple[str, ...]) -> npt.NDArray[np.bool_] | None:
    try:
        return wrong_pixels(frozen.labels, true_labels(image, classes))
    except TargetError:
        return None
