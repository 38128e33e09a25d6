"""The inputs of `explain` and `study`: the options for an image, a segmenter and a target, and the objects they name."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import perturb
from perturb.cli.arguments import Parser, add_ignore_index, ignored_in, names_in, settings_in
from perturb.cli.segmenter import segmenter_named
from perturb.core.errors import SettingError
from perturb.images.image import MAX_SIDE, Image
from perturb.images.samples import EVERY
from perturb.segmenters.registry import DEFAULT
from perturb.targets.target import REGIONS, SCORES


def inputs() -> argparse.ArgumentParser:
    """The options that both commands share, as a parent parser."""
    options = Parser(add_help=False)
    options.add_argument("image", metavar="PHOTO_OR_SAMPLE", help="an image file, or the name of a bundled sample")
    options.add_argument(
        "--segmenter",
        default=DEFAULT,
        help="a name, an ONNX file, or module:factory; see 'list segmenters' (default: %(default)s)",
    )
    options.add_argument(
        "--weights",
        metavar="FILE",
        help="your own weights, a safetensors file, with --classes; --segmenter then names the architecture",
    )
    options.add_argument(
        "--classes", default="", help="class names of your own weights or an ONNX file, in the order of the channels"
    )
    options.add_argument(
        "--onnx",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting that an ONNX file does not contain itself, such as scale=imagenet, or mean=128 and std=256 for "
        "(x - 128) / 256 on values from 0 to 255 (numbers up to 2 refer to values from 0 to 1), or order=BGR",
    )
    options.add_argument("--target", required=True, metavar="CLASS", help="name or index of the class to explain")
    options.add_argument("--region", default="class", help=f"pixels to explain: {' | '.join(REGIONS)} (default: class)")
    options.add_argument("--score", default="logit", help=f"score to explain: {' | '.join(SCORES)} (default: logit)")
    options.add_argument("--seed", type=int, default=0, help="of all random draws (default: 0)")
    options.add_argument(
        "--truth",
        metavar="FILE",
        help="ground truth: a PNG of the segmenter's class indices (255 for no class), or of its colours",
    )
    add_ignore_index(options)
    options.add_argument(
        "--max-side",
        type=int,
        default=MAX_SIDE,
        help="scale a larger image down to this many pixels (default: %(default)s)",
    )
    options.add_argument("--out", required=True, metavar="DIR", help="a new folder, or an earlier result to replace")
    return options


def target_of(options: argparse.Namespace) -> perturb.Target:
    """The target that the options name.

    Raises:
        TargetError: the region or the score is unknown.
    """
    return perturb.Target(options.target, region=options.region, score=options.score)


def image_of(text: str, max_side: int) -> Image:
    """The sample of that name, or the image file; a file takes precedence.

    Raises:
        SettingError: there is no such file or sample.
        ImageError: the file cannot be read.
    """
    if text in EVERY and not Path(text).exists():
        return perturb.sample(text)
    if not Path(text).exists() and Path(text).suffix == "":
        raise SettingError(f"There is no image file and no sample '{text}'; the samples are {', '.join(EVERY)}.")
    return perturb.load_image(text, max_side=max_side)


def with_truth(image: Image, options: argparse.Namespace, segmenter: perturb.Segmenter) -> Image:
    """The image with the ground truth of `--truth`, in the segmenter's classes; without that option it keeps its own."""
    ignored = ignored_in(options)
    if options.truth is None:
        return image
    return image.with_truth(options.truth, segmenter.classes, segmenter.palette, ignore_index=ignored)


def segmenter_of(options: argparse.Namespace) -> perturb.Segmenter:
    """The segmenter that the options name; raises as `segmenter_named` does."""
    onnx = settings_in(options.onnx, "--onnx", "scale=imagenet")
    return segmenter_named(
        options.segmenter, weights=options.weights or "", classes=names_in(options.classes), onnx=onnx
    )


def announce(segmenter: perturb.Segmenter, *lines: str) -> None:
    """Print lines before a run starts, first the input of an ONNX network, so that a wrong value range is noticed."""
    notes = [f"{segmenter.name} is given {segmenter.input_note}"] if segmenter.input_note else []
    for line in (*notes, *lines):
        print(line, file=sys.stderr)
