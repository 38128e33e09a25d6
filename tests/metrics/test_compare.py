"""What a comparison is made of, each part worked out another way: ranks by scipy, overlaps by sets, figures by hand."""

import re
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import rankdata, spearmanr

import perturb
from perturb.images.image import image_from_pixels
from perturb.metrics.baselines import CONTROLS
from perturb.metrics.evaluator import forwards_of
from perturb.metrics.scorecard import compare, compare_forwards
from tests.analytic import DarkIsObject, dark_square

ALL = perturb.Target("object", region="all")


class Watched(DarkIsObject):
    """Notes how many images come at once."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def logits(self, batch):
        self.batches.append(len(batch))
        return super().logits(batch)


def with_truth():
    """The dark square; the ground truth of the object ends five columns earlier than the square: 50 of 1961 are wrong."""
    image = dark_square()
    truth = np.zeros((37, 53), dtype=np.uint8)
    truth[10:20, 15:25] = 1
    return replace(image, truth=truth, truth_classes=("background", "object"))


@pytest.fixture(scope="module")
def results():
    image, segmenter = with_truth(), Watched()
    return [
        perturb.explain(image, segmenter, ALL, size=5, stride=2, fill="white"),
        perturb.explain(image, segmenter, ALL, method="rise", grid=4, masks=40),
        perturb.explain(image, segmenter, ALL, method="feature-ablation", segments="grid", count=6),
    ]


def test_agreement_and_consensus_are_those_of_the_maps(results):
    made = compare(results, metrics=("gini",), seed=3)
    maps = [result.heatmap - np.float32(result.neutral) for result in results]
    maps += [control.make(with_truth(), 3) for control in CONTROLS.values()]
    for scored, heatmap in zip(made.maps, maps, strict=True):
        assert_allclose(scored.heatmap, heatmap, atol=1e-7)
    for i, a in enumerate(maps):
        for j, b in enumerate(maps):
            assert made.spearman[i, j] == pytest.approx(spearmanr(a.ravel(), b.ravel())[0])
    # Equal values are many: which of them are at the top, the seed decides, for all maps by one draw.
    draw = np.random.default_rng(3).permutation(37 * 53)
    flat = [m.ravel() for m in maps]
    tops = [set(sorted(range(37 * 53), key=lambda i, m=m: (-m[i], draw[i]))[:196]) for m in flat]
    assert_allclose(made.overlap, [[len(one & other) / 196 for other in tops] for one in tops])
    places = np.stack([(rankdata(m) - 1) / (37 * 53 - 1) for m in maps[:3]])
    assert_allclose(made.consensus.ravel(), places.mean(0), atol=1e-6)
    assert_allclose(made.disagreement.ravel(), places.std(0), atol=1e-6)
    assert made.consensus.dtype == made.disagreement.dtype == np.float32


def test_each_map_keeps_what_its_run_said(results):
    said = [replace(results[0], notes=("A remark.",), forwards=7, seconds=2.5), *results[1:]]
    said[2] = replace(said[2], magnitudes=frozenset({"score"}))
    made = compare(said, metrics=("forwards", "seconds", "entropy"))
    assert [(m.name, m.kind) for m in made.maps] == [
        *((name, "method") for name in ("occlusion", "rise", "feature-ablation")),
        *((name, "control") for name in CONTROLS),
    ]
    assert made.maps[0].notes == ("A remark.",)
    assert [m.signed for m in made.maps] == [True, True, False, False, False, False]
    assert [m.values["forwards"] for m in made.maps] == [7, *(r.forwards for r in results[1:]), 0, 0, 0]
    assert [m.values["seconds"] for m in made.maps] == [2.5, *(r.seconds for r in results[1:]), 0, 0, 0]
    for scored, result in zip(made.methods, results, strict=True):
        mass = np.abs(result.heatmap.astype(np.float64) - np.float32(result.neutral)).ravel()
        share = mass[mass > 0] / mass.sum()
        assert scored.values["entropy"] == pytest.approx(-(share * np.log(share)).sum() / np.log(37 * 53), abs=1e-5)


def test_the_clean_image_is_judged_by_hand(results):
    made = compare(results[:1], metrics=("gini",))
    assert made.wrong_share == pytest.approx(50 / 1961)
    # The logits are 10·brightness and 10·(1 − brightness): a probability of the object of σ(10 − 20·brightness).
    dark, bright = 1 / (1 + np.exp(-8)), 1 / (1 + np.exp(8))
    assert made.clean_score == pytest.approx((150 * dark + 1811 * bright) / 1961, rel=1e-5)


def test_the_seed_is_that_of_the_random_orders(results):
    for seed in (0, 5):
        (own, *_) = compare(results[:1], metrics=("random_deletion_auc",), seed=seed).maps
        apart = perturb.curves(replace(results[0], seed=seed))
        assert own.values["random_deletion_auc"] == pytest.approx(apart.random_deletion.auc, abs=1e-6)
    default, zero, one = (
        compare(results[:1], metrics=("gini",), **options).maps[1].heatmap for options in ({}, {"seed": 0}, {"seed": 1})
    )
    assert_array_equal(default, zero)
    assert (default != one).any()


def test_batches_are_as_large_as_asked_and_progress_covers_all_maps_alike(results):
    segmenter, seen = results[0].segmenter, []
    segmenter.batches.clear()
    compare(results, metrics=("drop_b_flat", "increase_s_flat"), batch=1, progress=seen.append)
    assert set(segmenter.batches) == {1}
    assert len(segmenter.batches) == 1 + compare_forwards(3, ("drop_b_flat",)) == 1 + 2 * (3 + 3)
    # Two images for each of six maps, one at a time: twelve equal steps.
    assert_allclose(sorted(set(seen)), sorted({*np.arange(1, 13) / 12, *([0.0] if 0.0 in seen else [])}))
    assert seen == sorted(seen)
    segmenter.batches.clear()
    compare(results[:1], metrics=("road_morf",), batch=7)
    assert max(segmenter.batches) == 7
    assert sum(segmenter.batches) == 1 + 18 * (1 + 3)


def test_what_differs_in_image_network_class_or_region_is_not_compared(results):
    one, segmenter, image = results[0], results[0].segmenter, with_truth()
    settings = {"size": 9, "stride": 9}
    other_image = image_from_pixels(np.array(image.pixels[::-1]), name="upside down")
    other_network = perturb.load_segmenter("streets-unet")
    wrong = {
        "image": replace(one, image=other_image, method="other"),
        "network": replace(one, segmenter=other_network, segmenter_digest=other_network.digest, method="other"),
        "class": perturb.explain(image, segmenter, perturb.Target("background", region="all"), **settings),
        "region": perturb.explain(image, segmenter, perturb.Target("object"), **settings),
    }
    for other in wrong.values():
        said = (
            f"Only maps of one image, segmenter and region can be compared: got occlusion on 'dark square' (object) and "
            f"{other.method} on '{other.image.name}' ({other.frozen.name})."
        )
        with pytest.raises(perturb.SettingError, match=f"^{re.escape(said)}$"):
            compare([one, results[1], other], metrics=("gini",))


def test_the_passes_of_a_comparison_are_counted_before_it_runs(results):
    segmenter = results[0].segmenter
    for count, metrics in ((1, ("deletion_auc",)), (2, ("drop_s_linear", "gini")), (1, None)):
        before = segmenter.pictures
        compare(results[:count], metrics=metrics)
        assert segmenter.pictures - before == 1 + compare_forwards(count, metrics)
        assert compare_forwards(count, metrics) == forwards_of(metrics) * (count + 3)
