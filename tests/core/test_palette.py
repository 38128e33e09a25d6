"""The colours of classes that bring none: distinct, and the background is never the strongest."""

import numpy as np
import pytest
import torch

import perturb
from perturb.core.colour import class_palette
from tests import onnx_files as files


def strength(palette):
    """How far each colour is from grey: its largest channel minus its smallest."""
    return np.ptp(palette.astype(int), axis=1)


@pytest.mark.parametrize(
    ("classes", "plain"),
    [
        (["background", "crack"], [0]),
        (["__background__", "cat", "dog"], [0]),
        (["road", "car", "Void", "sky", "un-labelled", "Other"], [2, 4, 5]),
        ([f"class {index}" for index in range(30)], [0]),
        (["class 0", "class 1", "road"], []),
        (["road", "car", "otherwise"], []),
        (["class 0"], []),
    ],
)
def test_what_is_no_thing_is_grey_and_everything_else_is_not(classes, plain):
    palette = class_palette(classes)
    assert palette.dtype == np.uint8
    assert len(np.unique(palette, axis=0)) == len(classes)
    grey = strength(palette) == 0
    assert np.flatnonzero(grey).tolist() == plain
    assert strength(palette)[~grey].min() > 80


def test_segmenters_without_colours_of_their_own_have_them():
    data = files.save(files.pixelwise("sigmoid", kernel=[[1, -2, 0.5]]))
    network = torch.nn.Conv2d(3, 2, 1)
    for segmenter in (
        perturb.load_onnx(data, scale="unit"),
        perturb.load_onnx(data, scale="unit", classes=["crack"]),
        perturb.TorchSegmenter(network, classes=["background", "thing"]),
        perturb.TorchSegmenter(network, classes=["class 0", "class 1"]),
    ):
        first, second = strength(segmenter.palette)
        assert first == 0 < second


def test_a_palette_that_is_given_stays():
    given = np.array([[250, 0, 0], [1, 2, 3]], dtype=np.uint8)
    segmenter = perturb.TorchSegmenter(torch.nn.Conv2d(3, 2, 1), classes=["background", "thing"], palette=given)
    assert segmenter.palette is given
    assert perturb.load_segmenter("streets-unet").palette[:2].tolist() == [[135, 206, 235], [166, 118, 94]]
