"""Maps as arrays, and figures of a segmentation, against values worked out by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from skimage.metrics import structural_similarity

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


def test_similarities_and_areas_by_hand():
    a, b = np.array([[0.0, 3.0], [1.5, 3.0]]), np.array([[6.0, 4.0], [5.0, 2.0]])
    # Scaled to [0, 1]: 0, 1, ½, 1 and 1, ½, ¾, 0, so they differ by 1, ½, ¼ and 1.
    assert measures.inverse_distance(a, b) == pytest.approx(1 / (1 + (1 + 1 / 4 + 1 / 16 + 1) ** 0.5))
    # A constant map is scaled to 0.
    assert measures.inverse_distance(a, np.full((2, 2), 9.0)) == pytest.approx(1 / (1 + (1 + 1 / 4 + 1) ** 0.5))
    assert measures.auc(np.array([0.0, 0.2, 1.0]), np.array([1.0, 0.5, 0.25])) == pytest.approx(0.15 + 0.3)
    noise, other = RNG.normal(size=(2, 7, 8))
    low, high = noise.min(), noise.max()
    scaled = (other - other.min()) / (other.max() - other.min())
    expected = structural_similarity((noise - low) / (high - low), scaled, data_range=1.0)
    assert measures.ssim(noise, other) == pytest.approx(expected)
    assert measures.ssim(5 * noise - 2, other) == pytest.approx(expected), "the scale of a map does not count"
    assert measures.ssim(noise[:6], other[:6]) is measures.ssim(noise[:, :6], other[:, :6]) is None
    assert measures.ssim(np.ones((7, 8)), other) is None


def test_normalised_maps_by_hand():
    heatmap = np.array([[-4.0, 1.0], [1.0, 2.0]], dtype=np.float32)
    for how, expected in {
        "none": [[-4, 1], [1, 2]],
        "max": [[-1, 0.25], [0.25, 0.5]],
        "l1": [[-0.5, 0.125], [0.125, 0.25]],
        "rank": [[0, 0.5], [0.5, 1]],  # the two equal ones share the places 1 and 2 of 0 … 3
    }.items():
        made = measures.normalise(heatmap, how)
        assert made.dtype == np.float64
        assert_allclose(made, expected, err_msg=how)
        zero = np.full((2, 2), 0.5) if how == "rank" else np.zeros((2, 2))
        assert_allclose(measures.normalise(np.zeros((2, 2)), how), zero, err_msg=how)
        small = measures.normalise(np.array([[-0.25, 0.5]]), how)
        assert_allclose(
            small, {"none": [[-0.25, 0.5]], "max": [[-0.5, 1]], "l1": [[-1 / 3, 2 / 3]], "rank": [[0, 1]]}[how]
        )
    assert measures.normalise(np.array([[7.0]]), "rank") == 0, "a single pixel has no other to stand above"
    with pytest.raises(perturb.SettingError, match="no normalisation 'log'; expected one of none, max, l1, rank"):
        measures.normalise(heatmap, "log")


@pytest.mark.parametrize(
    ("pixels", "share", "count"),
    [(29, 0.1, 2), (19, 0.1, 1), (9, 0.1, 1), (30, 0.5, 15), (30, 1.0, 30), (9, 0.01, 1), (29, None, 2)],
)
def test_the_overlap_of_two_maps_is_that_of_their_sets_of_top_pixels(pixels, share, count):
    maps = [np.floor(RNG.random((1, pixels)) * 8) for _ in range(4)]  # many ties
    for seed in (0, 3):
        draw = np.random.default_rng(seed).permutation(pixels)
        tops = [set(sorted(range(pixels), key=lambda i, m=m[0]: (-m[i], draw[i]))[:count]) for m in maps]
        options = {} if share is None else {"share": share}
        options |= {"seed": seed} if seed else {}
        expected = [[len(one & other) / count for other in tops] for one in tops]
        assert_allclose(measures.top_overlap(maps, **options), expected)


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


@pytest.mark.parametrize("kind", ["float64", "float16", "int8", "uint8", "bool"])
def test_a_map_of_any_numbers_becomes_float32(kind):
    heatmap = np.arange(12).reshape(4, 3).astype(kind)
    made = measures.check_map(heatmap, (4, 3))
    assert made.dtype == np.float32
    assert_array_equal(made, heatmap)
    assert_array_equal(measures.check_map(heatmap.tolist(), (4, 3)), heatmap)


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
