"""LIME without the model: drawing the perturbed images and fitting the regression, against the `lime` package."""

from __future__ import annotations

import contextlib
import io

import numpy as np
import numpy.typing as npt
import torch
from lime.lime_image import LimeImageExplainer
from torch import Tensor

from benchmarks.contest import Answer, Side, Work
from benchmarks.subjects import Subject
from perturb.core.settings import check_settings
from perturb.images.image import to_tensor
from perturb.methods.base import Request
from perturb.methods.lime import Lime
from perturb.perturbations.fills.registry import make_fill
from perturb.perturbations.segments import Coalitions
from perturb.targets.readings import COLUMNS, Readings

BATCH = 8
STEP = 16
GREY = 0.5


def sampling(subject: Subject, segments: int, samples: int, floor: float | None) -> Work:
    """The same coalitions of the same segments, scored by a plane laid on every sixteenth pixel in place of a network."""
    method = Lime()
    settings = check_settings(
        method.settings, {"segments": "slic", "count": segments, "samples": samples, "fill": "grey"}, "lime"
    )
    request = Request(subject.image, subject.segmenter, subject.frozen, settings)
    drawn = method.masks(request)
    assert isinstance(drawn, Coalitions)
    height, width = drawn.height, drawn.width
    plane = np.random.default_rng(0).standard_normal((-(-height // STEP), -(-width // STEP))).astype(np.float32)
    tilted = torch.from_numpy(plane)

    def score(pictures: Tensor) -> Tensor:
        """Of `(N, 3, H, W)`; the same numbers for both sides, at next to no cost."""
        return (pictures[:, :, ::STEP, ::STEP].mean(1) * tilted).double().mean((1, 2))

    first = np.unique(drawn.labels, return_index=True)[1]  # a pixel of each segment, to read its value from the map
    picture = to_tensor(subject.image, torch.device("cpu"))
    vars(request)["clean"] = _readings(score(picture[None]))  # in place of what the segmenter would give

    def peer() -> Answer:
        def classify(pictures: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
            return score(torch.from_numpy(pictures).permute(0, 3, 1, 2)).numpy()[:, None]

        explainer = LimeImageExplainer(feature_selection="none", random_state=_Told(drawn.kept))
        with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
            made = explainer.explain_instance(
                np.array(subject.image.pixels),
                classify,
                labels=(0,),
                top_labels=None,
                hide_color=GREY,
                num_samples=1 + len(drawn),
                batch_size=BATCH,
                segmentation_fn=lambda _: drawn.labels,
                random_seed=0,
            )
        weights = dict(made.local_exp[0])
        return Answer(np.array([weights[index] for index in range(len(weights))]), 0)

    def ours() -> Answer:
        masks = method.masks(request)
        assert isinstance(masks, Coalitions)
        fill = make_fill(subject.image, settings, 0)
        parts = []
        with torch.inference_mode():
            for start in range(0, len(masks), BATCH):
                hidden = masks.hidden(start, min(start + BATCH, len(masks)))
                parts.append(_readings(score(fill.paint(picture, hidden, start))))
        heatmap = method.read(request, masks, Readings.concatenate(parts)).maps["score"]
        return Answer(heatmap.ravel()[first].astype(np.float64), 0)

    name = f"LIME without the model, {width}×{height}, {drawn.kept.shape[1]} segments, {samples} samples"
    return Work(
        name,
        Side("lime", peer),
        (Side("exact", ours, ours, floor=floor),),
        note="A plane on every sixteenth pixel stands in for the network; both sides draw the same coalitions.",
    )


class _Told(np.random.RandomState):
    """Make the `lime` package use the lab's coalitions instead of drawing its own."""

    def __new__(cls, kept: npt.NDArray[np.bool_]) -> _Told:  # noqa: ARG004 — the base class would take it for a seed
        return super().__new__(cls, 0)

    def __init__(self, kept: npt.NDArray[np.bool_]) -> None:
        super().__init__(0)
        self._kept = np.vstack([np.ones_like(kept[:1]), kept])

    def randint(self, low, high=None, size=None, dtype=int):  # type: ignore[no-untyped-def]  # noqa: ARG002, ANN
        assert size == self._kept.size
        return self._kept.astype(dtype).ravel()


def _readings(scores: Tensor) -> Readings:
    nothing = np.zeros(len(scores), dtype=np.int64)
    return Readings(**{column: scores.numpy() if column == "score" else nothing for column in COLUMNS})
