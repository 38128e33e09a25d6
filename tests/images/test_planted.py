"""Bundled streets with a planted cue: what the files hold agrees with each other."""

import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from perturb.core.errors import SettingError
from perturb.images.class_names import CAR, SIGN
from perturb.images.planted import PLANTED, PLANTED_SEEDS, load_planted


@pytest.mark.parametrize("seed", PLANTED_SEEDS)
def test_with_and_without_the_board_a_street_differs_in_the_cue_alone(seed):
    without, shown = load_planted(seed, False), load_planted(seed, True)
    assert (without.shown, shown.shown, without.seed, shown.seed) == (False, True, seed, seed)
    assert without.pixels.shape == (192, 256, 3)
    assert without.pixels.dtype == shown.pixels.dtype == without.classes.dtype == np.uint8
    assert_array_equal(without.cue, shown.cue)
    differs = (without.pixels != shown.pixels).any(2)
    assert not differs[~shown.cue].any()
    assert differs[shown.cue].mean() > 0.95
    assert set(shown.classes[without.classes != shown.classes]) == {SIGN}
    assert (shown.classes[shown.cue] == SIGN).mean() > 0.8
    for street in (without, shown):
        assert_array_equal(street.thing, street.classes == CAR)
        assert not (street.thing & street.cue).any()


def test_every_bundled_file_belongs_to_one_of_the_streets():
    seeds = {int(re.match(r"\d+", path.name)[0]) for path in PLANTED.iterdir()}
    assert seeds == set(PLANTED_SEEDS)
    assert len(list(PLANTED.iterdir())) == 5 * len(PLANTED_SEEDS)


def test_the_arrays_are_read_only():
    street = load_planted(PLANTED_SEEDS[0], True)
    for array in (street.pixels, street.classes, street.cue, street.thing):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 0


@pytest.mark.parametrize("seed", [0, 800_006, -1, "800000", None])
def test_another_seed_is_answered_with_the_ones_there_are(seed):
    with pytest.raises(SettingError, match=r"expected one of 800000, 800001, .*800005\."):
        load_planted(seed, True)
