"""Maps of the final logits against answers worked out by hand and by brute force."""

import numpy as np
import pytest
import torch
from skimage.segmentation import felzenszwalb

import perturb
from perturb.engine.runner import clean_logits
from perturb.targets.score_maps import at_pixel, cover, fusion, probabilities, region_means, score_maps, segments_of
from tests.analytic import picture


def by_brute_force(score, segments):
    """The definition, word for word: all segments as sets of pixels, one loop, no bookkeeping."""
    sets = [layer == label for layer in segments for label in range(layer.max() + 1)]
    left = np.ones(score.shape, dtype=bool)
    out = np.full(score.shape, np.nan)
    steps = 0
    while left.any():
        means = [score[part & left].mean() if (part & left).any() else -np.inf for part in sets]
        best = int(np.argmax(means))
        out[sets[best] & left] = means[best]
        left &= ~sets[best]
        steps += 1
    return out, steps


def partition(rng, height, width, count):
    """Random labels, every one of them used."""
    labels = rng.integers(0, count, (height, width)).astype(np.int32)
    labels.ravel()[rng.permutation(labels.size)[:count]] = np.arange(count)
    return labels


def test_fusion_of_a_perfect_model_is_one():
    labels = np.random.default_rng(0).integers(0, 5, (7, 9))
    logits = np.where(np.arange(5)[:, None, None] == labels, 1000.0, 0.0).astype(np.float32)
    np.testing.assert_array_equal(fusion(logits), np.ones((7, 9)))


def test_fusion_and_probabilities_are_torchs_softmax():
    logits = np.random.default_rng(1).normal(scale=30, size=(6, 5, 8)).astype(np.float32)
    expected = torch.from_numpy(logits).double().softmax(0).numpy()
    np.testing.assert_allclose(probabilities(logits), expected, rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(fusion(logits), expected.max(0), rtol=1e-6)
    np.testing.assert_allclose(fusion(np.zeros((4, 2, 3), np.float32)), 0.25)


def test_similarity_is_the_mean_of_each_predicted_region():
    score = np.array([[1.0, 2.0, 30.0], [3.0, 10.0, 20.0]], dtype=np.float32)
    predicted = np.array([[0, 0, 3], [0, 3, 3]])
    np.testing.assert_array_equal(region_means(score, predicted), [[2, 2, 20], [2, 20, 20]])


def test_cover_by_hand():
    # Halves left and right, and rows. The right half has the highest mean, 6; of what is left the lower row has 3.
    score = np.array([[1.0, 2.0, 8.0, 4.0], [3.0, 3.0, 5.0, 7.0]], dtype=np.float32)
    halves = np.array([[0, 0, 1, 1], [0, 0, 1, 1]])
    rows = np.array([[0, 0, 0, 0], [1, 1, 1, 1]])
    np.testing.assert_array_equal(cover(score, np.stack([halves, rows])), [[1.5, 1.5, 6, 6], [3, 3, 6, 6]])


@pytest.mark.parametrize("seed", range(8))
def test_cover_is_the_definition_word_for_word(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(3, 12, 2)
    layers = rng.integers(1, 5)
    segments = np.stack([partition(rng, height, width, int(rng.integers(1, 9))) for _ in range(layers)])
    score = rng.normal(size=(height, width)).astype(np.float32)
    expected, steps = by_brute_force(score.astype(np.float64), segments)
    got = cover(score, segments)
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert np.isfinite(got).all(), "every pixel is covered"
    assert len(np.unique(got)) <= steps, "and nothing is added once it is"
    assert got.sum(dtype=np.float64) == pytest.approx(score.sum(dtype=np.float64), abs=1e-4), "means keep the sum"


def test_cover_goes_down():
    """Each segment that is added has a mean no higher than the ones before it, so the brightest one is a maximum."""
    rng = np.random.default_rng(3)
    segments = np.stack([partition(rng, 20, 30, count) for count in (40, 12, 4)])
    score = rng.normal(size=(20, 30)).astype(np.float32)
    best = max(score[layer == label].mean() for layer in segments for label in range(layer.max() + 1))
    assert cover(score, segments).max() == pytest.approx(best, rel=1e-6)


def test_constant_scores_stay_constant_and_one_segment_gives_the_mean():
    segments = np.zeros((1, 4, 6), dtype=np.int32)
    score = np.arange(24, dtype=np.float32).reshape(4, 6)
    np.testing.assert_allclose(cover(score, segments), 11.5)
    flat = np.full((4, 6), -2.5, dtype=np.float32)
    np.testing.assert_array_equal(
        cover(flat, np.stack([segments[0], partition(np.random.default_rng(0), 4, 6, 5)])), flat
    )


def test_all_maps_of_a_small_network():
    image = picture(24, 33)
    logits = np.random.default_rng(5).normal(size=(4, 24, 33)).astype(np.float32)
    segments = segments_of(image, scales=(1.0, 20.0), smallest=4)
    assert segments.shape == (2, 24, 33)
    for layer in segments:
        assert set(np.unique(layer)) == set(range(layer.max() + 1)), "a whole partition"
    maps = score_maps(logits, 2, segments)
    predicted = logits.argmax(0)
    np.testing.assert_array_equal(maps.score, logits[2])
    np.testing.assert_allclose(maps.segmented, by_brute_force(logits[2].astype(float), segments)[0], rtol=1e-5)
    guided = np.concatenate([segments, predicted[None]])
    np.testing.assert_allclose(maps.guided, by_brute_force(logits[2].astype(float), guided)[0], rtol=1e-5)
    own = logits[2].astype(float)
    means = {k: own[predicted == k].mean() for k in range(4)}
    np.testing.assert_allclose(maps.similarity, np.vectorize(means.get)(predicted), rtol=1e-5)
    assert {name: values.dtype for name, values in maps.as_dict().items()} == dict.fromkeys(maps.as_dict(), np.float32)


def test_grad_cam_of_the_logits_is_the_score_map():
    """∂S/∂z_c is 1/|R| inside R and 0 elsewhere, so its mean over all cells is one over their number."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(5, 3, 1)).eval()
    segmenter = perturb.TorchSegmenter(module, classes=["a", "b", "c"])
    image = picture(17, 23)
    logits = clean_logits(image, segmenter).numpy()
    target = perturb.Target(segmenter.classes[int(logits.argmax(0)[8, 11])])
    result = perturb.explain(image, segmenter, target, method="grad-cam", layer="2")
    score = score_maps(logits, result.frozen.index, np.zeros((1, 17, 23), np.int32)).score
    np.testing.assert_allclose(result.heatmap * score.size, score, rtol=1e-4, atol=1e-5)


def test_a_pixel_has_its_own_column():
    logits = np.random.default_rng(7).normal(scale=5, size=(3, 4, 6)).astype(np.float32)
    seen = at_pixel(logits, 5, 1)
    np.testing.assert_allclose(seen.logits, logits[:, 1, 5])
    np.testing.assert_allclose(seen.probabilities, torch.from_numpy(logits[:, 1, 5]).double().softmax(0).numpy())
    assert seen.predicted == logits[:, 1, 5].argmax()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda z: at_pixel(z, 6, 0), r"The pixel \(6, 0\) lies outside the image; expected x in 0 … 5, y in 0 … 3"),
        (lambda z: score_maps(z, 3, np.zeros((1, 4, 6), np.int32)), "the class 3"),
        (lambda z: cover(z[0], np.zeros((1, 6, 4), np.int32)), r"got \(1, 6, 4\) for a map of \(4, 6\)"),
        (lambda z: cover(z[0] - np.inf, np.zeros((1, 4, 6), np.int32)), "not finite numbers"),
        (lambda z: cover(z[0], np.zeros((0, 4, 6), np.int32)), "L at least 1"),
    ],
)
def test_nonsense_is_answered_in_one_sentence(call, sentence):
    with pytest.raises(perturb.SettingError, match=sentence):
        call(np.zeros((3, 4, 6), dtype=np.float32))


def test_the_pixel_is_one_of_the_picture_up_to_its_last_row_and_column():
    logits = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    for x, y in ((0, 0), (3, 0), (0, 2), (3, 2)):
        np.testing.assert_array_equal(at_pixel(logits, x, y).logits, logits[:, y, x])
    for x, y in ((4, 0), (0, 3), (-1, 0), (0, -1)):
        with pytest.raises(perturb.SettingError, match="lies outside"):
            at_pixel(logits, x, y)


def test_probabilities_of_a_pixel_stand_any_logits():
    """e^800 is no float64; softmax does not change when all logits move together."""
    logits = np.array([800.0, 801.0, 799.0], dtype=np.float32).reshape(3, 1, 1)
    seen = at_pixel(logits, 0, 0)
    np.testing.assert_allclose(seen.probabilities, torch.tensor([0.0, 1.0, -1.0]).double().softmax(0).numpy())
    assert seen.logits.dtype == seen.probabilities.dtype == np.float64


def test_what_is_unsure_and_what_is_inside_are_counted_by_hand():
    logits = np.zeros((2, 2, 2), dtype=np.float32)
    logits[0] = [[0, 10], [-1, 10]]  # the surer class has 1/2, 1, e/(1 + e) = 0.73, 1
    maps = score_maps(logits, 0, np.zeros((1, 2, 2), np.int32))
    assert maps.unsure(0.5) == 0, "1/2 is not below 1/2"
    assert maps.unsure(0.6) == 0.25
    assert maps.unsure(0.8) == 0.5
    region = np.array([[True, False], [True, False]])
    assert maps.means(region) == (-0.5, 10.0)
    assert maps.means(np.ones((2, 2), bool)) == (4.75, None)
    assert maps.means(np.zeros((2, 2), bool)) == (None, 4.75)


def test_a_region_of_one_pixel_keeps_its_value():
    score = np.array([[9.0, 1.0, 3.0]], dtype=np.float32)
    np.testing.assert_array_equal(region_means(score, np.array([[2, 0, 0]])), [[9, 2, 2]])
    # Two partitions: the pixel alone has the highest mean, then the pair; the whole row has nothing left to cover.
    np.testing.assert_array_equal(cover(score, np.array([[[0, 1, 1]], [[0, 0, 0]]])), [[9, 2, 2]])
    # Were its mean taken for half of it, 4.5, the pair (9 + 1) / 2 would win.
    np.testing.assert_array_equal(cover(score, np.array([[[0, 1, 2]], [[0, 0, 1]]])), [[9, 1, 3]])


def test_segments_are_felzenszwalbs_at_each_scale():
    image = picture(30, 40)
    found = segments_of(image, scales=(5.0, 50.0), smallest=7)
    for scale, labels in zip((5.0, 50.0), found, strict=True):
        expected = felzenszwalb(image.pixels, scale=scale, min_size=7)
        np.testing.assert_array_equal(labels, expected)
        assert np.bincount(labels.ravel()).min() >= 7
    assert found[0].max() > found[1].max()
    assert found.dtype == np.int32
