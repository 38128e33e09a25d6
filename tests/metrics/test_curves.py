"""Deletion, insertion and their controls, against closed forms."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import perturb
from perturb.perturbations.masks import order_by
from tests.analytic import Additive, DarkIsObject, dark_square, picture


def additive_result(height=7, width=9, fill="black"):
    image = picture(height, width, seed=4)
    weights = np.random.default_rng(2).normal(size=(height, width, 3))
    return perturb.explain(image, Additive(weights), perturb.Target("thing"), size=1, stride=1, fill=fill), weights


def test_curves_of_an_additive_model_are_cumulative_sums():
    result, weights = additive_result()
    effect = (weights * result.image.pixels.astype(np.float64)).sum(2)
    assert_allclose(result.heatmap, effect, atol=1e-4)
    made = perturb.curves(result, steps=63, score="logit", fill=None)  # 63 pixels: one a step
    ordered = np.sort(effect.ravel())[::-1]
    clean = effect.sum()
    assert_allclose(made.deletion.score[0], clean - np.concatenate([[0], np.cumsum(ordered)]), atol=1e-4)
    assert_allclose(made.insertion.score[0], np.concatenate([[0], np.cumsum(ordered)]), atol=1e-4)
    assert_allclose(made.deletion.score[0, [0, -1]], [clean, 0], atol=1e-4)  # from S(x) to S(b), and b is black
    assert_allclose(made.deletion.fraction, np.arange(64) / 63)
    assert made.deletion.auc < made.random_deletion.auc < made.insertion.auc


def test_random_insertion_is_what_restoring_the_order_from_its_end_shows():
    result, weights = additive_result()
    made = perturb.curves(result, steps=7, draws=2, score="logit", fill=None)
    effect = (weights * result.image.pixels.astype(np.float64)).sum(2).ravel()
    for draw, child in enumerate(np.random.SeedSequence(result.seed).spawn(2)):
        rank = order_by(np.zeros((7, 9)), int(child.generate_state(1)[0])).ravel()
        for step in range(8):
            hidden = rank < 63 * step // 7
            assert_allclose(made.random_deletion.score[draw, step], effect[~hidden].sum(), atol=1e-4)
            restored = rank >= 63 - 63 * step // 7
            assert_allclose(made.random_insertion.score[draw, step], effect[restored].sum(), atol=1e-4)


def test_fractions_are_exact_when_steps_do_not_divide_the_pixels():
    result, _ = additive_result()
    made = perturb.curves(result, steps=10, draws=1)
    expected = np.array([63 * i // 10 for i in range(11)]) / 63
    assert_array_equal(made.deletion.fraction, expected)
    assert_array_equal(made.random_insertion.fraction, 1 - expected[::-1])
    assert made.random_insertion.fraction[0] == 0
    assert made.random_insertion.fraction[-1] == 1


def test_relative_score_and_iou_start_at_one_and_meet_at_the_fill():
    result = perturb.explain(dark_square(), DarkIsObject(), perturb.Target("object"), size=5, stride=2, fill="white")
    made = perturb.curves(result, steps=12, fill="white")
    for curve in (made.deletion, made.random_deletion):
        assert_allclose(curve.score[:, 0], 1)
        assert_allclose(curve.iou[:, 0], 1)
    for curve in (made.insertion, made.random_insertion):
        assert_allclose(curve.score[:, -1], 1)
    assert_allclose(made.insertion.score[0, 0], made.deletion.score[0, -1])
    # 150 of 1961 pixels are the object; the most important twelfth holds all of them
    assert made.deletion.iou[0, 1] < 0.2
    assert made.metrics()["deletion_auc"] < made.metrics()["random_deletion_auc"]
    assert made.metrics()["insertion_auc"] > made.metrics()["random_insertion_auc"]


def test_ranks_are_exact_under_ties():
    values = np.zeros((10, 10), dtype=np.float32)
    values.ravel()[:58] = np.arange(58, 0, -1)  # 42 % of the map is zero
    rank = order_by(values, seed=1)
    assert (rank < 60).sum() == 60
    assert_array_equal(np.sort(rank.ravel()), np.arange(100))
    assert_array_equal(rank.ravel()[:58], np.arange(58))
    assert_array_equal(order_by(values, seed=1), rank)
    other = order_by(values, seed=2)
    assert_array_equal(other.ravel()[:58], np.arange(58))
    assert (other != rank).any()


def test_seed_decides_the_draws_and_the_batch_does_not():
    result, _ = additive_result()
    first = perturb.curves(result, steps=6, batch=1)
    second = perturb.curves(result, steps=6, batch=7)
    assert_allclose(first.random_deletion.score, second.random_deletion.score, atol=1e-6)
    one, other = (perturb.curves(replace(result, seed=seed), steps=6, score="logit") for seed in (0, 9))
    assert np.abs(other.random_deletion.score - one.random_deletion.score).max() > 1e-3


def test_too_few_steps_is_an_error_in_words():
    result, _ = additive_result()
    with pytest.raises(perturb.SettingError, match="at least 2 steps"):
        perturb.curves(result, steps=1)


def test_curves_hide_with_the_blurred_picture_unless_told_otherwise():
    image = dark_square()
    result = perturb.explain(image, DarkIsObject(), perturb.Target("object"), size=5, stride=5, fill="white")
    made = perturb.curves(result, steps=4, draws=1)
    assert made.fill == "blur"
    blurred = perturb.explain(image, DarkIsObject(), perturb.Target("object"), size=5, stride=5, fill="blur")
    own = perturb.curves(blurred, steps=4, draws=1, fill=None)
    assert_allclose(made.deletion.score[0, -1], own.deletion.score[0, -1])
    assert perturb.curves(result, steps=4, draws=1, fill=None).fill == "white"
    with pytest.raises(perturb.SettingError, match="no fill 'tartan'"):
        perturb.curves(result, fill="tartan")
