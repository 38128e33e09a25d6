"""Load the segmenter that the command line names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from perturb.cli.arguments import Bar
from perturb.core.errors import SettingError
from perturb.segmenters.base import Segmenter
from perturb.segmenters.factory import is_factory, search_working_directory
from perturb.segmenters.named import is_onnx_file, load_named
from perturb.segmenters.own_weights import load_weights
from perturb.segmenters.registry import default_device


def segmenter_named(
    word: str, *, weights: str = "", classes: Sequence[str] = (), onnx: Mapping[str, str] | None = None
) -> Segmenter:
    """Load a segmenter; a download shows a progress bar.

    Args:
        word: a registered name, an ONNX file, or `module:factory`; with weights the name of their architecture.
        weights: path of a safetensors file; empty for none.
        classes: class names of the weights or the ONNX file, in the order of the channels.
        onnx: settings that the ONNX file does not contain itself, by the fields of `OnnxSpec`.

    Raises:
        PerturbError: it cannot be loaded, or an option does not apply to it.
    """
    onnx = onnx or {}
    if weights:
        if onnx:
            raise SettingError("'--weights' and '--onnx' apply to different kinds of files; omit one of them.")
        return load_weights(word, weights, classes, device=default_device())
    check_onnx_options(word, classes, onnx)
    if is_factory(word):
        search_working_directory()
    with Bar("download") as bar:
        return load_named(word, onnx=onnx, classes=classes, progress=bar)


def check_onnx_options(word: str, classes: Sequence[str], onnx: Mapping[str, str]) -> None:
    """Check that options for ONNX files are given for an ONNX file only.

    Raises:
        SettingError: they are given for another segmenter.
    """
    if (classes or onnx) and not is_onnx_file(word):
        raise SettingError(f"'--classes' and '--onnx' apply to ONNX files, and '{word}' is not one; omit them.")
