"""Partitions and coalitions against answers by hand and by brute force."""

import itertools

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from skimage import segmentation

import perturb
from perturb.core.settings import check_settings
from perturb.images.image import image_from_pixels
from perturb.perturbations.masks import Masks
from perturb.perturbations.segments import (
    MOST,
    SEGMENT_SETTINGS,
    Coalitions,
    all_coalitions,
    few_samples,
    partition,
    several,
)
from tests.analytic import picture


def parts_of(image, labels=None, **settings):
    labels = np.zeros((image.height, image.width), dtype=np.int64) if labels is None else labels
    frozen = perturb.Target("a", region="all").freeze(image, labels, tuple("abcdef"))
    return partition(image, frozen, check_settings(SEGMENT_SETTINGS, settings, "test"))


@pytest.mark.parametrize(
    ("height", "width", "count", "rows", "columns"),
    [
        (4, 6, 6, 2, 3),
        (4, 6, 24, 4, 6),
        (4, 6, 1, 1, 1),
        (1, 9, 3, 1, 3),
        (40, 10, 4, 4, 1),
        (7, 10, 12, 3, 4),
        (3, 3, 1000, 3, 3),
    ],
)
def test_a_grid_by_hand(height, width, count, rows, columns):
    labels = parts_of(picture(height, width), segments="grid", count=count)
    assert labels.dtype == np.int32
    for y, x in np.ndindex(height, width):
        assert labels[y, x] == (y * rows // height) * columns + x * columns // width


def test_a_grid_of_rows_that_do_not_divide():
    """Seven rows in three: 0 0 0 1 1 2 2, as 7/3 falls; sizes differ by one at most."""
    labels = parts_of(picture(7, 7), segments="grid", count=9)
    assert_array_equal(labels[:, 0] // 3, [0, 0, 0, 1, 1, 2, 2])
    assert_array_equal(labels[0], [0, 0, 0, 1, 1, 2, 2])


def test_superpixels_are_scikit_images():
    image = picture(40, 60)

    def same(one, other):
        """Partitions that differ by their numbering alone."""
        pairs = set(zip(one.ravel().tolist(), other.ravel().tolist(), strict=True))
        return len(pairs) == len(np.unique(one)) == len(np.unique(other))

    slic = segmentation.slic(image.pixels, n_segments=12, compactness=10, channel_axis=-1)
    assert same(parts_of(image, segments="slic", count=12), slic)
    for scale, smallest in ((30.0, 20), (200.0, 20), (30.0, 90)):
        expected = segmentation.felzenszwalb(image.pixels, scale=scale, min_size=smallest)
        assert same(parts_of(image, segments="felzenszwalb", scale=scale, smallest=smallest), expected)


def test_regions_touch_at_corners_and_specks_go_to_the_nearest():
    labels = np.array(
        [
            [0, 0, 0, 0, 1, 1],
            [0, 0, 2, 0, 1, 1],
            [0, 0, 0, 0, 1, 1],
            [3, 3, 0, 1, 0, 0],
            [3, 3, 1, 0, 0, 0],
        ]
    )
    image = picture(5, 6)
    found = parts_of(image, labels, segments="regions", smallest=1)
    # 0 above, and below beyond the chain of 1s, which touch at their corners; the 0s touch across it as well.
    assert len(np.unique(found)) == 4
    assert found.max() == 3
    for value in range(4):
        assert len(np.unique(found[labels == value])) == 1
    joined = parts_of(image, labels, segments="regions", smallest=5)
    expected = np.where(labels == 2, 0, labels)  # the speck lies in the zeros
    nearest = {(3, 0): 0, (3, 1): 0, (4, 0): 0, (4, 1): 1}  # of the 3s each pixel joins what is nearest
    for y, x in itertools.product(range(5), range(6)):
        if labels[y, x] != 3:
            assert (joined[y, x] == joined[0, 0]) == (expected[y, x] == 0)
        else:
            assert joined[y, x] == joined[(0, 0) if nearest[y, x] == 0 else (0, 4)]
    assert len(np.unique(joined)) == 2
    with pytest.raises(
        perturb.SettingError, match=r"the largest region has 17 pixels, expected 'smallest' \(18\) or more"
    ):
        parts_of(image, labels, segments="regions", smallest=18)


def test_ground_truth_regions_are_those_of_its_labels():
    truth = np.array([[0, 0, 1, 255], [1, 0, 1, 255]], dtype=np.uint8)
    image = picture(2, 4).with_truth(truth, ("a", "b"))
    found = parts_of(image, segments="truth", smallest=1)
    assert len(np.unique(found)) == 4, "the two 1s do not touch, and pixels of no class are a region"
    for mask in (truth == 0, truth == 255):
        assert len(np.unique(found[mask])) == 1
    assert found[1, 0] != found[0, 2] == found[1, 2]
    for none in (picture(2, 4), image_from_pixels(image.pixels.copy(), name="t", truth=np.full((2, 4), 255, np.uint8))):
        with pytest.raises(perturb.SettingError, match="has no ground truth, so it has no ground-truth regions"):
            parts_of(none, segments="truth", smallest=1)


def test_what_is_remembered_belongs_to_its_image_and_its_settings():
    image, other = (
        image_from_pixels(np.kron(picture(3, 4, seed=seed).pixels, np.ones((10, 10, 1), np.float32)), name="blocks")
        for seed in (0, 1)
    )
    first = parts_of(image, segments="slic", count=9)
    assert parts_of(image, segments="slic", count=9, scale=7.0) is first, "'scale' is not read"
    assert parts_of(image, segments="slic", count=12) is not first
    assert not np.array_equal(parts_of(other, segments="slic", count=9), first)
    assert not first.flags.writeable
    one, two = (np.arange(1200).reshape(30, 40) // cut % 2 for cut in (20, 600))
    assert not np.array_equal(
        parts_of(image, one, segments="regions", smallest=1), parts_of(image, two, segments="regions", smallest=1)
    )


def test_as_many_segments_as_can_be_and_one_more():
    labels = np.zeros((1, 2 * (MOST + 1)), dtype=np.int64)
    labels[0, ::2] = 1
    most = labels[:, :MOST]
    assert parts_of(picture(1, MOST), most, segments="regions", smallest=1).max() == MOST - 1
    with pytest.raises(perturb.SettingError, match="falls into 4,097 segments, expected at most 4,096"):
        parts_of(picture(1, MOST + 1), labels[:, : MOST + 1], segments="regions", smallest=1)


def test_coalitions_hide_what_they_do_not_keep():
    labels = np.array([[0, 0, 1], [2, 2, 1]], dtype=np.int32)
    kept = np.array([[True, False, False], [True, True, True], [False, True, False], [False, False, False]])
    stream = Coalitions(labels, kept)
    expected = np.array([[[not row[label] for label in line] for line in labels] for row in kept])
    assert len(stream) == 4
    assert_array_equal(stream.hidden(0, 4), expected)
    assert_array_equal(stream.hidden(2, 3), expected[2:3])
    assert stream.hidden(0, 1).dtype == torch.bool
    values = np.random.default_rng(0).normal(size=(4, 2))
    assert_allclose(stream.spread(values), Masks.spread(stream, values), atol=1e-6)
    # A segment that every coalition keeps is never hidden, and has 0.
    always = Coalitions(labels, np.array([[True, False, True], [True, True, False]]))
    assert_array_equal(always.spread(np.array([[3.0], [5.0]]))[0], [[0, 0, 3], [5, 5, 3]])
    painted = stream.paint(np.array([[1.0, 2, 3], [4, 5, 6]]))
    assert_array_equal(painted, [[[1, 1, 2], [3, 3, 2]], [[4, 4, 5], [6, 6, 5]]])
    assert painted.dtype == np.float32


@pytest.mark.parametrize("segments", [1, 2, 3, 5])
def test_all_coalitions_are_all_subsets_but_two(segments):
    found = {tuple(row) for row in all_coalitions(segments).tolist()}
    every = set(itertools.product((False, True), repeat=segments))
    assert found == every - {(False,) * segments, (True,) * segments}
    assert len(all_coalitions(segments)) == len(found)
    assert all_coalitions(segments).dtype == np.bool_


def test_a_single_segment_is_nothing_to_compare():
    assert several(np.array([[0, 1]], dtype=np.int32), "LIME") == 2
    assert several(np.array([[4, 1]], dtype=np.int32), "LIME") == 5
    with pytest.raises(perturb.SettingError, match=r"^LIME compares coalitions of segments, and the whole image"):
        several(np.zeros((2, 2), dtype=np.int32), "LIME")


def test_ten_samples_a_segment_are_enough():
    assert few_samples(120, 12) == few_samples(500, 12) == ()
    (note,) = few_samples(119, 12)
    assert note.startswith(
        "119 samples for 12 segments are 9.9 each, which gives a noisy map; take at least 10 each (120)"
    )
