"""Metrics that read the map alone, against values worked out by hand."""

import numpy as np
import pytest

from perturb.metrics.base import MetricInput
from perturb.metrics.concentration import Entropy, Gini, HalfArea, TotalVariation
from perturb.metrics.error_share import ErrorShare
from perturb.metrics.localisation import MapIou, PointingGame
from perturb.perturbations.masks import order_by
from perturb.targets.readings import Readings


def value(metric, heatmap, mask=None, wrong=None):
    """The value of a metric for a map; `mask` is the explained region and the object."""
    return metric.value(
        MetricInput(heatmap, heatmap, order_by(heatmap, 0), mask, mask, wrong, Readings.none(), readings={}, curves={})
    )


def described(heatmap):
    return {metric.name: value(metric, heatmap) for metric in (Gini(), Entropy(), HalfArea(), TotalVariation())}


def test_iou_of_the_map():
    mask = np.zeros((6, 8), dtype=bool)
    mask[1:3, 2:6] = True
    assert value(MapIou(), mask.astype(float), mask) == 1
    assert value(MapIou(), -mask.astype(float), mask) == 0
    half = np.zeros((6, 8))
    half[1, 2:6] = 2  # four right, then four wrong
    half[5, 0:4] = 1
    assert value(MapIou(), half, mask) == pytest.approx(4 / 12)


@pytest.mark.parametrize(("x", "margin", "hit"), [(5, 0, 1), (6, 0, 0), (20, 15, 1), (21, 15, 0)])
def test_pointing_game_counts_euclidean_pixels_from_the_region(x, margin, hit):
    mask = np.zeros((3, 40), dtype=bool)
    mask[:, :6] = True
    heatmap = np.zeros((3, 40))
    heatmap[1, x] = 1
    assert value(PointingGame(margin), heatmap, mask) == hit


def test_concentration_by_hand():
    one = np.zeros((4, 5))
    one[2, 2] = -3.0
    got = described(one)
    assert got["gini"] == pytest.approx(19 / 20)
    assert got["entropy"] == 0
    assert got["half_area"] == pytest.approx(1 / 20)
    assert got["total_variation"] == pytest.approx(4 * 3 / (3 * 20))
    even = described(np.full((4, 5), 7.0))
    assert even["gini"] == pytest.approx(0, abs=1e-12)
    assert even["entropy"] == pytest.approx(1)
    assert even["half_area"] == pytest.approx(0.5)
    assert even["total_variation"] is None
    # 1, 2, 3, 4: Gini 0.25, and 3 + 4 = 7 of 10 are the first half
    few = described(np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert few["gini"] == pytest.approx(0.25)
    assert few["half_area"] == pytest.approx(0.5)
    assert few["total_variation"] == pytest.approx((1 + 1 + 2 + 2) / (3 * 4))
    assert described(np.zeros((2, 2)))["gini"] is None


def test_share_on_errors_by_hand():
    wrong = np.array([[True, False], [False, False]])
    assert value(ErrorShare(), np.array([[-2.0, 1.0], [1.0, 0.0]]), wrong=wrong) == pytest.approx(0.5)
    assert value(ErrorShare(), np.ones((2, 2)), wrong=wrong) == pytest.approx(
        0.25
    )  # an even map: the share of wrong pixels
    assert value(ErrorShare(), np.zeros((2, 2)), wrong=wrong) is None
