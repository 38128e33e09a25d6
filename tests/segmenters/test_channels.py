"""Layers to walk through, channels in order, and one class's overlap with the truth; worked out by hand."""

import math

import numpy as np
import pytest

import perturb
from perturb.segmenters.channels import channel_statistics, part, stops
from perturb.segmenters.layers import Layer
from perturb.targets.quality import IGNORED, overlap


def layer(name, channels, depth):
    return Layer(name, "Conv2d", (channels, 4, 5), 0, depth)


def test_a_walk_goes_from_the_first_block_to_the_last_before_the_logits():
    names = ["stem.conv", "stem", "a.0", "a", "b.0", "b.1", "b", "c", "d", "head"]
    found = [layer(name, 3 if name == "head" else 8, depth) for depth, name in enumerate(names)]
    assert stops(found, 3) == ("stem", "b", "d")
    assert stops(found, 3, 5) == ("stem", "a", "b", "c", "d")
    assert stops(found, 3, 1) == ("stem",)


def test_where_the_outer_blocks_are_few_the_walk_goes_into_them():
    names = ["body.0", "body.1", "body.2", "body.3", "body.4", "body"]
    found = [layer(name, 8, depth) for depth, name in enumerate(names)]
    assert stops(found, 3) == ("body.0", "body.2", "body.4")
    assert stops(found[:2], 3) == ("body.0", "body.1"), "fewer layers than stops"
    assert stops([], 3) == ()


def test_parts_of_a_map():
    values = np.array([[-2.0, 0.0, 3.0]], dtype=np.float32)
    np.testing.assert_array_equal(part(values, "signed"), values)
    np.testing.assert_array_equal(part(values, "positive"), [[0, 0, 3]])
    np.testing.assert_array_equal(part(values, "negative"), [[2, 0, 0]])


def test_channels_are_ordered_by_what_is_asked():
    region = np.array([[True, True], [False, False]])
    values = np.array(
        [
            [[0, 0], [8, 8]],  # outside alone: −1
            [[1, 3], [0, 0]],  # inside alone: 2/3
            [[0, 0], [0, 0]],  # silent
            [[5, 5], [5, 5]],  # everywhere the same
            [[-9, 9], [0, 2]],  # (0 − 1)/9
        ],
        dtype=np.float32,
    )
    seen = channel_statistics(values, region)
    np.testing.assert_allclose(seen.mean, [4, 1, 0, 5, 0.5])
    np.testing.assert_allclose(seen.maximum, [8, 3, 0, 5, 9])
    np.testing.assert_allclose(seen.minimum, [0, 0, 0, 5, -9])
    np.testing.assert_allclose(seen.inside, [-1, 2 / 3, 0, 0, -1 / 9])
    assert seen.order("mean").tolist() == [3, 0, 1, 4, 2]
    assert seen.order("maximum").tolist() == [4, 0, 3, 1, 2]
    assert seen.order("inside").tolist() == [1, 2, 3, 4, 0], "ties by number"
    assert seen.order("number").tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(perturb.SettingError, match="cannot be ordered by 'beauty'; expected one of mean, maximum"):
        seen.order("beauty")
    np.testing.assert_array_equal(channel_statistics(values, np.ones((2, 2), bool)).inside, 0)


def test_overlap_of_a_class():
    truth = np.array([[1, 1, 0, IGNORED], [1, 2, 0, IGNORED]])
    labels = np.array([[1, 0, 1, 1], [1, 1, 0, 0]])
    seen = overlap(labels, truth, 1)
    np.testing.assert_array_equal(seen.missed, [[False, True, False, False], [False, False, False, False]])
    np.testing.assert_array_equal(seen.invented, [[False, False, True, False], [False, True, False, False]])
    assert (int(seen.intersection.sum()), int(seen.union.sum())) == (2, 5), "pixels without truth are left out"
    assert seen.iou == 0.4
    assert math.isnan(overlap(labels, truth, 7).iou)
