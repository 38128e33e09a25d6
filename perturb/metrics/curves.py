"""Deletion and insertion: does the map deserve belief?

Hide the most important pixels first and watch the score fall (deletion); start from the filled picture, restore them
first and watch it rise (insertion). Random orders stand beside as the control.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from perturb.core.errors import SettingError
from perturb.core.files import csv_bytes
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


@dataclass(frozen=True, eq=False)
class Curve:
    """One curve, or the draws of a random control.

    Attributes:
        fraction: exact fraction of pixels hidden (deletion) or restored (insertion), float64 `(n,)`, from 0 to 1.
        score: S(x')/S(x) of the mean probability or IoU; S(x') itself for logits, which may cross zero.
            float64 `(draws, n)`; one draw for a map's own curve.
        iou: with the reference mask, float64 `(draws, n)` in [0, 1].
    """

    fraction: Floats
    score: Floats
    iou: Floats

    @property
    def auc(self) -> float:
        """Area under the score, mean over the draws."""
        return auc(self.fraction, self.score.mean(0))

    @property
    def iou_auc(self) -> float:
        """Area under the IoU, mean over the draws."""
        return auc(self.fraction, self.iou.mean(0))


@dataclass(frozen=True, eq=False, repr=False)
class Curves:
    """Deletion and insertion of a map, with their random controls.

    Attributes:
        deletion, insertion: the map's.
        random_deletion, random_insertion: of random orders, several draws.
        score: `probability`, `iou` or `logit`: what was measured.
        fill: what stood where pixels were hidden.
        clean_score: S(x), which the score is divided by unless it is a logit.
        forwards: pictures the segmenter was run on.
        seconds: wall time.
        execution: how the hidden images were run.
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

    def items(self) -> list[tuple[str, Curve]]:
        """The four curves by name."""
        names = ("deletion", "insertion", "random_deletion", "random_insertion")
        return [(name, getattr(self, name)) for name in names]

    def metrics(self) -> dict[str, float]:
        """The areas under the curves; see `perturb.metrics.cards.METRICS`."""
        areas = {f"{name}_auc": curve.auc for name, curve in self.items()}
        return areas | {"deletion_iou_auc": self.deletion.iou_auc, "insertion_iou_auc": self.insertion.iou_auc}

    def verdict(self, measure: Measure = "score") -> str:
        """What they say about the map, in sentences with the areas; see `perturb.metrics.verdict` for what is required.

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
        """How they were made, for the record."""
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
    """What `result.json` holds: the result without its arrays, and how its curves were made with the areas under them.

    Passes and seconds are those of the map and the curves together.
    """
    record = result.as_dict()
    if curves is not None:
        record["curves"] = curves.as_dict()
        record["metrics"] = curves.metrics()
        record["forwards"] += curves.forwards
        record["seconds"] = round(result.seconds + curves.seconds, 3)
    return record


def curve_forwards(steps: int = STEPS, draws: int = DRAWS) -> int:
    """Forward passes that `curves` takes."""
    return 2 + (steps - 1) * (2 + draws)


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
    """Deletion and insertion curves of a result's map, in one run.

    The pixels that are hidden show the blurred picture by default, whatever occluder made the map. A flat hole can itself
    be taken for the object, scattered flat pixels destroy any picture at once, so that random order looks strong; and
    maps of different occluders compare only under one measure.

    Source: Petsiuk et al. 2018 (RISE), sec. 3.3, with the target's region in place of the class score. Equal values are
    ordered by a seeded draw, and step i hides exactly ⌊i/steps · H·W⌋ pixels.

    Args:
        result: from `explain`. Hand the curves to `perturb.save` to write them beside it.
        steps: intervals on the fraction axis.
        draws: random orders in the control.
        score: what to measure in the region.
        fill: a name in `FILLS`, with its default settings; None for the fill that made the map.
        progress: called once a batch with the fraction done.
        batch: pictures a forward pass.

    Raises:
        SettingError: fewer than two steps, or no draw; no fill is named and none made the map.
        SegmenterError: the network was changed since it made the map.
    """
    if steps < 2 or draws < 1:
        raise SettingError(f"Curves need at least 2 steps and 1 draw: got {steps} steps and {draws} draws.")
    if fill is None and "fill" not in result.settings:
        raise SettingError(f"No fill made the map of '{result.method}'; name one for its curves, such as '{FILL}'.")
    began = time.perf_counter()
    total = result.heatmap.size
    counts = np.arange(steps + 1, dtype=np.int64) * total // steps
    inner = counts[1:-1]
    rank = order_by(result.heatmap, result.seed)
    orders = [
        order_by(np.zeros_like(result.heatmap), int(child.generate_state(1)[0]))
        for child in np.random.SeedSequence(result.seed).spawn(draws)
    ]
    chain = Chain(
        Ranked(rank, counts[[0, -1]]),  # both ends, shared by all curves
        Ranked(rank, inner),
        Ranked(rank, total - inner, from_end=True),
        *(Ranked(order, inner) for order in orders),
    )
    told = result.settings if fill is None else check_settings(FILL_SETTINGS, {"fill": fill}, "curves")
    behind = make_fill(result.image, told, result.seed)
    frozen = result.frozen.with_score(score)
    segmenter = result.unchanged()
    chosen = runner.route(result.image, chain, segmenter, frozen)
    readings = runner.run(result.image, chain, behind, segmenter, frozen, batch=batch, progress=progress, chosen=chosen)
    clean_score = float(readings.score[0])
    # A probability is positive; one that rounds to nothing must not blow up the curve.
    scale = clean_score if score != "logit" and clean_score > 1e-6 else 1.0

    def part(index: int, *, first: int, last: int) -> tuple[Floats, Floats]:
        """Score and IoU of the stretch `index`, between the end points `first` and `last`."""
        start = 2 + index * len(inner)
        piece = Readings.concatenate(
            [readings[first : first + 1], readings[start : start + len(inner)], readings[last : last + 1]]
        )
        return piece.score / scale, piece.iou

    deleted = part(0, first=0, last=1)
    inserted = part(1, first=1, last=0)
    random = [part(2 + draw, first=0, last=1) for draw in range(draws)]
    scores, ious = np.stack([s for s, _ in random]), np.stack([i for _, i in random])
    hidden = counts / total
    return Curves(
        deletion=Curve(hidden, deleted[0][None], deleted[1][None]),
        insertion=Curve(hidden, inserted[0][None], inserted[1][None]),
        random_deletion=Curve(hidden, scores, ious),
        # Restoring an order from its end shows the very pictures that hiding it from the front shows: no new passes.
        random_insertion=Curve(1.0 - hidden[::-1], scores[:, ::-1], ious[:, ::-1]),
        score=score,
        fill=str(told["fill"]),
        clean_score=clean_score,
        forwards=len(readings),
        seconds=time.perf_counter() - began,
        execution=chosen.execution,
    )
