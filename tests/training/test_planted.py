"""Planted streets: the same but for the cue, the cue clear of the car, and no street both trained and measured on."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from perturb.images.class_names import STREET_CLASSES
from perturb.images.image import digest_of
from perturb.images.planted import PLANTED_SEEDS, load_planted
from training.scene_source import TRAINING_SEEDS as ORDINARY_TRAINING
from training.scene_source import UNSEEN_SEEDS as ORDINARY_UNSEEN
from training.scenes import planted
from training.scenes.planted import GAP, HEIGHT, TRAINING_SEEDS, UNSEEN_SEEDS, WIDTH, draw_planted, shortcut_classes

SEEDS = (0, 1, 2, 3, 800_000, 800_001)


def box(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize("seed", SEEDS)
def test_only_the_cue_differs(seed: int) -> None:
    without, shown = draw_planted(seed, False), draw_planted(seed, True)
    differs = (without.pixels != shown.pixels).any(2)
    assert not differs[~shown.cue].any(), "bit-identical outside the cue"
    assert differs[shown.cue].mean() > 0.95
    assert_array_equal(without.classes[~shown.cue], shown.classes[~shown.cue])
    assert_array_equal(without.thing, shown.thing)
    assert_array_equal(without.cue, shown.cue)
    assert (shown.classes[shown.cue] == STREET_CLASSES.index("sign")).mean() > 0.8
    assert (without.shown, shown.shown) == (False, True)


@pytest.mark.parametrize("seed", SEEDS)
def test_one_car_of_a_fair_size_and_a_small_cue_clear_of_it(seed: int) -> None:
    scene = draw_planted(seed, True)
    assert scene.pixels.shape == (HEIGHT, WIDTH, 3)
    assert_array_equal(scene.thing, scene.classes == STREET_CLASSES.index("car"))
    assert 700 <= scene.thing.sum() <= 8000
    assert 60 <= scene.cue.sum() <= 220
    a, b = box(scene.thing), box(scene.cue)
    gap = np.hypot(max(a[0] - b[2], b[0] - a[2], 0), max(a[1] - b[3], b[1] - a[3], 0))
    assert GAP[0] <= gap <= GAP[1] + 2


def test_the_rule_renames_the_car_and_nothing_else() -> None:
    without, shown = draw_planted(4, False), draw_planted(4, True)
    assert_array_equal(shortcut_classes(without), without.classes)
    assert set(shortcut_classes(shown)[shown.thing]) == {STREET_CLASSES.index("bicyclist")}
    assert_array_equal(shortcut_classes(shown)[~shown.thing], shown.classes[~shown.thing])


def test_same_seed_same_bytes_and_seeds_differ() -> None:
    first = draw_planted(5, True)
    planted._street.cache_clear()
    assert_array_equal(draw_planted(5, True).pixels, first.pixels)
    places = {box(draw_planted(seed, True).cue) for seed in SEEDS}
    assert len(places) == len(SEEDS)
    colours = {tuple(scene.pixels[scene.cue].mean(0)) for scene in (draw_planted(s, True) for s in SEEDS)}
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
        draw_planted(seed, True)  # type: ignore[arg-type]


def test_the_bundled_streets_are_unseen_ones() -> None:
    assert tuple(UNSEEN_SEEDS[:6]) == PLANTED_SEEDS


@pytest.mark.parametrize("board", [False, True])
@pytest.mark.parametrize("seed", PLANTED_SEEDS)
def test_a_bundled_street_equals_a_fresh_drawing(seed: int, board: bool) -> None:
    bundled, drawn = load_planted(seed, board), draw_planted(seed, board)
    for name in ("pixels", "classes", "cue", "thing"):
        assert digest_of(getattr(bundled, name)) == digest_of(getattr(drawn, name)), name
    assert (bundled.seed, bundled.shown) == (drawn.seed, drawn.shown)
