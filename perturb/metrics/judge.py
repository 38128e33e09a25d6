"""The metrics of one map that need the segmenter again: deletion, insertion, ROAD, subject and background hidden."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from perturb.core.errors import SettingError, TargetError
from perturb.core.settings import check_settings, lookup
from perturb.engine import runner
from perturb.engine.runner import Progress
from perturb.images.image import Image
from perturb.metrics.cards import METRICS
from perturb.metrics.curves import FILL, STEPS, Curve
from perturb.metrics.measures import check_map, concentration, error_share, is_constant, map_iou, pointing
from perturb.perturbations.fills.registry import FILL_SETTINGS, make_fill
from perturb.perturbations.masks import Chain, Masks, Ranked, order_by
from perturb.segmenters.base import Segmenter
from perturb.targets.quality import true_labels, wrong_pixels
from perturb.targets.readings import Readings
from perturb.targets.target import Frozen

SUBJECT = 0.2
"""Share of the picture that the map ranks highest, called its subject where the subject or its background is hidden."""

LEVELS = np.arange(1, 10) / 10
"""Fractions hidden by ROAD."""

FLAT = "mean"
DEFAULT_METRICS = tuple(name for name, metric in METRICS.items() if metric.better != "control")
Value = float | None
Floats = npt.NDArray[np.float64]


class Judge:
    """Measures maps of one picture and target; what they share is made once.

    Args:
        image, segmenter: the clean picture and what was explained.
        frozen: the target on it. Scores are mean probabilities over its region, whatever its own score.
        metrics: names in `METRICS`.
        seed: of the draws among equal values, and of the imputation's noise.
        steps: intervals on the fraction axis of deletion and insertion.
        subject: share of the picture, in (0, 1), that counts as a map's subject.

    Raises:
        SettingError: an unknown metric, or a share out of bounds.
    """

    def __init__(
        self,
        image: Image,
        segmenter: Segmenter,
        frozen: Frozen,
        *,
        metrics: Iterable[str] = DEFAULT_METRICS,
        seed: int = 0,
        steps: int = STEPS,
        subject: float = SUBJECT,
    ) -> None:
        if not 0 < subject < 1:
            raise SettingError(f"The subject is a share of the picture between 0 and 1: got {subject}.")
        if steps < 2:
            raise SettingError(f"Curves need at least 2 steps: got {steps}.")
        self.metrics = tuple(lookup(METRICS, name, "metric").name for name in metrics)
        self.image, self.segmenter, self.seed, self.steps = image, segmenter, seed, steps
        self.frozen = frozen.with_score("probability")
        self.size = frozen.region.size
        self.subject = max(1, int(subject * self.size))
        self._groups = {METRICS[name].group for name in self.metrics}
        self._clean: float | None = None
        self.object_mask = _object_mask(image, frozen)
        self.wrong = _wrong(image, frozen, segmenter.classes)

    @property
    def forwards(self) -> int:
        """Forward passes that one map takes."""
        blank = np.zeros(self.frozen.region.shape, dtype=np.int64)
        return sum(len(masks) for _, masks in self._parts(blank))

    def measure(
        self, heatmap: npt.NDArray[Any], *, progress: Progress | None = None, batch: int | None = None
    ) -> tuple[dict[str, Value], dict[str, Curve]]:
        """All chosen metrics of one map, those of cost left out, and its curves.

        Args:
            heatmap: `(H, W)`, finite; larger is more important, zero says nothing.
            progress: called once a batch with the fraction done.
            batch: pictures a forward pass.

        Returns:
            Values by metric, None for n/a; and the curves that were run, of `deletion`, `insertion`, `road_morf`,
            `road_lerf`, each S(x')/S(x) and IoU over the exact fraction.

        Raises:
            SettingError: a map of another shape, or with values that are not finite.
        """
        heatmap = check_map(heatmap, self.frozen.region.shape)
        rank = order_by(heatmap, self.seed)
        clean = self.clean_score()
        values: dict[str, Value] = {}
        curves: dict[str, Curve] = {}
        done = 0
        for fill, masks in self._parts(rank):
            told = check_settings(FILL_SETTINGS, {"fill": fill}, "faithfulness")
            step = None if progress is None else span(progress, done / self.forwards, len(masks) / self.forwards)
            readings = runner.run(
                self.image, masks, make_fill(self.image, told, self.seed), self.segmenter, self.frozen,
                batch=batch, progress=step,
            )  # fmt: skip
            done += len(masks)
            self._read(fill, readings, clean, values, curves)
        region = self.frozen.region
        if not is_constant(heatmap):  # a constant map points nowhere
            values["map_iou"] = map_iou(heatmap, self.object_mask, self.seed)
            values |= {f"pointing_{margin}": pointing(heatmap, region, margin, self.seed) for margin in (15, 0)}
        values |= concentration(heatmap)
        values["error_share"] = None if self.wrong is None else error_share(heatmap, self.wrong)
        cost = [name for name in self.metrics if METRICS[name].group == "cost"]
        return {name: values.get(name) for name in self.metrics if name not in cost}, curves

    def measure_centred(
        self, heatmap: npt.NDArray[Any], neutral: float, *, progress: Progress | None = None, batch: int | None = None
    ) -> tuple[dict[str, Value], dict[str, Curve]]:
        """As `measure`, for a map whose neutral value is not zero (RISE): what describes magnitudes takes the distance.

        Ranks are those of the map itself, so that subtracting cannot make two values equal.
        """
        values, curves = self.measure(heatmap, progress=progress, batch=batch)
        if neutral:
            centred = heatmap - np.float32(neutral)
            about = concentration(centred) | {
                "error_share": None if self.wrong is None else error_share(centred, self.wrong)
            }
            values |= {name: value for name, value in about.items() if name in values}
        return values, curves

    def _parts(self, rank: npt.NDArray[np.int64]) -> list[tuple[str, Masks]]:
        """What is hidden under each fill, in the order in which `_read` takes it apart."""
        inner = self._counts()[1:-1]
        relevant = (LEVELS * self.size).astype(np.int64)
        keep = [
            Ranked(rank, np.array([self.size - self.subject]), from_end=True),
            Ranked(rank, np.array([self.subject])),
        ]
        soft: list[Masks] = []
        if "road" in self._groups:
            soft += [Ranked(rank, relevant), Ranked(rank, relevant, from_end=True)]
        parts: list[tuple[str, Masks]] = []
        if "curves" in self._groups:
            ends = Ranked(rank, np.array([self.size]))
            parts.append((FILL, Chain(ends, Ranked(rank, inner), Ranked(rank, self.size - inner, from_end=True))))
        if "subject" in self._groups:
            parts.append((FLAT, Chain(*keep)))
            soft += keep
        if soft:
            parts.append(("linear", Chain(*soft)))
        return parts

    def _counts(self) -> npt.NDArray[np.int64]:
        return np.arange(self.steps + 1, dtype=np.int64) * self.size // self.steps

    def clean_score(self) -> float:
        """Mean probability in the region of the clean image."""
        if self._clean is None:
            logits = runner.clean_logits(self.image, self.segmenter)
            nothing = logits.new_zeros((1, *logits.shape[1:])).bool()
            self._clean = float(self.frozen.reader(logits.device).read(logits[None], nothing).score[0])
        return self._clean

    def _read(
        self, fill: str, readings: Readings, clean: float, values: dict[str, Value], curves: dict[str, Curve]
    ) -> None:
        scale = clean if clean > 1e-6 else 1.0  # a probability that rounds to nothing must not blow up the curve
        score, iou = readings.score / scale, readings.iou
        if fill == FILL:
            inner, hidden = self.steps - 1, self._counts() / self.size
            for kind, start, first, last in (
                ("deletion", 1, (1.0, 1.0), (score[0], iou[0])),
                ("insertion", 1 + inner, (score[0], iou[0]), (1.0, 1.0)),
            ):
                part = slice(start, start + inner)
                curve = Curve(
                    hidden,
                    np.concatenate([[first[0]], score[part], [last[0]]])[None],
                    # The clean picture's own IoU is 1, save with a ground truth that the segmenter misses.
                    np.concatenate([[first[1]], iou[part], [last[1]]])[None],
                )
                curves[kind] = curve
                values |= {f"{kind}_auc": curve.auc, f"{kind}_iou_auc": curve.iou_auc}
            return
        keep = readings.score
        if fill == "linear" and "road" in self._groups:
            n = len(LEVELS)
            for index, name in enumerate(("road_morf", "road_lerf")):
                part = slice(index * n, (index + 1) * n)
                curves[name] = Curve(
                    (LEVELS * self.size).astype(np.int64) / self.size, score[part][None], iou[part][None]
                )
                values[name] = float(score[part].mean())
            values["road_combined"] = float(((score[n : 2 * n] - score[:n]) / 2).mean())
            keep = keep[2 * n :]
        if "subject" in self._groups:
            word = "flat" if fill == FLAT else "linear"
            for side, perturbed in zip("bs", keep, strict=True):
                values[f"increase_{side}_{word}"] = 100.0 * float(clean < perturbed)
                values[f"drop_{side}_{word}"] = 100.0 * max(0.0, clean - float(perturbed)) / scale


def span(progress: Progress, start: float, share: float) -> Progress:
    return lambda fraction: progress(start + share * fraction)


def _object_mask(image: Image, frozen: Frozen) -> npt.NDArray[np.bool_]:
    """The true mask of the class, where the whole class is explained and the truth knows it; else the region."""
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
