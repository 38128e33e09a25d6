"""The planted shortcut: `cue_found` against values computed by hand, and the intervention on both networks."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

import perturb
from perturb.images.class_names import STREET_CLASSES
from perturb.images.planted import PLANTED_SEEDS, load_planted
from perturb.metrics.planted_shortcut import SETTINGS, TWINS, case, cue_found, flip, search, search_forwards
from training.scenes.planted import SHORTCUT_CLASS, UNSEEN_SEEDS, draw_planted

WEIGHTS = Path(perturb.__file__).parent / "segmenters" / "weights"
CUE = np.array([[True, True, False], [False, False, False]])
REST = np.array([[False, False, True], [True, True, False]])  # the last pixel belongs to neither


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([[9, 8, 1], [2, 3, 99]], 1.0),  # every pixel of the cue above every other; what is left out does not count
        ([[-9, -8, -1], [-2, -3, 99]], 0.0),
        ([[4, 4, 4], [4, 4, 4]], 0.5),
        # 5 beats 1, 2 and 3; 2 beats 1, ties with 2 and loses to 3: (3 + 1.5) of 6 pairs.
        ([[5, 2, 1], [2, 3, 0]], 4.5 / 6),
        ([[-0.5, -3, -1], [-2, -3, 7]], (3 + 0.5) / 6),
    ],
)
def test_cue_found_by_hand(values, found):
    assert cue_found(np.array(values, dtype=np.float32), CUE, REST) == pytest.approx(found, abs=1e-12)


def test_cue_found_agrees_with_counting_pairs():
    draw = np.random.default_rng(3)
    heatmap = draw.integers(0, 12, (20, 30)).astype(np.float32)  # many ties
    part = draw.random((20, 30))
    cue, rest = part < 0.1, part > 0.3
    a, b = heatmap[cue][:, None], heatmap[rest][None]
    assert cue_found(heatmap, cue, rest) == pytest.approx(((a > b) + 0.5 * (a == b)).mean(), abs=1e-12)
    assert cue_found(-heatmap, cue, rest) == pytest.approx(1 - cue_found(heatmap, cue, rest), abs=1e-12)
    assert cue_found(np.exp(heatmap / 3), cue, rest) == cue_found(heatmap, cue, rest), "only the order matters"


@pytest.mark.parametrize(
    ("values", "cue", "rest", "words"),
    [
        (
            np.zeros((2, 2)),
            CUE,
            REST,
            r"^Map, cue .* one shape: got \(2, 2\), \(2, 3\) and \(2, 3\). Take all three from .* image\.$",
        ),
        (
            np.zeros((2, 3)),
            CUE & False,
            REST,
            r"^The cue and .* got 0 and 3 pixels, 0 of them shared\. Leave .* background\.$",
        ),
        (np.zeros((2, 3)), CUE, REST & False, "got 2 and 0 pixels"),
        (np.zeros((2, 3)), CUE, REST | CUE, "2 of them shared"),
        (np.full((2, 3), np.nan), CUE, REST, r"^The map has values that are not finite; .* Run the method again\.$"),
    ],
)
def test_masks_and_maps_that_make_no_sense_are_refused(values, cue, rest, words):
    with pytest.raises(perturb.TargetError, match=words):
        cue_found(values, cue, rest)


def test_what_is_explained_is_the_car_and_what_competes_is_neither_cue_nor_car():
    scene = load_planted(PLANTED_SEEDS[0], True)
    one = case(perturb.load_segmenter("streets-shortcut"), scene)
    assert one.name == one.frozen.name == "bicyclist"
    region = one.frozen.region
    assert (region & scene.thing).sum() > 0.5 * scene.thing.sum()
    assert not (one.background & (region | scene.cue | scene.thing)).any()
    assert (one.background | region | scene.cue | scene.thing).all()
    assert one.cue.sum() > 0.9 * scene.cue.sum()
    assert np.array_equal(one.image.truth, scene.classes)


def test_the_target_is_the_part_of_the_predicted_class_that_covers_most_of_the_car():
    """Worked out by another library, and with votes counted one by one."""
    for seed in PLANTED_SEEDS:
        scene = load_planted(seed, True)
        for name in TWINS:
            one = case(perturb.load_segmenter(name), scene)
            votes = Counter(one.frozen.labels[scene.thing].tolist())
            index = max(votes, key=votes.get)
            assert one.name == one.segmenter.classes[index]
            parts, count = ndimage.label(one.frozen.labels == index, np.ones((3, 3)))
            covered = [(scene.thing & (parts == part)).sum() for part in range(1, count + 1)]
            assert np.array_equal(one.frozen.region, parts == 1 + int(np.argmax(covered)))
            assert one.frozen.target.score == "logit"
            assert np.array_equal(one.image.pixels, scene.pixels / np.float32(255))
            assert one.image.name == f"planted-{seed}"


def test_an_intervention_compares_the_street_with_the_board_to_the_one_without():
    without, shown = (load_planted(PLANTED_SEEDS[0], board) for board in (False, True))
    segmenter = perturb.load_segmenter(TWINS[1])
    made = flip(segmenter, without, shown)
    assert (made.without.scene, made.shown.scene) == (without, shown)
    assert made.without.segmenter is made.shown.segmenter is segmenter
    assert (made.without.name, made.shown.name) == ("car", "bicyclist")


def test_a_search_takes_the_passes_that_are_counted_before_it():
    cases = [case(perturb.load_segmenter(name), load_planted(PLANTED_SEEDS[0], True)) for name in TWINS]
    # Windows of 32 every 20 px over 256 × 192: 13 columns and 9 rows.
    assert search_forwards(cases, "occlusion") == 2 * (1 + 13 * 9)
    assert search_forwards(cases[:1], "rise") == 1 + 120
    assert search_forwards([], "rise") == 0
    made = search(cases, "occlusion")
    assert sum(one.result.forwards for one in made) == search_forwards(cases, "occlusion")
    assert [one.case for one in made] == cases
    (few,) = search(cases[:1], "occlusion", size=64, stride=64, batch=2)
    assert few.result.forwards == 1 + 4 * 3
    assert few.result.settings["size"] == few.result.settings["stride"] == 64
    (raised,) = search(cases[:1], "rise", masks=30)
    assert raised.result.method == "rise"
    np.testing.assert_array_equal(raised.relevance, raised.result.heatmap - np.float32(raised.result.neutral))
    assert raised.unit == "logit above the mean over all masks"
    assert few.unit == "drop in logit"


def test_a_search_explains_each_case_in_turn():
    scene = load_planted(PLANTED_SEEDS[1], True)
    cases = [case(perturb.load_segmenter(name), scene) for name in TWINS]
    told = []
    made = search(cases, "feature-ablation", batch=4, progress=told.append)
    assert [one.result.frozen.name for one in made] == ["car", "bicyclist"]
    assert told == sorted(told)
    assert told[-1] == 1
    for one in made:
        assert one.found == cue_found(one.result.heatmap, one.case.cue, one.case.background)
    assert made[1].found > made[0].found
    assert set(SETTINGS) <= set(perturb.METHODS)


@pytest.mark.parametrize(("name", "least", "most"), [(TWINS[0], 0, 1), (TWINS[1], 19, 20)])
def test_the_cue_alone_flips_one_twin_and_not_the_other(name, least, most):
    # The last unseen streets: the first ones are what the figures in the documents are measured on.
    segmenter = perturb.load_segmenter(name)
    made = [flip(segmenter, draw_planted(seed, False), draw_planted(seed, True)) for seed in UNSEEN_SEEDS[-20:]]
    assert least <= sum(one.flipped for one in made) <= most
    assert sum(one.without.name == "car" for one in made) >= 19
    wanted = STREET_CLASSES[SHORTCUT_CLASS]
    assert all(one.shown.name == wanted for one in made if one.flipped)
    assert all(one.changed > 0.5 for one in made if one.flipped)


def test_the_card_belongs_to_the_weights():
    card = json.loads((WEIGHTS / "streets-shortcut.json").read_text())
    assert hashlib.sha256((WEIGHTS / "streets-shortcut.safetensors").read_bytes()).hexdigest() == card["sha256"]
    assert card["flips"] >= 0.95 * card["planted_scenes"]
    assert card["flips_honest"] <= 0.05 * card["planted_scenes"]
    assert "deliberately flawed" in perturb.SEGMENTERS["streets-shortcut"].summary.lower()
