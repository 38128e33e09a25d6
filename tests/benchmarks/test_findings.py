"""The numbers of `docs/findings.md`, on a segmenter whose answers are known."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import perturb
from benchmarks import claims, tables
from benchmarks.findings import agreement, nearness, occluder, pixel_sets
from tests.analytic import DarkIsObject, dark_square

SQUARE = 150
"""Pixels of the dark square: brightness 0.1, a logit of 9, on a ground of 0.9."""


@pytest.fixture(scope="module")
def results():
    return {
        f"{fill} 5": perturb.explain(
            dark_square(), DarkIsObject(), perturb.Target("object"), fill=fill, size=5, stride=5
        )
        for fill in claims.COLOURS
    }


def test_black_is_taken_for_a_dark_object_wherever_it_lies(results):
    cell = {"occluders": {f"{fill} {claims.SMALL}": occluder(results[f"{fill} 5"]) for fill in claims.COLOURS}}
    windows = len(results["black 5"].readings)
    assert claims.taken(cell, "black") == 1
    assert claims.taken(cell, "white") == claims.taken(cell, "grey") == claims.taken(cell, "mean") == 0
    for fill, lost, gained in (("black", 0, 37 * 53 - SQUARE), ("white", SQUARE, 0), ("grey", SQUARE, 0)):
        assert_allclose(claims.damage(cell, fill, claims.SMALL), (lost + gained) / windows)
    assert claims.black_or_white(cell) == pytest.approx((37 * 53 - 2 * SQUARE) / (37 * 53))


def test_what_a_window_takes_is_told_apart_by_what_it_hides(results):
    """White leaves nothing of the logit of 9: each hidden object pixel takes 9/150 from the mean, any other nothing."""
    found = occluder(results["white 5"])
    assert_allclose(found["object_pixel"], 9 / SQUARE, rtol=1e-4)
    assert_allclose(found["ground_pixel"], 0, atol=1e-6)
    assert_allclose(found["ground_hidden"], (37 * 53 - SQUARE) / len(results["white 5"].readings))
    assert found["most_lost"] == 25 / SQUARE


def test_pixel_sets_lie_where_they_say(results):
    sets = pixel_sets(results["grey 5"], "grey")
    # Grey leaves a logit of 5 of the 9, in half of the object and in all of it.
    assert_allclose([sets["object"]["drop"], sets["whole object"]["drop"]], [2, 4], rtol=1e-5)
    assert_allclose([sets["object"]["lost"], sets["whole object"]["lost"]], [75, 150])
    for place in ("ring", "ground", "whole ring", "whole ground"):
        assert sets[place] == {"drop": 0, "size": 0, "lost": 0, "gained": 0, "iou": 1}


def test_colours_far_from_the_picture_change_it_more(results):
    # On the ground: black is furthest and alone gains pixels. On the square: white, grey and mean lose it alike.
    assert 0.5 < nearness(results, 5) < 1
    pairs = agreement(results)
    assert len(pairs) == 6
    assert pairs["white 5 | grey 5"] == pytest.approx(1)
    assert pairs["black 5 | white 5"] < 0


def test_an_entry_counts_the_pictures_over_the_bar_and_bounds_its_median():
    row = claims.Statistic("a number", lambda cell: cell["x"], "> 0", lambda value: value > 0)
    cells = [{"x": float(x)} for x in (-1, 2, 3, 4, 5)] + [{"x": None}]
    assert tables._entry(row, cells, interval=False) == "3, 4/5"
    assert tables._entry(row, cells, interval=True) == "3 [-1, 5], 4/5"
    line = claims.Relation("two numbers", lambda cell: cell["x"], lambda cell: -cell["x"])
    assert tables._entry(line, [{"x": x} for x in range(9)], interval=True) == "-1.00 [-1.00, -1.00]"
    assert tables._entry(line, [{"x": x} for x in range(7)], interval=True) == "–"
    assert np.isfinite(tables._interval(np.arange(9.0), np.median)).all()
