"""What does a segmenter need to see? Hide parts of a picture, run it again, and look at what changed.

image = perturb.sample("quiet-street")
segmenter = perturb.load_segmenter("streets-unet")
result = perturb.explain(image, segmenter, perturb.Target("car"), method="occlusion", size=48, stride=24)
curves = perturb.curves(result)
perturb.save(result, "out", curves=curves)
"""

from perturb.core.versions import __version__
from perturb.curves import Curve, Curves, curves
from perturb.engine import Probe
from perturb.errors import ExportError, ImageError, PerturbError, SegmenterError, SettingError, TargetError
from perturb.explain import explain, probe
from perturb.export import save
from perturb.faithfulness import Faithfulness, compare
from perturb.fills import FILLS
from perturb.images import Image, load_image
from perturb.methods import METHODS, Method
from perturb.metrics import METRICS
from perturb.readings import Readings
from perturb.results import Result
from perturb.samples import SAMPLES, sample
from perturb.sanity import randomise, reseed
from perturb.segmenters import SEGMENTERS, Segmenter, TorchSegmenter, load_segmenter, load_weights, register
from perturb.segmenters.factory import load_factory
from perturb.segmenters.onnx import load_onnx
from perturb.targets import Target

__all__ = [
    "FILLS",
    "METHODS",
    "METRICS",
    "SAMPLES",
    "SEGMENTERS",
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
    "Result",
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
