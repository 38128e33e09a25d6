"""What a verdict stands on and what it says, on curves made by hand that all differ."""

import dataclasses

import numpy as np
import pytest

from perturb.metrics.curves import Curve
from perturb.metrics.verdict import verdict_on
from tests.metrics.test_verdict import FRACTION, curve, curves


def test_a_verdict_stands_on_the_areas_of_its_own_curves_and_measure():
    """Eight different curves; a flat part of height h between ends 1 and 0 has the area 0.125 + 0.75·h."""

    def own(score, iou):
        return curve([1, score, score, score, 0], iou=[[1, iou, iou, iou, 0]])

    def random(scores, ious):
        return curve(*[[1, h, h, h, 0] for h in scores], iou=[[1, h, h, h, 0] for h in ious])

    made = dataclasses.replace(
        curves(),
        deletion=own(0.1, 0.2),
        insertion=own(0.9, 0.8),
        random_deletion=random((0.3, 0.5, 0.4), (0.6, 0.5, 0.55)),
        random_insertion=random((0.7, 0.6), (0.25, 0.35)),
    )
    for measure, heights in (
        ("score", ((0.1, 0.3, 0.5, 3), (0.9, 0.6, 0.7, 2))),
        ("iou", ((0.2, 0.5, 0.6, 3), (0.8, 0.25, 0.35, 2))),
    ):
        found = verdict_on(made, measure)
        for standing, kind, (area, low, high, draws) in zip(
            (found.deletion, found.insertion), ("deletion", "insertion"), heights, strict=True
        ):
            assert (standing.kind, standing.draws) == (kind, draws)
            assert [standing.area, standing.low, standing.high] == pytest.approx(
                [0.125 + 0.75 * height for height in (area, low, high)]
            )
    assert verdict_on(made) == verdict_on(made, "score")
    assert str(verdict_on(made, "iou")) == (
        "Both curves beat the random orders by more than these differ among themselves: the map points at pixels that matter. "
        "Areas: deletion 0.275, 3 random orders 0.500 to 0.575; insertion 0.725, 2 random orders 0.312 to 0.388."
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"deletion": 0.751, "insertion": 0.374},
            "the deletion and the insertion curves lie on the wrong side of every",
        ),
        ({"deletion": 0.751, "insertion": 0.6}, "the deletion curve lies on the wrong side of every random order."),
        ({"deletion": 0.6, "insertion": 0.374}, "the insertion curve lies on the wrong side of every random order."),
        (
            {"deletion": 0.374, "insertion": 0.374},
            "The deletion curve beats the random orders, the insertion curve is worse",
        ),
        (
            {"deletion": 0.751, "insertion": 0.751},
            "The insertion curve beats the random orders, the deletion curve is worse",
        ),
        ({"deletion": 0.374, "insertion": 0.6}, "Cannot tell: only the deletion curve beats the random orders"),
        ({"deletion": 0.6, "insertion": 0.751}, "Cannot tell: only the insertion curve beats the random orders"),
        ({"deletion": 0.6, "insertion": 0.6}, "Cannot tell: neither curve beats the random orders"),
        ({"draws": (0.5,)}, "Cannot tell: a single random order has no spread to compare with; take at least two."),
        ({"draws": (0.5, 0.5)}, "Both curves beat the random orders"),
        (
            {"score": "logit", "deletion": 0.5, "end": 0.25},
            "Cannot tell: hiding the map's pixels lowers the score by 0.75 logits at most, less than 1, so the order of",
        ),
        ({"clean": 1e-6, "deletion": 0.0}, "Cannot tell: the score of the clean image is already 0, so the order of"),
    ],
)
def test_a_verdict_names_the_curve_that_it_is_about(options, said):
    assert said in verdict_on(curves(**options)).statement


def test_the_iou_must_fall_as_well_where_it_is_compared():
    def with_iou(height):
        iou = np.array([[1.0, height, height, height, height]])
        return dataclasses.replace(curves(), deletion=Curve(FRACTION, curves().deletion.score, iou))

    # A fall by a fifth counts: the area ¼·(½ + 3·0.8 + 0.4) = 0.825 of the IoU lies above all random ones.
    assert verdict_on(with_iou(0.8), "iou").outcome == "contradictory"
    assert verdict_on(with_iou(0.85), "iou").statement == (
        "Cannot tell: hiding the map's pixels lowers the IoU by 15.0% of its clean value at most, less than 20%, so the order "
        "of hiding says nothing. Try another fill."
    )
    for height in (0.8, 0.85):
        assert verdict_on(with_iou(height)).outcome == "faithful", "the score is another measure"
