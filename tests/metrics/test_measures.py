"""Maps as arrays, and figures of a segmentation, against values worked out by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import perturb
from perturb.core.ranks import spearman
from perturb.images.image import image_from_pixels
from perturb.metrics import measures
from perturb.perturbations.masks import order_by
from perturb.targets import quality

RNG = np.random.default_rng(0)


def test_ranks_are_exact_when_42_percent_of_the_map_are_zero():
    values = np.zeros(1000)
    values[420:] = RNG.random(580) + 0.1
    heatmap = RNG.permutation(values).reshape(25, 40)
    for count in (0, 1, 599, 600, 601, 1000):
        assert measures.top(heatmap, count).sum() == count
    chosen = measures.top(heatmap, 600)
    assert chosen[heatmap > 0].all()  # all 580, and 20 of the zeros
    assert (measures.top(heatmap, 600, seed=1) != chosen).any()  # which of them, chance decides


def test_agreement_of_identical_reversed_and_constant_maps():
    a = RNG.normal(size=(12, 15))
    rank = spearman([a, 2 * a + 5, -a, np.ones_like(a)])
    assert_allclose(rank[0, :3], [1, 1, -1])
    assert np.isnan(rank[0, 3])
    overlap = measures.top_overlap([a, a**3, -a])
    assert_allclose(overlap[0], [1, 1, 0])
    assert measures.inverse_distance(a, 3 * a + 1) == pytest.approx(1)
    assert measures.inverse_distance(a, -a) < 0.5
    assert measures.ssim(a, a) == pytest.approx(1)
    assert measures.ssim(a, np.ones_like(a)) is None


@pytest.mark.parametrize(
    ("heatmap", "words"),
    [
        (np.zeros((3, 4)), r"got shape \(3, 4\).*expected numbers of shape \(4, 3\)"),
        (np.full((4, 3), np.nan), "NaN or infinite"),
        (np.full((4, 3), "a"), "expected numbers"),
    ],
)
def test_a_map_that_does_not_fit_is_refused_in_words(heatmap, words):
    with pytest.raises(perturb.SettingError, match=words):
        measures.check_map(heatmap, (4, 3))


def test_segmentation_figures_by_hand():
    truth = np.array([[0, 0, 1, 255], [0, 1, 1, 255]])
    labels = np.array([[0, 1, 1, 2], [0, 1, 0, 2]])
    matrix = quality.confusion(labels, truth, 4)
    assert_array_equal(matrix, [[2, 1, 0, 0], [1, 2, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    ious = quality.iou_by_class(matrix)
    assert_allclose(ious[:2], [0.5, 0.5])
    assert np.isnan(ious[2:]).all()  # absent classes are n/a, neither 0 nor 1
    assert quality.mean_iou(matrix) == pytest.approx(0.5)
    assert quality.pixel_accuracy(matrix) == pytest.approx(4 / 6)
    assert quality.wrong_pixels(labels, truth).sum() == 2
    perfect = quality.confusion(truth, truth, 4)
    assert quality.mean_iou(perfect) == 1
    assert quality.pixel_accuracy(perfect) == 1
    nothing = quality.confusion(labels, np.full_like(labels, 255), 4)
    assert np.isnan(quality.mean_iou(nothing))
    assert np.isnan(quality.pixel_accuracy(nothing))


def test_truth_is_matched_by_the_names_of_classes():
    pixels = np.zeros((1, 3, 3), dtype=np.float32)
    image = image_from_pixels(
        pixels, name="p", truth=np.array([[0, 1, 2]], dtype=np.uint8), truth_classes=("a", "b", "c")
    )
    assert_array_equal(quality.true_labels(image, ("c", "a")), [[1, 255, 0]])
    with pytest.raises(perturb.TargetError, match="shares no class"):
        quality.true_labels(image, ("x",))
    with pytest.raises(perturb.TargetError, match="no ground truth"):
        quality.true_labels(image_from_pixels(pixels, name="p"), ("a",))


def test_order_is_a_permutation():
    heatmap = RNG.integers(0, 3, (7, 9)).astype(float)
    assert_array_equal(np.sort(order_by(heatmap, 3).ravel()), np.arange(63))
