"""Curves as records, tables and words, from curves made by hand; and how `perturb.curves` runs what it is asked for."""

import csv
import io
import time
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import perturb
from perturb.metrics.curves import Curve, CurveMasks, Curves, curve_forwards, random_orders, record_of, scale_of
from perturb.metrics.verdict import verdict_on
from perturb.perturbations.masks import order_by
from perturb.targets.readings import Execution, Readings
from tests.analytic import DarkIsObject, dark_square

FRACTION = np.array([0.0, 0.5, 1.0])
# Area by trapezoids: (first + 2·middle + last)/4.
SCORES = {
    "deletion": [[1.0, 0.5, 0.25]],
    "insertion": [[0.25, 0.75, 1.0]],
    "random_deletion": [[1.0, 0.875, 0.25], [1.0, 0.625, 0.25]],
    "random_insertion": [[0.25, 0.5, 1.0], [0.25, 0.25, 1.0]],
}
IOUS = {
    "deletion": [[1.0, 0.25, 0.0]],
    "insertion": [[0.0, 0.875, 1.0]],
    "random_deletion": [[1.0, 0.75, 0.0], [1.0, 1.0, 0.0]],
    "random_insertion": [[0.0, 0.125, 1.0], [0.0, 0.375, 1.0]],
}
AREAS = {
    "deletion_auc": 0.5625,
    "insertion_auc": 0.6875,
    "random_deletion_auc": 0.6875,
    "random_insertion_auc": 0.5,
    "deletion_iou_auc": 0.375,
    "insertion_iou_auc": 0.6875,
}


def by_hand(**options):
    each = {name: Curve(FRACTION, np.array(SCORES[name]), np.array(IOUS[name])) for name in SCORES}
    settings = {"score": "probability", "fill": "grey", "clean_score": 0.8, "forwards": 9, "seconds": 1.23456}
    return Curves(**each, **(settings | options))


def test_the_areas_are_trapezoids_of_the_mean_over_the_draws():
    assert by_hand().metrics() == pytest.approx(AREAS)
    assert repr(by_hand()) == (
        "<Curves of probability under the fill 'grey': deletion_auc 0.5625, insertion_auc 0.6875, "
        "random_deletion_auc 0.6875, random_insertion_auc 0.5, deletion_iou_auc 0.375, insertion_iou_auc 0.6875>"
    )


def test_the_table_has_the_four_curves_with_the_mean_of_the_draws():
    header, *rows = csv.reader(io.StringIO(by_hand().as_csv()))
    assert header == ["curve", "fraction", "score", "iou"]
    expected = [
        (name, fraction, sum(scores) / len(scores), sum(ious) / len(ious))
        for name in SCORES
        for fraction, scores, ious in zip(
            (0.0, 0.5, 1.0), zip(*SCORES[name], strict=True), zip(*IOUS[name], strict=True), strict=True
        )
    ]
    assert [(name, *map(float, numbers)) for name, *numbers in rows] == expected
    third = replace(by_hand(), deletion=Curve(FRACTION, np.full((1, 3), 1 / 3), np.full((1, 3), 2 / 3)))
    assert third.as_csv().splitlines()[1] == "deletion,0,0.333333333,0.666666667"


@pytest.mark.parametrize(("score", "relative"), [("probability", True), ("iou", True), ("logit", False)])
def test_the_record_says_how_the_curves_were_computed(score, relative):
    made = by_hand(score=score, execution=Execution("downstream", "of a reason"))
    assert made.as_dict() == {
        "score": score,
        "fill": "grey",
        "relative": relative,
        "clean_score": 0.8,
        "steps": 2,
        "draws": 2,
        "forwards": 9,
        "seconds": 1.235,
        "execution": {"passes": "downstream", "reason": "of a reason"},
    }


def test_the_verdict_names_the_fill_and_the_notebook_shows_both():
    for measure in ("score", "iou"):
        assert by_hand().verdict(measure) == f"{verdict_on(by_hand(), measure)} Hidden pixels show the fill 'grey'."
    assert by_hand().verdict() == by_hand().verdict("score") != by_hand().verdict("iou")
    assert by_hand().verdict().split(" Areas")[0] in by_hand()._repr_html_()


@pytest.fixture(scope="module")
def result():
    return perturb.explain(dark_square(), DarkIsObject(), perturb.Target("object"), size=5, stride=5, fill="white")


def test_a_result_with_curves_adds_their_passes_and_seconds_to_its_own(result):
    before = result.as_dict()
    assert record_of(result) == before
    record = record_of(replace(result, seconds=2.0006), by_hand())
    assert record.pop("curves") == by_hand().as_dict()
    assert record.pop("metrics") == pytest.approx(AREAS)
    assert record.pop("forwards") == result.forwards + 9
    assert record.pop("seconds") == 3.235  # 2.0006 + 1.23456, rounded once
    assert record.items() <= before.items()
    assert set(before) - set(record) == {"forwards", "seconds"}


def test_curves_run_as_many_images_as_they_say_in_batches_as_asked_for(result):
    segmenter = result.segmenter
    for steps, draws, images in ((20, 3, 1 + 1 + 19 * 5), (2, 1, 1 + 1 + 3), (5, 2, 1 + 1 + 4 * 4)):
        before, seen = segmenter.pictures, []
        made = perturb.curves(result, steps=steps, draws=draws, batch=1, progress=seen.append)
        assert segmenter.pictures - before == made.forwards == curve_forwards(steps, draws) == images
        assert_allclose([fraction for fraction in seen if fraction], np.arange(1, images + 1) / images)
        assert len(made.deletion.fraction) == steps + 1
        assert made.random_deletion.score.shape == made.random_insertion.score.shape == (draws, steps + 1)
    assert curve_forwards() == 1 + 1 + 19 * 5
    assert curve_forwards(4) == 1 + 1 + 3 * 5


def test_curves_say_score_fill_time_and_the_way_they_were_run(result):
    # 150 pixels of brightness 0.1: logit 9, probability σ(9 − 1).
    for score, clean in (("logit", 9.0), ("probability", 1 / (1 + np.exp(-8))), ("iou", 1.0)):
        made = perturb.curves(result, steps=2, draws=1, score=score)
        assert (made.score, made.fill) == (score, "blur")
        assert made.clean_score == pytest.approx(clean, rel=1e-5)
        assert made.deletion.score[0, 0] == pytest.approx(clean if score == "logit" else 1, rel=1e-5)
        assert made.execution.passes == "whole"
        assert made.execution.reason
    assert perturb.curves(result, steps=2, draws=1).score == "probability"
    began = time.perf_counter()
    assert 0 < perturb.curves(result, steps=2, draws=1).seconds < time.perf_counter() - began


@pytest.mark.parametrize("options", [{"steps": 1}, {"draws": 0}, {"steps": 0, "draws": 0}])
def test_too_little_to_draw_is_refused_with_what_was_given(result, options):
    given = {"steps": 20, "draws": 3} | options
    words = f"^Curves need at least 2 steps and 1 draw: got {given['steps']} steps and {given['draws']} draws.$"
    with pytest.raises(perturb.SettingError, match=words):
        perturb.curves(result, **options)


def test_a_map_without_a_fill_needs_one_for_its_curves():
    segmenter = perturb.load_segmenter("streets-unet")
    made = perturb.explain(
        perturb.sample("lone-pedestrian"), segmenter, perturb.Target("pedestrian"), method="saliency"
    )
    with pytest.raises(
        perturb.SettingError, match="'saliency' uses no fill; choose one for its curves, such as 'blur'"
    ):
        perturb.curves(made, fill=None)


@pytest.mark.parametrize("shape", [(3, 4), (1, 1)])
def test_random_orders_are_permutations_of_their_own_by_default_three(shape):
    made = random_orders(shape, 7)
    assert len(made) == 3
    assert len(random_orders(shape, 7, 5)) == 5
    for order, child in zip(made, np.random.SeedSequence(7).spawn(3), strict=True):
        assert_array_equal(np.sort(order.ravel()), np.arange(order.size))
        assert_array_equal(order, order_by(np.zeros(shape), int(child.generate_state(1)[0])))


def readings(score, iou=None):
    counts = np.zeros(len(score), np.int64)
    values = np.array(score, dtype=np.float64)
    return Readings(values, counts, counts, counts, counts, values if iou is None else np.array(iou), counts)


@pytest.mark.parametrize(
    ("clean", "score", "scale"),
    [
        (0.5, "probability", 0.5),
        (0.5, "iou", 0.5),
        (0.5, "logit", 1),
        (1e-6, "probability", 1),
        (2e-6, "iou", 2e-6),
        (-3, "logit", 1),
    ],
)
def test_scores_are_divided_by_the_clean_one_unless_that_is_nothing(clean, score, scale):
    assert scale_of(readings([clean]), score) == scale
    if score == "probability":
        assert scale_of(readings([clean])) == scale


def test_readings_of_the_masks_become_curves_between_the_clean_and_the_filled_image():
    rank = np.arange(6).reshape(2, 3)
    masks = CurveMasks(rank, [rank, rank], 3)  # the filled image, then two inner points of each of four curves
    assert masks.hidden(0, 9).sum((1, 2)).tolist() == [6, 2, 4, 4, 2, 2, 4, 2, 4]
    read = readings(np.arange(9) / 16, np.arange(9) / 32)
    clean = readings([0.5], [0.75])
    made = masks.curves(read, clean)
    rows = {
        "deletion": [[8, 1, 2, 0]],
        "insertion": [[0, 3, 4, 8]],
        "random_deletion": [[8, 5, 6, 0], [8, 7, 8, 0]],
        "random_insertion": [[0, 6, 5, 8], [0, 8, 7, 8]],
    }
    assert set(made) == set(rows)
    for name, row in rows.items():
        assert_allclose(made[name].score, np.array(row) / 8, err_msg=name)  # sixteenths over a half
        iou = np.array(row) / 32
        iou[:, 0 if name.endswith("deletion") else -1] = 0.75
        assert_allclose(made[name].iou, iou, err_msg=name)
        assert_allclose(made[name].fraction, [0, 1 / 3, 2 / 3, 1])
    assert_allclose(masks.curves(read, clean, "logit")["deletion"].score, [[0.5, 1 / 16, 2 / 16, 0]])
    assert set(CurveMasks(None, [rank], 3).curves(read[:3], clean)) == {"random_deletion", "random_insertion"}
    assert set(CurveMasks(rank, (), 3).curves(read[:5], clean)) == {"deletion", "insertion"}
