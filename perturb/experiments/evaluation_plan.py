"""The plan of an evaluation: which images, segmenters, methods, metrics and classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from perturb.core.errors import SettingError
from perturb.core.settings import check_settings, lookup
from perturb.core.versions import __version__
from perturb.images.image import MAX_SIDE
from perturb.methods.registry import METHODS
from perturb.metrics.registry import METRICS, default_metrics
from perturb.segmenters.factory import is_factory
from perturb.segmenters.named import is_onnx_file
from perturb.segmenters.registry import DEFAULT, SEGMENTERS

SMALLEST = 0.01
"""Smallest share of the image, in [0, 1], that a predicted class must cover to be explained by default."""


@dataclass(frozen=True)
class Plan:
    """What to evaluate. Two runs of the same plan give the same table.

    Attributes:
        pictures: names of samples, or paths of image files.
        segmenters: registered names, paths of ONNX files, or `module:factory`.
        methods, metrics: names.
        classes: names; empty for every class that covers at least `smallest` of an image.
        smallest: share of the image, at least 0 and below 1.
        settings: of the methods, by method and name.
        seed: of all random draws.
        truth: folder with a PNG of class indices for each image, of the same stem; empty for none.
        ignore_index: class indices of the ground truth whose pixels have no class.
        max_side: larger images are scaled down to this many pixels on the longer side.
        onnx: settings that ONNX files do not contain: fields of `OnnxSpec`, and `classes`, names separated by commas.

    Raises:
        SettingError: there are no images, a name or a setting is unknown, or a value is out of bounds.
    """

    pictures: tuple[str, ...]
    segmenters: tuple[str, ...] = (DEFAULT,)
    methods: tuple[str, ...] = tuple(METHODS)
    metrics: tuple[str, ...] = field(default_factory=default_metrics)
    classes: tuple[str, ...] = ()
    smallest: float = SMALLEST
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seed: int = 0
    truth: str = ""
    ignore_index: tuple[int, ...] = ()
    max_side: int = MAX_SIDE
    onnx: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.pictures:
            raise SettingError("There are no images to evaluate: expected image files or names of samples.")
        if not 0 <= self.smallest < 1:
            raise SettingError(f"The smallest share of a class lies between 0 and 1: got {self.smallest}.")
        for name in self.segmenters:
            if not is_onnx_file(name) and not is_factory(name):
                lookup(SEGMENTERS, name, "segmenter")
        if self.onnx and not any(map(is_onnx_file, self.segmenters)):
            raise SettingError("There are settings for an ONNX file, but none of the segmenters is one; omit them.")
        for name in self.methods:
            lookup(METHODS, name, "method")
        for name in self.metrics:
            lookup(METRICS, name, "metric")
        for name, values in self.settings.items():
            if name not in self.methods:
                raise SettingError(f"There is a setting for '{name}', which is not among the methods to evaluate.")
            check_settings(METHODS[name].settings, values, name)

    def as_dict(self) -> dict[str, Any]:
        """The plan as plain data; it must match when a run is resumed."""
        settings = {name: dict(sorted(values.items())) for name, values in sorted(self.settings.items())}
        names = ("pictures", "segmenters", "methods", "metrics", "classes")
        return {
            **{name: list(getattr(self, name)) for name in names},
            **{name: getattr(self, name) for name in ("smallest", "seed", "truth", "max_side")},
            "ignore_index": sorted(self.ignore_index),
            "settings": settings,
            "onnx": dict(sorted(self.onnx.items())),
            "version": __version__,
        }
