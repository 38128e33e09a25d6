"""Deletion, insertion and RISE, against the algorithms as in their authors' published code.

Petsiuk et al. 2018, sec. 3.2 and 3.3; github.com/eclique/RISE, evaluation.py and explanations.py. Written from what these
describe, since they are no package, and without their bookkeeping.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

import perturb
from benchmarks.contest import Answer, Side, Work
from benchmarks.subjects import Subject
from perturb.perturbations.fills.registry import make_fill
from perturb.perturbations.masks import order_by

DRAWS = 1


def curves(subject: Subject, steps: int, floor: float | None) -> Work:
    """Deletion and insertion of a map, and of one random order as the control; one image per forward pass."""
    size = min(subject.frozen.region.shape) // 2
    result = perturb.explain(subject.image, subject.segmenter, subject.target, size=size, stride=size)
    blurred = make_fill(result.image, {"fill": "blur", "sigma": 12.0}, 0)
    everything = torch.ones((1, *result.heatmap.shape), dtype=torch.bool)
    finish = blurred.paint(subject.picture[0], everything, 0)
    child = np.random.SeedSequence(result.seed).spawn(1)[0]
    rank = order_by(result.heatmap, result.seed)
    random = order_by(np.zeros_like(result.heatmap), int(child.generate_state(1)[0]))
    runs = (
        (subject.picture, finish, rank),
        (finish, subject.picture, rank),
        (subject.picture, finish, random),
        # The lab's random insertion restores the order from its end.
        (finish, subject.picture, random.size - 1 - random),
    )

    def peer() -> Answer:
        single = _SingleRun(subject, steps)
        return Answer(np.stack([single(*run) for run in runs]), single.forwards)

    def ours() -> Answer:
        made = perturb.curves(result, steps=steps, draws=DRAWS, score="probability", fill="blur")
        found = [curve.score[0] * made.clean_score for _, curve in made.items()]
        return Answer(np.stack(found), made.forwards)

    note = "Four curves: of the map, and of the random order that the lab always shows beside it."
    return Work(
        f"deletion and insertion, {subject.title}, {steps} steps",
        Side("one forward a step", peer, lambda: _SingleRun(subject, 2)(*runs[0])),
        (Side("exact", ours, lambda: perturb.curves(result, steps=2), floor=floor),),
        note,
    )


class _SingleRun:
    """One curve: change the next pixels in place, run, read the mean probability of the class in the region."""

    def __init__(self, subject: Subject, steps: int) -> None:
        self._subject, self._steps = subject, steps
        self._region = torch.from_numpy(np.flatnonzero(subject.frozen.region))
        self.forwards = 0

    @torch.inference_mode()
    def __call__(self, start: Tensor, finish: Tensor, rank: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        order = torch.from_numpy(np.argsort(rank.ravel()))
        total = len(order)
        # As exact as the lab's: insertion restores whatever deletion of the same step has left.
        counts = [index * total // self._steps for index in range(self._steps + 1)]
        shown, behind = start.clone().flatten(2), finish.flatten(2)
        scores = []
        for index, count in enumerate(counts):
            if index:
                coordinates = order[counts[index - 1] : count]
                shown[:, :, coordinates] = behind[:, :, coordinates]
            scores.append(self._score(shown.view_as(start)))
        return np.array(scores)

    def _score(self, picture: Tensor) -> float:
        self.forwards += 1
        segmenter, frozen = self._subject.segmenter, self._subject.frozen
        logits = segmenter.module(segmenter.prepare(picture)).flatten(2).index_select(2, self._region)
        return float(logits.softmax(1)[0, frozen.index].double().mean())
