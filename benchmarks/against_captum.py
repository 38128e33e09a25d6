"""Methods that hide pixels, against captum: the same windows or segments, on the same module."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from captum.attr import FeatureAblation, KernelShap, Occlusion

import perturb
from benchmarks.contest import Answer, Side, Work, best_batch, seconds_of
from benchmarks.limits import occlusion_limit
from benchmarks.subjects import Scorer, Subject
from perturb.core.settings import check_settings
from perturb.methods.explain import Precision
from perturb.perturbations.segments import partition

GREY = 0.5
NOTE = (
    "captum runs the network as torchvision makes it; prepared, it gets the lab's own module, channels last and without the "
    "auxiliary head. Both in inference mode."
)
SAME = "captum gets the same module, channels last, in inference mode."


def occlusion(subject: Subject, size: int, stride: int, *, exact: float, fast: float | None = None) -> Work:
    """Grey windows.

    Args:
        subject: who is explained.
        size, stride: of the windows, px.
        exact, fast: the ratios to reach, in float32 and in bfloat16; without the second only float32 is run.
    """

    def peer(scorer: Scorer, batch: int) -> torch.Tensor:
        made: torch.Tensor = Occlusion(scorer).attribute(
            subject.picture,
            sliding_window_shapes=(3, size, size),
            strides=(3, stride, stride),
            baselines=GREY,
            perturbations_per_eval=batch,
        )
        return made

    settings = {"size": size, "stride": stride, "fill": "grey"}
    few = {"size": min(subject.frozen.region.shape), "stride": min(subject.frozen.region.shape)}
    sides = [_ours(subject, "exact", "occlusion", settings, few, floor=exact)]
    if fast is not None:
        sides.append(
            _ours(subject, "bfloat16", "occlusion", settings, few, precision="bfloat16", exact=False, floor=fast)
        )
    return Work(
        f"occlusion, {subject.title}, {size} px every {stride}",
        _captum(subject, peer, prepared=subject.as_made is None),
        tuple(sides),
        SAME if subject.as_made is None else NOTE,
        lambda: occlusion_limit(subject, size, stride),
        () if subject.as_made is None else (_captum(subject, peer, prepared=True, name="captum, prepared"),),
    )


def feature_ablation(subject: Subject, segments: int) -> Work:
    """Feature ablation on the same SLIC partition."""
    settings = {"segments": "slic", "count": segments, "fill": "grey"}

    def peer(scorer: Scorer, batch: int) -> torch.Tensor:
        made: torch.Tensor = FeatureAblation(scorer).attribute(
            subject.picture, baselines=GREY, feature_mask=_mask(subject, settings), perturbations_per_eval=batch
        )
        return made

    ours = _ours(subject, "exact", "feature-ablation", settings, {"count": 4})
    return Work(f"feature ablation, {subject.title}", _captum(subject, peer), (ours,), SAME)


def kernel_shap(subject: Subject, segments: int, samples: int) -> Work:
    """KernelSHAP with the same number of coalitions; each side draws its own, so both estimate the same values."""
    settings = {"segments": "slic", "count": segments, "fill": "grey", "samples": samples}

    def peer(scorer: Scorer, batch: int) -> torch.Tensor:
        torch.manual_seed(0)
        made: torch.Tensor = KernelShap(scorer).attribute(
            subject.picture,
            baselines=GREY,
            feature_mask=_mask(subject, settings),
            n_samples=samples,
            perturbations_per_eval=batch,
        )
        return made

    ours = _ours(subject, "drawn", "kernel-shap", settings, {"count": 4, "samples": 10}, exact=False)
    note = f"{SAME} Each side draws its own coalitions: two estimates of the same values."
    return Work(f"KernelSHAP, {subject.title}", _captum(subject, peer), (ours,), note)


def _ours(
    subject: Subject,
    name: str,
    method: str,
    settings: dict[str, Any],
    few: dict[str, Any],
    *,
    precision: Precision = "float32",
    exact: bool = True,
    floor: float | None = None,
) -> Side:
    """The lab's side; `few` replaces settings where it is only warmed up."""
    # A module of its own for each precision, as one visitor keeps to one: what the lab remembers of a module is then kept.
    segmenter = subject.segmenter if precision == "float32" else copy.deepcopy(subject.segmenter)

    def run(**changed: Any) -> Answer:
        result = perturb.explain(
            subject.image,
            segmenter,
            subject.target,
            method=method,
            precision=precision,
            **{**settings, **changed},
        )
        return Answer(result.heatmap, result.forwards)

    return Side(name, run, lambda: run(**few), exact, floor)


def _captum(
    subject: Subject,
    attribute: Callable[[Scorer, int], torch.Tensor],
    *,
    prepared: bool = True,
    name: str = "captum",
) -> Side:
    """captum's side, at the batch size at which the network is fastest."""

    @functools.cache
    def batch() -> int:
        scorer = Scorer(subject, prepared=prepared)
        return best_batch(lambda size: seconds_of(lambda: scorer(subject.picture.repeat(size, 1, 1, 1))))

    def run() -> Answer:
        scorer = Scorer(subject, prepared=prepared)
        made = attribute(scorer, batch())  # every channel of a pixel has the same value
        return Answer(made[0, 0].numpy(), scorer.forwards, note=f"Its best batch: {batch()}.")

    return Side(name, run, batch)


def _mask(subject: Subject, settings: dict[str, Any]) -> torch.Tensor:
    """The lab's partition in captum's format."""
    known = perturb.METHODS["feature-ablation"].settings
    told = {key: value for key, value in settings.items() if key != "samples"}
    labels = partition(subject.image, subject.frozen, check_settings(known, told, "feature-ablation"))
    return torch.from_numpy(np.array(labels, dtype=np.int64))[None, None]
