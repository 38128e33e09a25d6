"""Deletion and insertion curves, which test whether a map is faithful.

Deletion hides the most important pixels first and measures how the score falls. Insertion starts from the filled image,
restores the most important pixels first and measures how the score rises. Random orders are the control.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from perturb.core import stopwatch
from perturb.core.errors import SettingError
from perturb.core.files import csv_bytes
from perturb.core.notebook import curves_html
from perturb.core.settings import check_settings
from perturb.engine import runner
from perturb.engine.runner import Progress
from perturb.methods.attribution import Attribution
from perturb.metrics.measures import auc
from perturb.metrics.verdict import Measure, verdict_on
from perturb.perturbations.fills.registry import FILL_SETTINGS, make_fill
from perturb.perturbations.masks import Chain, Ranked, order_by
from perturb.targets.readings import WHOLE_PASSES, Execution, Readings
from perturb.targets.target import Score

STEPS = 20
DRAWS = 3
FILL = "blur"

Floats = npt.NDArray[np.float64]
Order = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Curve:
    """One curve, or several draws of a random control.

    Attributes:
        fraction: exact fraction of pixels hidden (deletion) or restored (insertion), float64 `(n,)`, from 0 to 1.
        score: float64 `(draws, n)`; one draw for a map's own curve. S(x')/S(x) of the mean probability or the IoU; for
            logits S(x') itself, since a logit may cross zero.
        iou: IoU with the reference mask, float64 `(draws, n)` in [0, 1].
    """

    fraction: Floats
    score: Floats
    iou: Floats

    @property
    def auc(self) -> float:
        """Area under the score, averaged over the draws."""
        return auc(self.fraction, self.score.mean(0))

    @property
    def iou_auc(self) -> float:
        """Area under the IoU, averaged over the draws."""
        return auc(self.fraction, self.iou.mean(0))

    def backwards(self) -> Curve:
        """The curve in reverse: hiding pixels in an order shows the same images as restoring them in the reverse order."""
        return Curve(1.0 - self.fraction[::-1], self.score[:, ::-1], self.iou[:, ::-1])


class CurveMasks(Chain):
    """The masks of deletion and insertion curves: everything hidden, then the inner points of each curve.

    Point i of n hides exactly ⌊i/n · H·W⌋ pixels in deletion, and leaves as many visible in insertion. All curves share
    both ends. The clean image is not among the masks.

    Args:
        own: the order of the pixels in a map, int `(H, W)`, 0 for the most important; None for random orders alone.
        random: orders of the control, int `(H, W)` each.
        steps: number of intervals on the fraction axis.

    Source: Petsiuk et al. 2018 (RISE), sec. 3.3.
    """

    def __init__(self, own: Order | None, random: Sequence[Order] = (), steps: int = STEPS) -> None:
        first = random[0] if own is None else own
        counts = np.arange(steps + 1, dtype=np.int64) * first.size // steps
        inner = counts[1:-1]
        mine = () if own is None else (Ranked(own, inner), Ranked(own, first.size - inner, from_end=True))
        super().__init__(Ranked(first, counts[-1:]), *mine, *(Ranked(order, inner) for order in random))
        self._fraction, self._own = counts / first.size, bool(mine)

    def curves(self, readings: Readings, clean: Readings, score: Score = "probability") -> dict[str, Curve]:
        """The curves by name: `deletion` and `insertion`, and `random_deletion` and `random_insertion`.

        Args:
            readings: of all masks, in order.
            clean: of the clean image, one entry.
            score: the kind of score that was measured.
        """
        scale, n = scale_of(clean, score), len(self._fraction) - 2
        filled = readings[:1]

        def joined(*starts: int, rising: bool = False) -> Curve:
            first, last = (filled, clean) if rising else (clean, filled)
            lines = [Readings.concatenate([first, readings[start : start + n], last]) for start in starts]
            scores, ious = np.stack([line.score for line in lines]), np.stack([line.iou for line in lines])
            return Curve(self._fraction, scores / scale, ious)

        curves = {}
        if self._own:
            curves = {"deletion": joined(1), "insertion": joined(1 + n, rising=True)}
        if starts := range(1 + len(curves) * n, len(readings), n):
            random = joined(*starts)
            # Insertion in a random order shows the images of a deletion, so it needs no further passes.
            curves |= {"random_deletion": random, "random_insertion": random.backwards()}
        return curves


def random_orders(shape: tuple[int, ...], seed: int, draws: int = DRAWS) -> list[Order]:
    """Independent random orders of the pixels, int64 `(H, W)` each."""
    children = np.random.SeedSequence(seed).spawn(draws)
    return [order_by(np.zeros(shape, np.float32), int(child.generate_state(1)[0])) for child in children]


def scale_of(clean: Readings, score: Score = "probability") -> float:
    """The divisor of scores: the clean score; 1 for logits, and if a probability or an IoU is practically 0."""
    value = float(clean.score[0])
    return value if score != "logit" and value > 1e-6 else 1.0


@dataclass(frozen=True, eq=False, repr=False)
class Curves:
    """Deletion and insertion curves of a map, with random orders as the control.

    Attributes:
        deletion, insertion: curves of the map.
        random_deletion, random_insertion: curves of random orders, one draw each.
        score: the kind of score: `probability`, `iou` or `logit`.
        fill: name of the fill for hidden pixels.
        clean_score: S(x), by which the score is divided unless it is a logit.
        forwards: number of images that the segmenter was run on.
        seconds: wall time.
        execution: how the perturbed images were run.
    """

    deletion: Curve
    insertion: Curve
    random_deletion: Curve
    random_insertion: Curve
    score: Score
    fill: str
    clean_score: float
    forwards: int
    seconds: float
    execution: Execution = WHOLE_PASSES

    def __repr__(self) -> str:
        areas = ", ".join(f"{name} {value:.4g}" for name, value in self.metrics().items())
        return f"<Curves of {self.score} under the fill {self.fill!r}: {areas}>"

    def _repr_html_(self) -> str:
        """For notebooks: both charts and the verdict."""
        return curves_html(self)

    def items(self) -> list[tuple[str, Curve]]:
        """The four curves by name."""
        names = ("deletion", "insertion", "random_deletion", "random_insertion")
        return [(name, getattr(self, name)) for name in names]

    def metrics(self) -> dict[str, float]:
        """The areas under the curves; see `METRICS`."""
        areas = {f"{name}_auc": curve.auc for name, curve in self.items()}
        return areas | {"deletion_iou_auc": self.deletion.iou_auc, "insertion_iou_auc": self.insertion.iou_auc}

    def verdict(self, measure: Measure = "score") -> str:
        """The verdict on the map in sentences, with the areas; see `perturb.metrics.verdict` for the requirements.

        Args:
            measure: `score`, or `iou` for the curves of the IoU.
        """
        return f"{verdict_on(self, measure)} Hidden pixels show the fill '{self.fill}'."

    def as_csv(self) -> str:
        """The four curves as `curve,fraction,score,iou`; a control is the mean of its draws."""
        rows = [
            (name, *row)
            for name, curve in self.items()
            for row in zip(curve.fraction, curve.score.mean(0), curve.iou.mean(0), strict=True)
        ]
        return csv_bytes(("curve", "fraction", "score", "iou"), rows, digits=9).decode()

    def as_dict(self) -> dict[str, Any]:
        """How the curves were computed, as plain data for the record."""
        return {
            "score": self.score,
            "fill": self.fill,
            "relative": self.score != "logit",
            "clean_score": self.clean_score,
            "steps": len(self.deletion.fraction) - 1,
            "draws": len(self.random_deletion.score),
            "forwards": self.forwards,
            "seconds": round(self.seconds, 3),
            "execution": self.execution.as_dict(),
        }


def record_of(result: Attribution, curves: Curves | None = None) -> dict[str, Any]:
    """The content of `result.json`: the result without its arrays, and the settings of its curves with their areas.

    Passes and seconds are the totals of the map and the curves.
    """
    record = result.as_dict()
    if curves is not None:
        record["curves"] = curves.as_dict()
        record["metrics"] = curves.metrics()
        record["forwards"] += curves.forwards
        record["seconds"] = round(result.seconds + curves.seconds, 3)
    return record


def curve_forwards(steps: int = STEPS, draws: int = DRAWS) -> int:
    """Number of forward passes that `curves` takes, the one of the clean image included."""
    blank = np.zeros((1, 1), np.int64)
    return 1 + len(CurveMasks(blank, [blank] * draws, steps))


def curves(
    result: Attribution,
    *,
    steps: int = STEPS,
    draws: int = DRAWS,
    score: Score = "probability",
    fill: str | None = FILL,
    progress: Progress | None = None,
    batch: int | None = None,
) -> Curves:
    """Deletion and insertion curves of the map of a result, computed in one run.

    By default hidden pixels show the blurred image, whatever the fill of the map. A flat area can itself be taken for the
    object, and scattered flat pixels disrupt any image at once, so that random orders look strong. Maps of different
    fills are comparable only under the same fill.

    Source: Petsiuk et al. 2018 (RISE), sec. 3.3, with the score over the target's region instead of the class score; see
    `CurveMasks`. Equal values are ordered by a seeded draw.

    Args:
        result: from `explain`. Pass the curves to `perturb.save` to write them with it.
        steps: number of intervals on the fraction axis, at least 2.
        draws: number of random orders in the control, at least 1.
        score: the kind of score to measure over the region.
        fill: a name in `FILLS`, with its default settings; None for the fill of the map.
        progress: called once per batch with the fraction done in [0, 1].
        batch: images per forward pass.

    Raises:
        SettingError: there are fewer than two steps or no draws, or `fill` is None and the map has no fill.
        SegmenterError: the network has changed since the map was computed.
    """
    if steps < 2 or draws < 1:
        raise SettingError(f"Curves need at least 2 steps and 1 draw: got {steps} steps and {draws} draws.")
    if fill is None and "fill" not in result.settings:
        raise SettingError(f"The method '{result.method}' uses no fill; choose one for its curves, such as '{FILL}'.")
    began = stopwatch.now()
    rank = order_by(result.heatmap, result.seed)
    masks = CurveMasks(rank, random_orders(rank.shape, result.seed, draws), steps)
    chain = Chain(Ranked(rank, np.zeros(1, np.int64)), masks)  # the clean image first
    settings = result.settings if fill is None else check_settings(FILL_SETTINGS, {"fill": fill}, "curves")
    hidden = make_fill(result.image, settings, result.seed)
    frozen = result.frozen.with_score(score)
    segmenter = result.unchanged()
    chosen = runner.route(result.image, chain, segmenter, frozen)
    readings = runner.run(result.image, chain, hidden, segmenter, frozen, batch=batch, progress=progress, chosen=chosen)
    clean = readings[:1]
    return Curves(
        **masks.curves(readings[1:], clean, score),
        score=score,
        fill=str(settings["fill"]),
        clean_score=float(clean.score[0]),
        forwards=len(readings),
        seconds=stopwatch.now() - began,
        execution=chosen.execution,
    )
