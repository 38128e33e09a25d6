"""Methods ranked under two fills: by hand, against independent runs, and where hiding changes nothing."""

import csv
import string

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import perturb
from perturb.export.report.items import item_of_comparison
from perturb.metrics.base import MapScores
from perturb.metrics.curves import Curve
from perturb.metrics.evaluator import forwards_of
from perturb.metrics.fill_ranks import ORDERS
from perturb.metrics.registry import METRICS
from perturb.metrics.scorecard import Faithfulness, compare, contents
from tests.analytic import DarkIsObject, dark_square

METRICS_OF_BOTH = tuple(metric for pair in ORDERS.values() for metric in pair)


def scores(name, values, lowest=(0.1, 0.1), kind="method"):
    """A map with hand-made values; `lowest` are the lowest points of its curves under blur and under imputation."""
    blur, linear = (Curve(np.array([0.0, 0.5, 1.0]), np.array([[1.0, low, low]]), np.ones((1, 3))) for low in lowest)
    curves = {"deletion": blur, "insertion": blur, "road_morf": linear, "road_lerf": linear}
    return MapScores(name, kind, np.zeros((2, 2), np.float32), values, curves)


def made_of(blur, linear, *, controls=(), clean=0.9, **options):
    """A comparison of methods a, b, c, … by their deletion areas under both fills."""
    names = string.ascii_letters
    maps = [
        scores(names[i], {"deletion_auc": x, "road_morf": y}, **options)
        for i, (x, y) in enumerate(zip(blur, linear, strict=True))
    ]
    maps += [scores(f"control {i}", values, kind="control", **options) for i, values in enumerate(controls)]
    empty, flat = np.zeros((len(maps),) * 2), np.zeros((2, 2), np.float32)
    return Faithfulness(tuple(maps), empty, empty, flat, flat, None, clean)


def only(made):
    (found,) = made.fill_ranks()
    assert found.order == "deletion"
    return found


def test_ranks_and_their_correlation_by_hand():
    found = only(made_of([0.1, 0.2, 0.3, 0.4], [0.5, 0.4, 0.7, 0.6]))
    assert found.ranks == {"a": (1, 2), "b": (2, 1), "c": (3, 4), "d": (4, 3)}
    assert found.rho == pytest.approx(1 - 6 * (1 + 1 + 1 + 1) / (4 * 15))  # 1 − 6 Σd² / n(n² − 1)
    assert found.differs
    assert found.best == (("a",), ("b",))
    assert found.statement == (
        "Which map is best by deletion depends on the fill: a under Gaussian blur (rank 2 under noisy linear "
        "imputation), b under noisy linear imputation (rank 2 under Gaussian blur); rank correlation ρ = 0.60 over 4 methods."
    )


def test_by_insertion_the_larger_area_is_the_better_one():
    maps = tuple(
        scores(name, {"insertion_auc": x, "road_lerf": y})
        for name, x, y in (("a", 0.9, 0.5), ("b", 0.895, 0.8), ("c", 0.2, 0.795), ("d", 0.1, 0.1))
    )
    empty, flat = np.zeros((4, 4)), np.zeros((2, 2), np.float32)
    (found,) = Faithfulness(maps, empty, empty, flat, flat, None, 0.9).fill_ranks()
    assert (found.order, found.metrics) == ("insertion", ("insertion_auc", "road_lerf"))
    assert found.values == {"a": (0.9, 0.5), "b": (0.895, 0.8), "c": (0.2, 0.795), "d": (0.1, 0.1)}
    assert found.ranks == {"a": (1, 3), "b": (2, 1), "c": (3, 2), "d": (4, 4)}
    assert found.best == (("a", "b"), ("b", "c"))
    assert found.rho == pytest.approx(1 - 6 * (4 + 1 + 1 + 0) / (4 * 15))
    assert found.statement == (
        "By insertion, both fills rank b first or within 0.01 of the first, but they rank the others differently; rank "
        "correlation ρ = 0.40 over 4 methods."
    )


def test_equal_maps_stay_in_the_order_in_which_they_were_given():
    areas = [0.5, 0.25] * 20
    found = only(made_of(areas, areas))
    assert found.best == (tuple(string.ascii_letters[1:40:2]),) * 2
    assert {found.ranks[name] for name in found.best[0]} == {(1, 1)}
    assert {found.ranks[name] for name in string.ascii_letters[0:40:2]} == {(21, 21)}


def test_maps_within_a_hundredth_of_the_best_share_the_first_place():
    found = only(made_of([0.100, 0.109, 0.3], [0.508, 0.500, 0.6]))
    assert not found.differs
    assert found.best == (("a", "b"), ("b", "a"))
    assert "both fills rank a and b first or within 0.01 of the first" in found.statement
    assert only(made_of([0.100, 0.111, 0.3], [0.511, 0.500, 0.6])).differs


def test_one_best_map_among_others_that_change_places_is_called_out():
    found = only(made_of([0.1, 0.2, 0.3, 0.4], [0.1, 0.6, 0.5, 0.4]))
    assert not found.differs
    assert found.rho == pytest.approx(1 - 6 * (2**2 + 0 + 2**2) / (4 * 15))
    assert "they rank the others differently; rank correlation ρ = 0.20" in found.statement
    reverse = only(made_of([0.1, 0.2, 0.3], [0.3, 0.2, 0.1]))
    assert reverse.rho == pytest.approx(-1)
    assert "ρ = −1.00" in reverse.statement
    assert "a under Gaussian blur (rank 3 under noisy linear imputation)" in reverse.statement


def test_two_methods_have_no_correlation_and_one_has_no_rank():
    found = only(made_of([0.1, 0.2], [0.2, 0.1]))
    assert found.rho is None
    assert found.differs
    assert "ρ" not in found.statement
    assert made_of([0.1], [0.2]).fill_ranks() == ()
    assert only(made_of([0.1, 0.2, 0.3], [0.2, 0.2, 0.2])).rho is None, "equal values have no order"


def test_a_metric_that_was_not_measured_is_not_ranked():
    assert made_of([0.1, 0.2, None], [0.1, 0.2, 0.3]).fill_ranks() == ()


@pytest.mark.parametrize(
    ("lowest", "flat"),
    [
        ((0.1, 0.1), ()),
        ((0.8, 0.8), ()),  # a fall by a fifth
        ((0.81, 0.1), ("blur",)),
        ((0.1, 0.81), ("linear",)),
        ((0.9, 0.9), ("blur", "linear")),
    ],
)
def test_a_fill_under_which_nothing_falls_ranks_nothing(lowest, flat):
    found = only(made_of([0.1, 0.2, 0.3], [0.3, 0.2, 0.1], lowest=lowest))
    assert found.flat == flat
    assert found.differs == (not flat)
    assert found.statement.startswith("Cannot tell by deletion") == bool(flat)
    for clean in (0.0, 1e-9, 1e-6):
        assert made_of([0.1, 0.2], [0.3, 0.2], clean=clean).informative("deletion_auc") is False
        assert made_of([0.1, 0.2], [0.3, 0.2], clean=clean).informative("gini"), "it hides nothing"
    assert made_of([0.1, 0.2], [0.3, 0.2], clean=2e-6).informative("deletion_auc")


def test_a_control_within_a_hundredth_is_as_good():
    made = made_of([0.3, 0.6], [0.3, 0.6], controls=[{"deletion_auc": 0.3099, "road_morf": 0.3101}])
    assert made.unbeaten() == [
        ("a", "deletion_auc", ["control 0"]),
        ("b", "deletion_auc", ["control 0"]),
        ("b", "road_morf", ["control 0"]),
    ]
    flat = made_of([0.3, 0.6], [0.3, 0.6], controls=[{"deletion_auc": 0.2, "road_morf": 0.2}], lowest=(0.9, 0.9))
    assert flat.decided() == flat.unbeaten() == []


@pytest.fixture(scope="module")
def compared():
    image, segmenter, target = dark_square(), DarkIsObject(), perturb.Target("object")
    results = [
        perturb.explain(image, segmenter, target, size=5, stride=2, fill="white"),
        perturb.explain(image, segmenter, target, method="feature-ablation", segments="grid", count=6, fill="white"),
        perturb.explain(image, segmenter, target, method="rise", grid=4, masks=40),
    ]
    return results, compare(results)


def test_morf_and_lerf_rank_as_deletion_and_insertion_under_imputation(compared):
    results, made = compared
    for result, map_scores in zip(results, made.methods, strict=True):
        apart = perturb.curves(result, fill="linear", steps=10)
        end = apart.deletion.score[0, -1]
        for area, mean in (
            (apart.deletion.auc, map_scores.values["road_morf"]),
            (apart.insertion.auc, map_scores.values["road_lerf"]),
        ):
            # The imputation's noise is drawn anew for every image of a run, and a level may differ by one pixel.
            assert area == pytest.approx((0.5 + 9 * mean + 0.5 * end) / 10, abs=5e-3)


def test_ranks_of_a_comparison_are_those_of_its_values_and_are_written(compared):
    _, made = compared
    found = made.fill_ranks()
    assert [each.order for each in found] == ["deletion", "insertion"]
    rows = list(csv.DictReader(contents(made)["ranks_by_fill.csv"].decode().splitlines()))
    assert len(rows) == 2 * 2 * 3
    for each in found:
        columns = []
        for index, metric in enumerate(each.metrics):
            cost = [m.values[metric] * (1 if METRICS[metric].better == "lower" else -1) for m in made.methods]
            columns.append(cost)
            expected = stats.rankdata(cost, method="min")
            assert [each.ranks[m.name][index] for m in made.methods] == expected.tolist()
            written = [row for row in rows if row["metric"] == metric]
            assert [int(row["rank"]) for row in written] == expected.tolist()
            assert {row["fill"] for row in written} == {("blur", "linear")[index]}
            assert [float(row["value"]) for row in written] == pytest.approx(
                [m.values[metric] for m in made.methods], rel=1e-5
            )
        assert each.rho == pytest.approx(stats.spearmanr(*columns)[0])
    item = item_of_comparison(made, dark_square(), "object")
    assert item.sentences == tuple(each.statement for each in found)
    assert "Ranks under two fills" in item.tables[1].title


def test_ranking_under_two_fills_takes_no_more_passes(compared):
    results, _ = compared
    segmenter = results[0].segmenter
    assert forwards_of(METRICS_OF_BOTH) == 39 + 18
    before = segmenter.pictures
    compare(results, metrics=METRICS_OF_BOTH).fill_ranks()
    assert segmenter.pictures - before == (39 + 18) * (3 + 3) + 1


def test_by_hiding_nothing_can_be_told_about_an_untrained_network():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 4, 3, padding=1)).eval()
    segmenter, image = perturb.TorchSegmenter(module, classes=list("abcd")), dark_square()
    labels = segmenter(torch.from_numpy(np.array(image.pixels)).permute(2, 0, 1)[None])[0].argmax(0).numpy()
    target = perturb.Target(int(np.bincount(labels.ravel()).argmax()))
    made = compare([
        perturb.explain(image, segmenter, target, size=9, stride=9),
        perturb.explain(image, segmenter, target, method="feature-ablation", segments="grid", count=12),
    ])  # fmt: skip
    hiding = [name for name in made.maps[0].values if METRICS[name].group in ("curves", "road", "subject")]
    assert len(hiding) == 4 + 3 + 8
    assert not [name for name in hiding if made.informative(name)]
    assert not set(made.decided()) & set(hiding)
    assert not [entry for entry in made.unbeaten() if entry[1] in hiding]
    assert all(each.statement.startswith("Cannot tell by") for each in made.fill_ranks())
