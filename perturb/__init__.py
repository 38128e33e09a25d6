"""Attribution maps for semantic segmenters: perturb an image, run the segmenter again, and measure what changes.

image = perturb.sample("quiet-street")
segmenter = perturb.load_segmenter("streets-unet")
result = perturb.explain(image, segmenter, perturb.Target("car"), method="occlusion", size=48, stride=24)
curves = perturb.curves(result)
perturb.save(result, "out", curves=curves)
"""

from perturb.core.errors import ExportError, ImageError, PerturbError, SegmenterError, SettingError, TargetError
from perturb.core.versions import __version__
from perturb.engine.runner import Probe
from perturb.export.writer import save
from perturb.images.image import Image, load_image
from perturb.images.samples import SAMPLES, sample
from perturb.methods.attribution import Attribution
from perturb.methods.base import Method
from perturb.methods.explain import explain, probe
from perturb.methods.registry import METHODS
from perturb.metrics.curves import Curve, Curves, curves
from perturb.metrics.randomization import randomise, reseed
from perturb.metrics.registry import METRICS
from perturb.metrics.scorecard import Faithfulness, compare
from perturb.perturbations.fills.registry import FILLS
from perturb.segmenters.base import Segmenter
from perturb.segmenters.factory import load_factory
from perturb.segmenters.onnx.segmenter import load_onnx
from perturb.segmenters.own_weights import load_weights
from perturb.segmenters.registry import SEGMENTERS, load_segmenter, register
from perturb.segmenters.torch_module import TorchSegmenter
from perturb.targets.readings import Readings
from perturb.targets.target import Target

__all__ = [
    "FILLS",
    "METHODS",
    "METRICS",
    "SAMPLES",
    "SEGMENTERS",
    "Attribution",
    "Curve",
    "Curves",
    "ExportError",
    "Faithfulness",
    "Image",
    "ImageError",
    "Method",
    "PerturbError",
    "Probe",
    "Readings",
    "Segmenter",
    "SegmenterError",
    "SettingError",
    "Target",
    "TargetError",
    "TorchSegmenter",
    "__version__",
    "compare",
    "curves",
    "explain",
    "load_factory",
    "load_image",
    "load_onnx",
    "load_segmenter",
    "load_weights",
    "probe",
    "randomise",
    "register",
    "reseed",
    "sample",
    "save",
]
