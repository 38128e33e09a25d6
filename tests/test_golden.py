"""Twelve maps, a study, an evaluation and a comparison give the values that were written down before code was moved."""

import numpy as np
import pytest

import perturb
from tests.golden.values import OWN, SAME, computed, differences, stored


@pytest.fixture
def registry():
    """The registry as it was, afterwards."""
    before = dict(perturb.SEGMENTERS)
    yield
    perturb.SEGMENTERS.clear()
    perturb.SEGMENTERS.update(before)
    assert OWN not in perturb.SEGMENTERS


@pytest.mark.usefixtures("registry")
def test_values_agree_with_the_golden_ones(tmp_path):
    expected, tolerance = stored()
    assert differences(expected, computed(tmp_path), tolerance) == []


def test_a_difference_is_seen():
    expected = {"map": np.array([0.0, 2.0]), "rows": [{"x": 1.0, "unit": "drop"}], "column": [1.0, 2.0]}
    assert differences(expected, {**expected, "map": np.array([1e-6, 2.0])}, SAME) == []
    assert "off by" in differences(expected, {**expected, "map": np.array([3e-6, 2.0])}, SAME)[0]
    assert differences(expected, {**expected, "rows": [{"x": 1.00001, "unit": "drop"}]}, SAME)
    assert differences(expected, {**expected, "rows": [{"x": 1.0, "unit": "rise"}]}, SAME)
    assert differences(expected, {**expected, "column": [1.0, None]}, SAME)
    assert differences(expected, {name: expected[name] for name in ("map", "rows")}, SAME)
