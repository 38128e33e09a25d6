"""Differences of maps and segmentations against values worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

import perturb
from perturb.experiments.comparison import agreement, difference, difference_of, disagreement, mismatches, shared_region
from perturb.metrics.measures import NORMALISATIONS, normalise
from tests.analytic import Additive, DarkIsObject, dark_square, picture

RNG = np.random.default_rng(3)
CLASSES = ("road", "car", "sky")


def test_normalisations_by_hand():
    heatmap = np.array([[4.0, -8.0, 0.0], [2.0, 2.0, 0.0]], dtype=np.float32)
    assert_array_equal(normalise(heatmap, "none"), heatmap)
    assert_array_equal(normalise(heatmap, "max"), heatmap / 8)
    assert_array_equal(normalise(heatmap, "l1"), heatmap / 16)
    # In order: −8, then 0 and 0 at places 1 and 2, then 2 and 2 at 3 and 4, then 4.
    assert_allclose(normalise(heatmap, "rank"), np.array([[5, 0, 1.5], [3.5, 3.5, 1.5]]) / 5)
    for how in ("none", "max", "l1"):
        assert_array_equal(normalise(np.zeros((2, 3), dtype=np.float32), how), 0)
    assert_array_equal(normalise(np.zeros((2, 3), dtype=np.float32), "rank"), 0.5)
    with pytest.raises(perturb.SettingError, match="no normalisation 'sum'; expected one of none, max, l1, rank"):
        normalise(heatmap, "sum")


@pytest.mark.parametrize("how", NORMALISATIONS)
def test_a_difference_changes_its_sign_with_its_order_and_is_zero_for_identical_maps(how):
    a, b = RNG.normal(size=(7, 11)).astype(np.float32), RNG.normal(size=(7, 11)).astype(np.float32)
    assert_array_equal(difference(a, b, how), -difference(b, a, how))
    assert_array_equal(difference(a, a, how), 0)
    assert np.abs(difference(a, b, how)).max() > 0
    if how != "none":  # a scale alone is no difference
        assert_allclose(difference(a, 4 * a, how), 0, atol=1e-12)
    with pytest.raises(perturb.SettingError, match="one size"):
        difference(a, b[:3], how)


def test_difference_by_hand():
    a, b = np.array([[2.0, -4.0]]), np.array([[1.0, 1.0]])
    assert_array_equal(difference(a, b), [[1, -5]])
    assert_array_equal(difference(a, b, "max"), [[-0.5, -2]])
    assert_allclose(difference(a, b, "l1"), [[1 / 3 - 0.5, -2 / 3 - 0.5]])
    assert_array_equal(difference(a, b, "rank"), [[0.5, -0.5]])


def test_agreement_equals_scipy_and_is_none_for_a_constant_map():
    a = RNG.normal(size=(20, 30))
    b = a + RNG.normal(size=a.shape)
    found = agreement(a, b)
    assert found.spearman == pytest.approx(stats.spearmanr(a.ravel(), b.ravel()).statistic)
    assert found.pearson == pytest.approx(stats.pearsonr(a.ravel(), b.ravel()).statistic)
    tops = [set(np.argsort(-m.ravel())[:60].tolist()) for m in (a, b)]
    assert found.top == pytest.approx(len(tops[0] & tops[1]) / 60)
    scaled = [(m - m.min()) / (m.max() - m.min()) for m in (a, b)]
    assert found.inverse_distance == pytest.approx(1 / (1 + np.sqrt(((scaled[0] - scaled[1]) ** 2).sum())))
    assert agreement(a, 3 * a + 1) == pytest.approx((1, 1, 1, 1))
    assert agreement(a, np.ones_like(a))[:3] == (None, None, None)
    with pytest.raises(perturb.SettingError, match="one size"):
        agreement(a, b[:3])


def test_disagreement_of_labels_by_hand():
    a = np.array([[0, 0, 1], [1, 2, 2]])
    b = np.array([[0, 1, 1], [0, 2, 1]])
    found = disagreement(a, CLASSES, b, CLASSES)
    assert_array_equal(found.mask, [[False, True, False], [True, False, True]])
    assert found.share == 0.5
    assert {tuple(pair) for pair in found.pairs} == {
        ("road", "car", 1, 1 / 6),
        ("car", "road", 1, 1 / 6),
        ("sky", "car", 1, 1 / 6),
    }
    assert [tuple(overlap) for overlap in found.overlaps] == [
        ("road", 2, 2, 1 / 3),
        ("car", 2, 3, 1 / 4),
        ("sky", 2, 1, 1 / 2),
    ]
    assert found.mean_iou == pytest.approx((1 / 3 + 1 / 4 + 1 / 2) / 3)
    assert (found.only_a, found.only_b, found.unmatched) == ((), (), 0)


def test_the_most_frequent_pair_comes_first_and_an_absent_class_has_no_iou():
    a, b = np.zeros((4, 5), dtype=int), np.zeros((4, 5), dtype=int)
    b[0, :2] = 1
    a[3, 0] = 1
    found = disagreement(a, CLASSES, b, CLASSES)
    assert [tuple(pair)[:3] for pair in found.pairs] == [("road", "car", 2), ("car", "road", 1)]
    assert found.overlaps[2] == ("sky", 0, 0, None)
    assert found.mean_iou == pytest.approx((17 / 20 + 0) / 2), "the absent class does not count"
    same = disagreement(a, CLASSES, a, CLASSES)
    assert (same.share, same.pairs, same.mean_iou) == (0, (), 1)
    with pytest.raises(perturb.SettingError, match="one size"):
        disagreement(a, CLASSES, b[:2], CLASSES)


def test_classes_are_matched_by_name_whatever_their_order():
    a = np.array([[0, 1, 2, 2]])  # road, car, sky, sky
    b = np.array([[1, 0, 2, 1]])  # road, car, tram, road
    found = disagreement(a, CLASSES, b, ("car", "road", "tram"))
    assert_array_equal(found.mask, [[False, False, True, True]])
    assert {tuple(pair)[:3] for pair in found.pairs} == {("sky", "tram", 1), ("sky", "road", 1)}
    assert [tuple(overlap) for overlap in found.overlaps] == [("road", 1, 2, 0.5), ("car", 1, 1, 1.0)]
    assert (found.only_a, found.only_b) == (("sky",), ("tram",))
    assert found.unmatched == 0.5
    strangers = disagreement(a, CLASSES, b, ("x", "y", "z"))
    assert (strangers.share, strangers.mean_iou, strangers.overlaps) == (1, None, ())


def test_a_shared_region_keeps_its_pixels_and_takes_the_other_segmenters_class():
    class Backwards(DarkIsObject):
        """The same with its classes in reverse order, and a slightly higher threshold."""

        def __init__(self):
            super().__init__()
            self.name, self.classes = "backwards", ("object", "background")

        def logits(self, batch):
            return super().logits(batch).flip(1) - 0.5

    image, first, second = dark_square(), DarkIsObject(), Backwards()
    target = perturb.Target("object", region="box:10,8,40,30")
    dark = image.pixels.mean(2) < 0.5
    own = target.freeze(image, dark.astype(np.int64), first.classes)
    moved = shared_region(target, image, second, first=first)
    assert_array_equal(moved.region, own.region)
    assert moved.index == 0
    assert_array_equal(moved.clean, dark)
    assert moved.window == (10, 8, 40, 30)
    made = perturb.explain(image, second, target, size=10, stride=10, frozen=moved)
    assert made.clean.score[0] == pytest.approx((1 - image.pixels.mean(2)[8:30, 10:40]).mean() * 10 - 0.5, rel=1e-5)
    with pytest.raises(perturb.TargetError, match="no class 'object'"):
        moved.moved_to(moved.labels, ("road", "car"))
    assert moved.digest() == own.digest()
    larger = perturb.Target("object", region="box:10,8,40,31").freeze(image, dark.astype(np.int64), first.classes)
    assert larger.digest() != own.digest()


@pytest.fixture(scope="module")
def results():
    image = picture(30, 45)
    segmenter = Additive(RNG.normal(size=(30, 45, 3)))
    other = Additive(RNG.normal(size=(30, 45, 3)))
    other.name = "other"
    grid = {"method": "feature-ablation", "segments": "grid", "count": 6}
    return {
        "a": perturb.explain(image, segmenter, perturb.Target("thing"), size=15, stride=15),
        "b": perturb.explain(image, segmenter, perturb.Target("thing"), **grid),
        "box": perturb.explain(image, other, perturb.Target("thing", region="box:0,0,9,30"), **grid),
        "iou": perturb.explain(image, segmenter, perturb.Target("thing", score="iou"), **grid),
        "rise": perturb.explain(image, segmenter, perturb.Target("thing"), method="rise", masks=100),
        "elsewhere": perturb.explain(picture(30, 45, 1), segmenter, perturb.Target("thing"), **grid),
    }


def test_differences_of_results_say_their_unit_and_refuse_what_cannot_be_subtracted(results):
    found, unit = difference_of(results["a"], results["b"])
    assert_allclose(found, results["a"].heatmap.astype(float) - results["b"].heatmap)
    assert unit == "drop in logit"
    with pytest.raises(perturb.SettingError, match=r"different units \(drop in logit; drop in IoU\)"):
        difference_of(results["a"], results["iou"])
    found, unit = difference_of(results["a"], results["iou"], "rank")
    assert unit == "difference of places in the order"
    assert np.abs(found).max() <= 1
    rise = results["rise"]
    found, _ = difference_of(rise, results["a"], "max")
    centred = rise.heatmap.astype(float) - np.float32(rise.neutral)
    assert_allclose(found + normalise(results["a"].heatmap, "max"), centred / np.abs(centred).max(), atol=1e-5)
    with pytest.raises(perturb.SettingError, match="Only maps of one image"):
        difference_of(results["a"], results["elsewhere"])


def test_every_mismatch_is_a_sentence(results):
    assert mismatches(results["a"], results["b"]) == []
    told = mismatches(results["a"], results["box"])
    assert [sentence.split(" differ")[0] for sentence in told] == ["The segmenters", "The regions"]
    assert "1,350 and 270 pixels; IoU 20%" in told[1]
    assert [sentence.split(" differ")[0] for sentence in mismatches(results["a"], results["iou"])] == ["The units"]
    assert [sentence.split(" differ")[0] for sentence in mismatches(results["b"], results["elsewhere"])] == [
        "The images"
    ]


def test_what_could_mislead_is_named_with_both_sides(results):
    a, box = results["a"], results["box"]
    unsized = replace(a, frozen=replace(a.frozen, region=np.zeros((30, 45), dtype=bool)))
    assert mismatches(unsized, unsized) == []
    assert mismatches(a, unsized) == ["The regions differ (1,350 and 0 pixels; IoU 0%), so the scores differ."]
    dot = np.zeros((30, 45), dtype=bool)
    dot[3, 4:6] = True
    one = replace(a, frozen=replace(a.frozen, region=dot))
    two = replace(a, frozen=replace(a.frozen, region=np.roll(dot, 1)))
    assert "(2 and 2 pixels; IoU 33%)" in mismatches(one, two)[0]
    renamed, retrained = replace(a, segmenter=box.segmenter), replace(a, segmenter_digest="another")
    assert mismatches(a, renamed)[0].startswith("The segmenters differ (additive; other), so the maps")
    assert mismatches(a, retrained)[0].startswith("The segmenters differ (additive; additive), so the maps")
    other = replace(a, frozen=replace(a.frozen, name="tram"))
    assert mismatches(a, other) == ["The classes differ (thing; tram), so the maps explain different targets."]
    assert mismatches(a, results["iou"]) == [
        "The units differ (drop in logit; drop in IoU), so only normalised maps are comparable."
    ]


def test_the_unit_of_a_difference_is_that_of_its_normalisation(results):
    units = {how: difference_of(results["a"], results["b"], how)[1] for how in NORMALISATIONS}
    assert units == {
        "none": "drop in logit",
        "max": "difference of shares of the largest magnitude",
        "l1": "difference of shares of the summed magnitude",
        "rank": "difference of places in the order",
    }


def test_the_share_that_counts_as_most_important_and_its_draw():
    a = np.zeros((10, 10))
    a[0] = 5  # ten pixels: the top tenth; all others are equal
    b = a.copy()
    b[0, :5], b[5, :5] = 0, 5
    assert agreement(a, b).top == 0.5
    assert agreement(a, b, share=0.05).top in (0, 0.2, 0.4, 0.6, 0.8, 1)
    tops = {agreement(a, b, share=0.05, seed=seed).top for seed in range(20)}
    assert len(tops) > 1, "which five of ten equal ones is drawn"
    flat = np.ones((10, 10))
    assert agreement(flat, a) == (None, None, None, pytest.approx(1 / (1 + np.sqrt(10))))
