"""Feature ablation: hide one segment at a time and measure how much the score drops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from perturb.core.settings import Setting
from perturb.methods.base import Outcome, Request
from perturb.methods.masked import MaskedMethod, drops
from perturb.perturbations.fills.registry import FILL_SETTINGS
from perturb.perturbations.masks import Masks
from perturb.perturbations.segments import SEGMENT_SETTINGS, Coalitions, partition
from perturb.targets.readings import Readings


class FeatureAblation(MaskedMethod):
    """A segment's value is S(x) − S(x with the segment hidden).

    On an additive model S = Σ w·x with fill b it is Σ_segment w·(x − b).
    """

    name: ClassVar[str] = "feature-ablation"
    title: ClassVar[str] = "Feature ablation"
    summary: ClassVar[str] = "Each segment is hidden alone; its value is how much the score drops without it."
    citation: ClassVar[str] = "Captum, Kokhlikyan et al. 2020, sec. 3; segments as in Ribeiro et al. 2016"
    settings: ClassVar[tuple[Setting, ...]] = (*SEGMENT_SETTINGS, *FILL_SETTINGS)
    captions: ClassVar[Mapping[str, str]] = {
        "score": "How much the score drops when a segment is hidden. Red supports the class, blue counts against it.",
        "lost": "How many pixels of the region stop being predicted as the class when a segment is hidden.",
        "gained": "How many other pixels become predicted as the class when a segment is hidden. A score over the region does "
        "not register these.",
    }

    def masks(self, request: Request) -> Masks:
        labels = partition(request.image, request.frozen, request.settings)
        return Coalitions(labels, ~np.eye(int(labels.max()) + 1, dtype=np.bool_))

    def read(self, request: Request, masks: Masks, readings: Readings) -> Outcome:
        assert isinstance(masks, Coalitions)
        return Outcome(drops(request, masks, readings), facts={"segments": len(masks)}, segments=masks.labels)
