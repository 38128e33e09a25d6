"""Load a segmenter by the word that names it: a registered name, an ONNX file, or `module:factory`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from perturb.segmenters.base import Segmenter
from perturb.segmenters.downloads import Progress
from perturb.segmenters.factory import is_factory, load_factory
from perturb.segmenters.onnx.segmenter import load_onnx_options
from perturb.segmenters.registry import SEGMENTERS, default_device, load_segmenter


def is_onnx_file(word: str) -> bool:
    """Whether a word names an ONNX file; a registered name never does."""
    return word not in SEGMENTERS and (Path(word).is_file() or Path(word).suffix == ".onnx")


def load_named(
    word: str, *, onnx: Mapping[str, str], classes: Sequence[str] = (), progress: Progress | None = None
) -> Segmenter:
    """Load the segmenter that a word names.

    Args:
        word: a registered name, path of an ONNX file, or `module:factory`.
        onnx: settings that an ONNX file does not contain itself, by the fields of `OnnxSpec`; unused for others.
        classes: class names of an ONNX file, in the order of its channels; unused for others.
        progress: called with the fraction of a download.

    Raises:
        PerturbError: it cannot be loaded.
    """
    if is_onnx_file(word):
        return load_onnx_options(word, onnx, classes)
    if word not in SEGMENTERS and is_factory(word):
        return load_factory(word, device=default_device())
    return load_segmenter(word, progress=progress)
