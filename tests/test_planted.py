"""Planted streets: the same but for the cue, the cue clear of the car, and no street both trained and measured on."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from perturb.scenes import planted
from perturb.scenes.labels import CLASSES
from perturb.scenes.planted import GAP, HEIGHT, TRAINING_SEEDS, UNSEEN_SEEDS, WIDTH
from training.scenes import TRAINING_SEEDS as ORDINARY_TRAINING
from training.scenes import UNSEEN_SEEDS as ORDINARY_UNSEEN

SEEDS = (0, 1, 2, 3, 800_000, 800_001)


def box(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize("seed", SEEDS)
def test_only_the_cue_differs(seed: int) -> None:
    without, shown = planted.planted(seed, False), planted.planted(seed, True)
    differs = (without.pixels != shown.pixels).any(2)
    assert not differs[~shown.cue].any(), "bit-identical outside the cue"
    assert differs[shown.cue].mean() > 0.95
    assert_array_equal(without.classes[~shown.cue], shown.classes[~shown.cue])
    assert_array_equal(without.thing, shown.thing)
    assert_array_equal(without.cue, shown.cue)
    assert (shown.classes[shown.cue] == CLASSES.index("sign")).mean() > 0.8
    assert (without.shown, shown.shown) == (False, True)


@pytest.mark.parametrize("seed", SEEDS)
def test_one_car_of_a_fair_size_and_a_small_cue_clear_of_it(seed: int) -> None:
    scene = planted.planted(seed, True)
    assert scene.pixels.shape == (HEIGHT, WIDTH, 3)
    assert_array_equal(scene.thing, scene.classes == CLASSES.index("car"))
    assert 700 <= scene.thing.sum() <= 8000
    assert 60 <= scene.cue.sum() <= 220
    a, b = box(scene.thing), box(scene.cue)
    gap = np.hypot(max(a[0] - b[2], b[0] - a[2], 0), max(a[1] - b[3], b[1] - a[3], 0))
    assert GAP[0] <= gap <= GAP[1] + 2


def test_the_rule_renames_the_car_and_nothing_else() -> None:
    without, shown = planted.planted(4, False), planted.planted(4, True)
    assert_array_equal(without.shortcut_classes, without.classes)
    assert set(shown.shortcut_classes[shown.thing]) == {CLASSES.index("bicyclist")}
    assert_array_equal(shown.shortcut_classes[~shown.thing], shown.classes[~shown.thing])


def test_same_seed_same_bytes_and_seeds_differ() -> None:
    first = planted.planted(5, True)
    planted._street.cache_clear()
    assert_array_equal(planted.planted(5, True).pixels, first.pixels)
    places = {box(planted.planted(seed, True).cue) for seed in SEEDS}
    assert len(places) == len(SEEDS)
    colours = {tuple(scene.pixels[scene.cue].mean(0)) for scene in (planted.planted(s, True) for s in SEEDS)}
    assert len(colours) == len(SEEDS), "the brightness varies as well"


def test_no_street_is_both_trained_and_measured_on() -> None:
    # Seeds without room are replaced by ones a multiple of ten million later, which none of these ranges reaches.
    ranges = [range(ORDINARY_TRAINING, ORDINARY_TRAINING + 600), range(ORDINARY_UNSEEN, ORDINARY_UNSEEN + 100)]
    ranges = sorted([*ranges, TRAINING_SEEDS, UNSEEN_SEEDS], key=lambda seeds: seeds.start)
    assert all(a.stop <= b.start for a, b in pairwise(ranges))
    assert ranges[-1].stop < planted._NEXT


@pytest.mark.parametrize("seed", [-1, 10_000_000, 1.5, True])
def test_bad_seeds_are_refused(seed: object) -> None:
    with pytest.raises(ValueError, match="seed must be a whole number from 0 to 9999999"):
        planted.planted(seed, True)  # type: ignore[arg-type]
