"""The attribution methods by name, in the order of lists and pages."""

from __future__ import annotations

from perturb.methods.ablation_cam import AblationCam
from perturb.methods.base import Method, Page
from perturb.methods.feature_ablation import FeatureAblation
from perturb.methods.grad_cam import GradCam
from perturb.methods.grad_cam_plus_plus import GradCamPlusPlus
from perturb.methods.gradient_shap import GradientShap
from perturb.methods.guided_backprop import GuidedBackprop
from perturb.methods.guided_grad_cam import GuidedGradCam
from perturb.methods.integrated_gradients import IntegratedGradients
from perturb.methods.kernel_shap import KernelShap
from perturb.methods.lime import Lime
from perturb.methods.occlusion import Occlusion
from perturb.methods.rise import Rise
from perturb.methods.saliency import Saliency
from perturb.methods.smoothgrad import SmoothGrad

METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Occlusion(),
        FeatureAblation(),
        Lime(),
        KernelShap(),
        Rise(),
        AblationCam(),
        GradCam(),
        GradCamPlusPlus(),
        GuidedGradCam(),
        GuidedBackprop(),
        Saliency(),
        SmoothGrad(),
        IntegratedGradients(),
        GradientShap(),
    )
}


def methods_on(page: Page) -> tuple[str, ...]:
    """Names of the methods that a page of the app offers, in order; the first is the default."""
    return tuple(name for name, method in METHODS.items() if method.page == page)
