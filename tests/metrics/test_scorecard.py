"""Metrics that hide pixels, on models with known values, and maps compared with the controls."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

import perturb
from perturb import Segmenter
from perturb.core.settings import check_settings
from perturb.images.image import to_tensor
from perturb.metrics.baselines import CONTROLS
from perturb.metrics.curves import FILL
from perturb.metrics.deletion_insertion import MapCurves, RandomCurves
from perturb.metrics.evaluator import MapEvaluator, forwards_of
from perturb.metrics.registry import METRICS, default_metrics
from perturb.metrics.road import RoadImages
from perturb.metrics.scorecard import compare, compare_forwards
from perturb.metrics.subject import FlatSubject, LinearSubject
from perturb.perturbations.fills.imputation import impute
from perturb.perturbations.fills.registry import FILL_SETTINGS, make_fill
from perturb.perturbations.masks import order_by
from tests.analytic import DarkIsObject, dark_square, picture


class AdditiveProbability(Segmenter):
    """The probability of `thing` is p = c + Σ w·x at every pixel."""

    def __init__(self, weights, constant):
        super().__init__("additive probability", classes=["thing", "rest"])
        self.weights, self.constant = torch.from_numpy(weights), constant

    def logits(self, batch):
        p = self.constant + (batch.double().permute(0, 2, 3, 1) * self.weights).sum((1, 2, 3))
        p = p[:, None, None, None].expand(-1, 1, *batch.shape[2:])
        return torch.cat([p.log(), (1 - p).log()], 1)


def evaluator_of(image, segmenter, label, **options):
    labels = segmenter(to_tensor(image, torch.device("cpu"))[None])[0].argmax(0).numpy()
    return MapEvaluator(
        image, segmenter, perturb.Target(label, region="all").freeze(image, labels, segmenter.classes), **options
    )


def additive(height=7, width=9, **options):
    image = picture(height, width, seed=4)
    weights = np.random.default_rng(2).normal(size=(height, width, 3)) * 0.002
    return evaluator_of(image, AdditiveProbability(weights, 0.5), "thing", **options), weights


def test_curves_of_an_additive_probability_are_cumulative_sums():
    evaluator, weights = additive()
    image = picture(7, 9, seed=4)
    told = check_settings(FILL_SETTINGS, {"fill": FILL}, "test")
    hidden = torch.ones(1, 7, 9, dtype=torch.bool)
    fill = make_fill(image, told, 0).paint(to_tensor(image, torch.device("cpu")), hidden, 0)[0].permute(1, 2, 0).numpy()
    effect = (weights * (image.pixels.astype(np.float64) - fill)).sum(2)
    clean = 0.5 + (weights * image.pixels).sum()
    values, curves = evaluator.measure(effect)
    counts = [63 * i // 20 for i in range(21)]
    fallen = clean - np.concatenate([[0], np.cumsum(np.sort(effect.ravel())[::-1])])[counts]
    risen = clean - np.concatenate([[0], np.cumsum(np.sort(effect.ravel()))])[::-1][counts]
    assert_allclose(curves["deletion"].score[0], fallen / clean, atol=1e-6)
    assert_allclose(curves["insertion"].score[0], risen / clean, atol=1e-6)
    assert_allclose(curves["deletion"].fraction, np.array(counts) / 63)
    assert values["deletion_auc"] == pytest.approx(np.trapezoid(fallen / clean, np.array(counts) / 63), abs=1e-6)


@pytest.mark.parametrize("region", ["truth", "class"])
def test_areas_are_those_of_the_curves_of_a_result(region):
    """Also where the IoU is taken with a ground truth that the clean segmentation misses, so that it starts below 1."""
    image, segmenter = dark_square(), DarkIsObject()
    truth = (image.pixels.mean(2) < 0.5).astype(np.uint8)
    truth[:, :25] = 0
    image = replace(image, truth=truth, truth_classes=("background", "object"))
    target = perturb.Target("object", region=region, score="probability")
    result = perturb.explain(image, segmenter, target, size=5, stride=2)
    alone = perturb.curves(result)
    (own, *_) = compare([result], metrics=alone.metrics()).maps
    assert alone.deletion.iou[0, 0] == pytest.approx(1 if region == "class" else 50 / 150)
    assert own.values == pytest.approx(alone.metrics(), abs=1e-6)
    for name, curve in alone.items():
        assert_allclose(own.curves[name].iou, curve.iou, err_msg=name)


def test_combined_is_half_of_lerf_minus_morf_and_passes_are_counted():
    segmenter = DarkIsObject()
    evaluator = evaluator_of(dark_square(), segmenter, "object")
    before = segmenter.pictures
    values, curves = evaluator.measure(np.random.default_rng(1).normal(size=(37, 53)))
    assert segmenter.pictures - before == forwards_of() + 1 == 39 + 18 + 4 + 1
    assert forwards_of() * 5 == compare_forwards(2)
    assert values["road_combined"] == pytest.approx((values["road_lerf"] - values["road_morf"]) / 2)
    assert values["road_morf"] == pytest.approx(curves["road_morf"].score.mean())
    assert_allclose(curves["road_lerf"].fraction, [37 * 53 * i // 10 / (37 * 53) for i in range(1, 10)])


def test_masks_hide_exactly_as_many_pixels_as_they_say_on_a_map_of_many_zeros():
    heatmap = np.zeros((37, 53))
    heatmap[:21] = np.random.default_rng(1).random((21, 53))
    total = 37 * 53
    rank = order_by(heatmap, 0)
    streams = [kind(rank, 0) for kind in (MapCurves, RandomCurves, RoadImages, FlatSubject, LinearSubject)]
    sizes = [stream.hidden(0, len(stream)).sum((1, 2)).tolist() for stream in streams]
    inner = [total * i // 20 for i in range(1, 20)]
    levels = [int(total * i / 10) for i in range(1, 10)]
    subject = int(0.2 * total)
    assert sizes[0] == [total, *inner, *(total - n for n in inner)]
    assert sizes[1] == [total, *inner * 3]
    assert sizes[2] == levels * 2
    assert sizes[3] == sizes[4] == [total - subject, subject]
    assert [stream.fill for stream in streams] == ["blur", "blur", "linear", "mean", "linear"]


def test_each_direction_prefers_the_oracle_to_its_negative():
    image, segmenter = dark_square(), DarkIsObject()
    result = perturb.explain(image, segmenter, perturb.Target("object"), size=5, stride=2)
    evaluator = MapEvaluator(image, segmenter, result.frozen)
    region = result.frozen.region.astype(np.uint8)
    oracle = cv2.distanceTransform(region, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - region, cv2.DIST_L2, 5)
    good, _ = evaluator.measure(oracle)
    bad, _ = evaluator.measure(-oracle)
    for name in default_metrics():
        better = METRICS[name].better
        if better not in ("lower", "higher"):
            continue
        sign = 1 if better == "higher" else -1
        # An increase is all or nothing on one picture, and a saturated probability can tie; it must never be reversed.
        assert sign * good[name] >= sign * bad[name], name
        if not name.startswith("increase"):
            assert sign * good[name] > sign * bad[name], name


def test_a_random_map_scores_like_the_random_control():
    evaluator, _ = additive(16, 20, metrics=("deletion_auc", "road_combined"))
    rng = np.random.default_rng(8)
    own = np.array([list(evaluator.measure(rng.normal(size=(16, 20)))[0].values()) for _ in range(12)])
    control = np.array(
        [list(evaluator.measure(CONTROLS["random"].make(picture(16, 20, seed=4), s))[0].values()) for s in range(12)]
    )
    spread = np.hypot(own.std(0), control.std(0)) / np.sqrt(12)
    assert (np.abs(own.mean(0) - control.mean(0)) < 3 * spread).all()
    assert abs(own[:, 1].mean()) < 3 * own[:, 1].std() / np.sqrt(12)  # combined is 0 on the mean


def test_a_constant_map_points_nowhere_and_is_ranked_by_chance():
    evaluator = evaluator_of(dark_square(), DarkIsObject(), "object")
    values, _ = evaluator.measure(np.zeros((37, 53)))
    assert values["map_iou"] is values["pointing_0"] is values["gini"] is values["total_variation"] is None
    assert values["deletion_auc"] > 0


def test_only_what_is_asked_for_is_run():
    evaluator = evaluator_of(dark_square(), DarkIsObject(), "object", metrics=("map_iou", "gini"))
    assert forwards_of(("map_iou", "gini")) == 0
    assert forwards_of(("drop_b_flat", "increase_s_flat")) == 2
    assert forwards_of(("road_combined", "road_morf")) == 18
    assert list(evaluator.measure(np.eye(37, 53))[0]) == ["map_iou", "gini"]
    with pytest.raises(perturb.SettingError, match="no metric 'iou'"):
        evaluator_of(dark_square(), DarkIsObject(), "object", metrics=("iou",))
    with pytest.raises(perturb.SettingError, match=r"expected numbers of shape \(37, 53\)"):
        evaluator.measure(np.zeros((5, 5)))


def test_maps_are_compared_with_each_other_and_with_the_controls():
    image, segmenter = dark_square(), DarkIsObject()
    target = perturb.Target("object")
    fine = perturb.explain(image, segmenter, target, size=3, stride=2, fill="white")
    coarse = perturb.explain(
        image, segmenter, target, method="feature-ablation", segments="grid", count=4, fill="white"
    )
    seen = []
    made = compare([fine, coarse], progress=seen.append)
    assert [(m.name, m.kind) for m in made.maps] == [
        ("occlusion", "method"), ("feature-ablation", "method"), *((name, "control") for name in CONTROLS)
    ]  # fmt: skip
    assert made.ranks("map_iou") == {"occlusion": 1, "feature-ablation": 2}
    assert made.ranks("gini") == {}  # a property has no better side
    assert "increase_s_flat" not in made.decided()  # the same for all maps: it decides nothing, and nobody loses on it
    assert {"map_iou", "deletion_auc"} <= set(made.decided())
    assert not [entry for entry in made.unbeaten() if entry[1] not in made.decided()]
    assert made.spearman.shape == made.overlap.shape == (5, 5)
    assert_allclose(np.diag(made.overlap), 1)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1)
    assert made.consensus.shape == image.pixels.shape[:2]
    assert 0 <= made.consensus.min() <= made.consensus.max() <= 1
    assert not [entry for entry in made.unbeaten() if entry[:2] == ("occlusion", "map_iou")]
    assert made.maps[0].values["forwards"] == fine.forwards


def test_a_map_that_is_the_control_does_not_beat_it():
    result = perturb.explain(dark_square(), DarkIsObject(), perturb.Target("object"), size=9, stride=9)
    result = replace(result, heatmap=CONTROLS["edges"].make(result.image, 0))
    found = compare([result], metrics=("deletion_auc", "road_combined", "map_iou")).unbeaten()
    assert {metric for _, metric, controls in found if "edges" in controls} == {
        "deletion_auc",
        "road_combined",
        "map_iou",
    }


def test_one_method_only_and_maps_that_do_not_belong_together():
    image, segmenter = dark_square(), DarkIsObject()
    one = perturb.explain(image, segmenter, perturb.Target("object"), size=9, stride=9)
    made = compare([one], metrics=("map_iou",))
    assert made.ranks("map_iou") == {"occlusion": 1}
    assert_array_equal(made.disagreement, 0)
    other = perturb.explain(image, segmenter, perturb.Target("background"), size=9, stride=9)
    with pytest.raises(perturb.SettingError, match=r"occlusion on 'dark square' \(object\).*\(background\)"):
        compare([one, other])
    assert made.wrong_share is None, "no ground truth, so errors cannot be determined"
    with pytest.raises(perturb.SettingError, match="got no result"):
        compare([])


def test_controls_are_seeded_and_know_nothing_of_the_segmenter():
    image = dark_square()
    for control in CONTROLS.values():
        made = control.make(image, 3)
        assert made.dtype == np.float32
        assert made.shape == (37, 53)
        assert_array_equal(made, control.make(image, 3))
    edges = CONTROLS["edges"].make(image, 0)
    assert edges[15, 22] == 0
    assert edges[10, 22] > 0


def test_plateaus_scattered_by_chance_are_imputed():
    """A map with a plateau hides scattered pixels beside whole areas; conjugate gradients once stalled on such a mask."""
    known = np.zeros((360, 480), dtype=bool)
    known[64:256, 192:320] = known[128:256, 128:192] = True
    known[128:192, 320:384] = np.random.default_rng(0).random((64, 64)) < 0.5
    pixels = perturb.sample("lone-pedestrian").pixels
    found = impute(to_tensor(perturb.sample("lone-pedestrian"), torch.device("cpu")), torch.from_numpy(~known)[None])[0]
    found = found.double().numpy()
    assert_array_equal(found[:, known], pixels.transpose(2, 0, 1)[:, known])
    padded = np.pad(found, ((0, 0), (1, 1), (1, 1)), mode="constant", constant_values=np.nan)
    pull = np.zeros_like(found)
    for dy, dx in ((a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if a or b):
        neighbour = padded[:, 1 + dy : 361 + dy, 1 + dx : 481 + dx]
        pull += np.nan_to_num(found - neighbour) * (1 / 6 if dy == 0 or dx == 0 else 1 / 12)
    assert np.abs(pull[:, ~known]).max() < 1e-5  # every hidden pixel is the weighted mean of its neighbours
