"""Metrics made anew, not the registered ones: what their cards say, and their values on readings and curves made by hand."""

import numpy as np
import pytest

from perturb.metrics.base import MapScores, MetricInput
from perturb.metrics.curves import Curve
from perturb.metrics.deletion_insertion import CurveArea, MapCurves, RandomCurveArea, RandomCurves
from perturb.metrics.localisation import PointingGame
from perturb.metrics.road import RoadCombined, RoadImages, RoadOrder
from perturb.metrics.subject import FlatSubject, LinearSubject, SubjectMetric
from perturb.targets.readings import Readings

SENSIBLE = "The segmenter behaves sensibly on filled images. An unnatural fill measures its own effect."


def readings(*scores):
    values, counts = np.array(scores), np.zeros(len(scores), np.int64)
    return Readings(values, counts, counts, counts, counts, values, counts)


def curve(score, iou=None):
    fraction = np.linspace(0, 1, len(score))
    return Curve(fraction, np.array([score]), np.array([score if iou is None else iou]))


def value(metric, clean=1.0, read=None, curves=None):
    nothing = np.zeros((1, 1))
    return metric.value(
        MetricInput(nothing, nothing, nothing, nothing, nothing, None, readings(clean), read or {}, curves or {})
    )


def maps(*each, values=()):
    """Maps of a comparison: the curves of each, or the values of each."""
    made = [MapScores("a", "method", np.zeros((1, 1)), {}, curves) for curves in each]
    return made + [MapScores("a", "method", np.zeros((1, 1)), given, {}) for given in values]


# In the evaluation of Grad-CAM++, a map is good if without the background the probability rises often and drops little.
# Where the subject is hidden instead, the opposite is good.
SUBJECT = {
    ("increase", "b"): ("higher", "How often the probability rises when the background is hidden."),
    ("drop", "b"): ("lower", "By how many percent the probability drops when the background is hidden."),
    ("increase", "s"): ("lower", "How often the probability rises when the subject of the map is hidden."),
    ("drop", "s"): ("higher", "By how many percent the probability drops when the subject of the map is hidden."),
}
FILLS = {"flat": ("the mean colour of the image", FlatSubject), "linear": ("noisy linear imputation", LinearSubject)}


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize(("kind", "side"), SUBJECT)
def test_a_metric_of_the_subject_says_what_it_hides_and_which_side_is_better(kind, side, fill):
    metric, (better, summary), (shown, stream) = SubjectMetric(kind, side, fill), SUBJECT[kind, side], FILLS[fill]
    assert (metric.name, metric.title) == (f"{kind}_{side}_{fill}", f"% {kind} {side}, {fill}")
    assert (metric.better, metric.summary) == (better, summary)
    assert metric.streams == (stream,)
    assert metric.assumptions == f"{SENSIBLE} The fill is {shown}. The subject is the top 20% of the pixels."
    often = kind == "increase"
    assert metric.formula == ("100 · [Y < O]" if often else "100 · max(0, Y − O) / Y")
    assert metric.range == ("0 or 100 on one image, a share in % over many" if often else "0 to 100 %")
    first, *more = metric.gamed.split(". ")
    assert first.rstrip(".") == (
        "On one image the increase is all or nothing, so noise can decide it"
        if often
        else "If the segmenter predicts the class on the fill itself, the probability never drops"
    )
    flat_subject = ["Scattered flat pixels disrupt any image, so a random map scores high."]
    assert more == (flat_subject if (side, fill) == ("s", "flat") else [])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # Clean 0.8. Flat: 0.4 without the background, 0.9 without the subject; linear: 0.9 and 0.2.
        ("increase_b_flat", 0),
        ("drop_b_flat", 50),
        ("increase_s_flat", 100),
        ("drop_s_flat", 0),
        ("increase_b_linear", 100),
        ("drop_b_linear", 0),
        ("increase_s_linear", 0),
        ("drop_s_linear", 75),
    ],
)
def test_a_metric_of_the_subject_reads_its_own_side_and_fill(name, expected):
    metric = SubjectMetric(*name.split("_"))
    read = {FlatSubject: readings(0.4, 0.9), LinearSubject: readings(0.9, 0.2)}
    assert value(metric, 0.8, read) == pytest.approx(expected)
    same = {FlatSubject: readings(0.8, 0.8), LinearSubject: readings(0.8, 0.8)}
    assert value(metric, 0.8, same) == 0, "what stays the same neither rises nor drops"


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("side", ["b", "s"])
@pytest.mark.parametrize("kind", ["increase", "drop"])
def test_a_metric_of_the_subject_decides_where_its_own_probability_drops_by_a_fifth(kind, side, fill):
    metric = SubjectMetric(kind, side, fill)
    drops = {f"drop_{s}_{f}": 100.0 for s in "bs" for f in FILLS}
    own = f"drop_{side}_{fill}"
    below, at = drops | {own: 19.9}, drops | {own: 20.0}
    assert not metric.informative(maps(values=[below, below]))
    assert metric.informative(maps(values=[below, at]))
    assert metric.informative(maps(values=[below, drops | {own: None}])), "what is not known may drop"


CURVES = {
    # Trapezoids of width ½: ½·(first + 2·middle + last)·½. The IoU of each is another one.
    "deletion": curve([1.0, 0.2, 0.0], [1.0, 0.4, 0.2]),
    "insertion": curve([0.0, 0.9, 1.0], [0.2, 0.6, 1.0]),
    "random_deletion": curve([1.0, 0.5, 0.0]),
    "random_insertion": curve([0.0, 0.6, 1.0]),
}


AREAS = {
    "deletion_auc": (("deletion", False), "Deletion AUC", "lower", 0.35),
    "insertion_auc": (("insertion", False), "Insertion AUC", "higher", 0.7),
    "deletion_iou_auc": (("deletion", True), "Deletion AUC (IoU)", "lower", 0.5),
    "insertion_iou_auc": (("insertion", True), "Insertion AUC (IoU)", "higher", 0.6),
}
SUMMARIES = {
    "deletion_auc": "Area under the score as pixels are hidden, the most important first. A faithful map makes the score "
    "fall early.",
    "insertion_auc": "Area under the score as pixels are restored, the most important first. A faithful map makes the score "
    "rise early.",
    "deletion_iou_auc": "Area under the IoU with the clean mask as pixels are hidden, the most important first.",
    "insertion_iou_auc": "Area under the IoU with the clean mask as pixels are restored, the most important first.",
}


@pytest.mark.parametrize("name", AREAS)
def test_an_area_is_that_of_the_curve_and_measure_in_its_name(name):
    (kind, iou), title, better, area = AREAS[name]
    metric = CurveArea(kind, iou=True) if iou else CurveArea(kind)
    assert (metric.name, metric.title, metric.better) == (name, title, better)
    assert value(metric, curves=CURVES) == pytest.approx(area)
    assert metric.summary == SUMMARIES[name]
    what = "IoU d" if iou else "S(x')/S(x) d"
    how = "" if iou else "mean probability, "
    action = {"deletion": "hidden", "insertion": "restored"}[kind]
    assert metric.formula == f"∫ {what}(fraction {action}), {how}trapezoid"
    assert metric.range == ("0 to 1" if iou else "0 to about 1"), (
        "a score can rise above its clean value, an IoU not above 1"
    )


@pytest.mark.parametrize(("kind", "useful", "area"), [("deletion", "lower", 0.5), ("insertion", "higher", 0.55)])
def test_the_area_of_random_orders_is_a_control_of_the_same_curve(kind, useful, area):
    metric = RandomCurveArea(kind)
    assert (metric.name, metric.title, metric.better) == (f"random_{kind}_auc", f"Random {kind} AUC", "control")
    assert value(metric, curves=CURVES) == pytest.approx(area)
    assert metric.arrow == ""
    assert metric.summary == (
        f"The {kind} AUC of random orders, averaged over several draws. A useful map is {useful}."
    )
    assert metric.formula == f"{kind} AUC of a random permutation"
    assert metric.range == CurveArea(kind).range
    assert metric.streams == (RandomCurves,)
    assert CurveArea(kind).streams == (MapCurves,)


DEEP, FLAT = [1.0, 0.5, 0.8], [1.0, 0.9, 0.81]  # a fall by a half, and by less than a fifth


@pytest.mark.parametrize("kind", ["deletion", "insertion"])
@pytest.mark.parametrize(
    ("curves", "score", "iou"),
    [
        ([{"deletion": curve(DEEP, DEEP)}], True, True),
        ([{"deletion": curve(DEEP, FLAT)}], True, False),
        ([{"deletion": curve(FLAT, DEEP)}], False, False),
        ([{"deletion": curve(FLAT, FLAT)}], False, False),
        # An insertion curve ends at the clean image.
        ([{"insertion": curve(DEEP[::-1], DEEP[::-1])}], True, True),
        ([{"insertion": curve(DEEP[::-1], FLAT[::-1])}], True, False),
        ([{"insertion": curve([0.5, 0.6, 0.5], [0.5, 0.6, 0.5])}], False, False),
        # One curve of one map is enough.
        ([{"deletion": curve(FLAT), "insertion": curve(DEEP[::-1])}], True, True),
        ([{"deletion": curve(FLAT)}, {"deletion": curve(DEEP)}], True, True),
        ([{"deletion": curve(FLAT)}, {"insertion": curve(DEEP[::-1])}], True, True),
        ([{}], False, False),
    ],
)
def test_an_area_decides_where_the_score_falls_and_that_of_the_iou_where_both_fall(kind, curves, score, iou):
    assert CurveArea(kind).informative(maps(*curves)) == score
    assert CurveArea(kind, iou=True).informative(maps(*curves)) == iou


@pytest.mark.parametrize(("name", "most", "better"), [("road_morf", "most", "lower"), ("road_lerf", "least", "higher")])
def test_an_order_of_road_is_the_mean_of_its_own_levels(name, most, better):
    metric = RoadOrder(name, name.upper(), better, most)
    assert (metric.name, metric.title, metric.better) == (name, name.upper(), better)
    assert metric.summary == (
        f"Mean score when the {most} relevant 10 to 90 % of the pixels are imputed from their surroundings."
    )
    assert metric.formula == f"mean of S(x')/S(x) at 10, 20, … 90 %, {most} relevant first"
    curves = {"road_morf": curve([0.6, 0.2, 0.1]), "road_lerf": curve([1.0, 0.9, 0.8])}
    assert value(metric, curves=curves) == pytest.approx({"road_morf": 0.3, "road_lerf": 0.9}[name])
    assert value(RoadCombined(), curves=curves) == pytest.approx((0.9 - 0.3) / 2)
    # Levels start at 10 %; before them stands the clean image, of score 1.
    assert metric.informative(maps({name: curve([0.9, 0.8, 0.9])}))
    assert not metric.informative(maps({name: curve([0.9, 0.81, 0.9])}))
    assert metric.informative(maps({"road_morf": curve([0.9])}, {"road_morf": curve([0.9]), "road_lerf": curve([0.5])}))
    assert not metric.informative(maps({"deletion": curve([0.9, 0.1])}))


def test_the_curves_of_road_are_the_scores_of_either_order_over_the_clean_score():
    rank = np.arange(30).reshape(5, 6)
    morf, lerf = np.linspace(0.4, 0.04, 9), np.linspace(0.38, 0.2, 9)
    made = RoadImages(rank, 0).curves(readings(*morf, *lerf), readings(0.4))
    assert set(made) == {"road_morf", "road_lerf"}
    for name, scores in (("road_morf", morf), ("road_lerf", lerf)):
        np.testing.assert_allclose(made[name].score, [scores / 0.4])
        np.testing.assert_allclose(made[name].iou, [scores])  # as made by hand: an IoU is not divided
        np.testing.assert_allclose(made[name].fraction, np.arange(3, 28, 3) / 30)


@pytest.mark.parametrize(
    ("margin", "where", "formula", "citation"),
    [
        (15, "within 15 pixels of", "distance(argmax, R) ≤ 15 px", "Zhang et al. 2018 (Excitation backprop), sec. 4.1"),
        (3, "within 3 pixels of", "distance(argmax, R) ≤ 3 px", "Zhang et al. 2018 (Excitation backprop), sec. 4.1"),
        (0, "inside", "argmax ∈ R", "Zhang et al. 2018, without the margin"),
    ],
)
def test_a_pointing_game_says_its_margin(margin, where, formula, citation):
    metric = PointingGame(margin)
    assert (metric.name, metric.title) == (f"pointing_{margin}", f"Pointing game ({margin} px)")
    assert metric.summary == f"1 if the map's maximum lies {where} the region, otherwise 0."
    assert metric.formula == f"1[{formula}]"
    assert metric.citation == citation
