"""Methods by name. Built-in ones enter as anyone's would."""

from __future__ import annotations

from perturb.methods.ablation_cam import AblationCam
from perturb.methods.base import Fact, Maps, Method, Outcome
from perturb.methods.feature_ablation import FeatureAblation
from perturb.methods.kernel_shap import KernelShap
from perturb.methods.lime import Lime
from perturb.methods.occlusion import Occlusion
from perturb.methods.rise import Rise

METHODS: dict[str, Method] = {
    method.name: method for method in (Occlusion(), FeatureAblation(), Lime(), KernelShap(), Rise(), AblationCam())
}

INSIDE: tuple[str, ...] = ("ablation-cam",)
"""Methods that look inside the network instead of hiding pixels; the Inspect page offers these, the first by default."""

__all__ = ["INSIDE", "METHODS", "Fact", "Maps", "Method", "Outcome"]
