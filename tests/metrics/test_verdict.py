"""Verdicts: hand-made curves on both sides of each limit, untrained networks, and a trained one."""

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from torch import nn

import perturb
from perturb.images.image import image_from_pixels
from perturb.metrics.curves import Curve, Curves
from perturb.metrics.verdict import Standing, fallen, falls, verdict_on

FRACTION = np.linspace(0, 1, 5)


def curve(*rows, iou=None):
    score = np.array(rows, dtype=np.float64)
    return Curve(FRACTION, score, score if iou is None else np.array(iou, dtype=np.float64))


def curves(deletion=0.125, insertion=0.875, draws=(0.5, 0.5625, 0.625), end=0.0, score="probability", clean=1.0):
    """Curves that are flat between their ends, by the height of that part.

    Deletion runs from `clean` to `end` and insertion back. With ends 1 and 0 a curve of height h has the area
    ¼·(½ + h + h + h) = 0.125 + 0.75·h, so the random orders' areas are 0.5, 0.546875 and 0.59375, their range is 0.09375,
    and the margin's limits are 0.5 − 0.09375 (h = 0.375) below and 0.59375 + 0.09375 (h = 0.75) above.
    """
    random = curve(*[[clean, h, h, h, end] for h in draws])
    back = Curve(FRACTION, random.score[:, ::-1], random.iou[:, ::-1])
    return Curves(
        deletion=curve([clean, deletion, deletion, deletion, end]),
        insertion=curve([end, insertion, insertion, insertion, clean]),
        random_deletion=random,
        random_insertion=back,
        score=score,
        fill="blur",
        clean_score=clean,
        forwards=0,
        seconds=0.0,
    )


def outcome(measure="score", **options):
    return verdict_on(curves(**options), measure).outcome


@pytest.mark.parametrize(
    ("deletion", "insertion", "expected"),
    [
        (0.374, 0.751, "faithful"),
        (0.375, 0.751, "cannot tell"),  # deletion lies at the limit, not beyond it
        (0.374, 0.75, "cannot tell"),  # and here insertion
        (0.45, 0.7, "cannot tell"),  # both outside the band, by less than its width
        (0.55, 0.55, "cannot tell"),
        (0.374, 0.376, "cannot tell"),
        (0.374, 0.374, "contradictory"),
        (0.751, 0.751, "contradictory"),
        (0.751, 0.374, "worse"),
        (0.751, 0.6, "worse"),
        (0.6, 0.374, "worse"),
        (0.75, 0.375, "cannot tell"),
    ],
)
def test_the_gap_must_be_wider_than_the_band(deletion, insertion, expected):
    assert outcome(deletion=deletion, insertion=insertion) == expected


def test_a_narrow_band_leaves_the_smallest_gap():
    # All draws have the area 0.5 = 0.125 + 0.75 · 0.5; a gap of 0.01 is 0.0133 of height.
    alike = (0.5, 0.5, 0.5)
    assert outcome(deletion=0.5 - 0.0134, insertion=0.5 + 0.0134, draws=alike) == "faithful"
    assert outcome(deletion=0.5 - 0.0132, insertion=0.5 + 0.0134, draws=alike) == "cannot tell"
    assert outcome(deletion=0.5 - 0.0134, insertion=0.5 + 0.0132, draws=alike) == "cannot tell"


@pytest.mark.parametrize(("end", "expected"), [(0.8, "faithful"), (0.801, "cannot tell")])
def test_the_score_must_fall_by_a_fifth_of_its_clean_value(end, expected):
    options = {"deletion": end + 0.02, "insertion": 0.99, "draws": (0.9, 0.901, 0.902), "end": end}
    assert outcome(**options) == expected
    whole = curves(**options)  # the share is of the clean value, so half as high falls as far
    half = dataclasses.replace(whole, **{name: Curve(FRACTION, c.score / 2, c.iou / 2) for name, c in whole.items()})
    assert verdict_on(half).outcome == expected


def test_the_fall_is_that_of_the_maps_own_curve_at_its_lowest():
    flat = curves(deletion=0.95, insertion=0.97, draws=(0.5, 0.5, 0.5), end=0.99)
    assert verdict_on(flat).outcome == "cannot tell", "random orders fall, the map's own does not"
    dip = curves(deletion=0.3, insertion=0.99, draws=(0.9, 0.91, 0.92), end=0.99)
    assert verdict_on(dip).outcome == "faithful", "it may rise again at the end"


def test_a_logit_may_cross_zero_and_falls_by_one():
    deep = {"deletion": -3.0, "insertion": 1.9, "draws": (0.0, 0.1, 0.2), "score": "logit"}
    assert outcome(**deep, clean=2.0, end=-3.0) == "faithful"
    assert (
        outcome(deletion=-6.0, insertion=-1.5, draws=(-4, -3.9, -3.8), score="logit", clean=-1.0, end=-6) == "faithful"
    )
    near = {"draws": (0.5, 0.52, 0.54), "insertion": 0.9, "score": "logit", "clean": 1.0}
    assert outcome(deletion=0.2, end=0.0, **near) == "faithful"
    assert outcome(deletion=0.2, end=0.001, **near) == "cannot tell"
    # The clean logit is no scale: 100 → 99.1 falls by less than one, 0.1 → −0.8 too, though by nine times itself.
    assert outcome(deletion=99.2, insertion=99.9, draws=(99.5, 99.52, 99.54), end=99.1, score="logit", clean=100.0) == (
        "cannot tell"
    )
    assert outcome(deletion=-0.7, insertion=0.09, draws=(-0.3, -0.31, -0.32), end=-0.8, score="logit", clean=0.1) == (
        "cannot tell"
    )


def test_the_iou_is_compared_on_its_own_curves_and_the_score_must_fall_too():
    made = curves()
    assert verdict_on(made, "iou").outcome == "faithful"
    stiff = dataclasses.replace(made, deletion=curve([1, 0.9, 0.9, 0.9, 0.9], iou=made.deletion.iou))
    assert verdict_on(stiff, "iou").outcome == "cannot tell", "labels that flip while the score hardly moves"
    kept = dataclasses.replace(made, deletion=curve(made.deletion.score[0], iou=[[1, 0.9, 0.9, 0.9, 0.9]]))
    assert verdict_on(kept, "iou").outcome == "cannot tell"
    assert verdict_on(kept, "score").outcome == "faithful"
    missed = dataclasses.replace(made, deletion=curve(made.deletion.score[0], iou=[[0, 0, 0, 0, 0]]))
    assert "the IoU of the clean image is already 0" in missed.verdict("iou")


def test_one_random_order_has_no_spread():
    assert outcome(draws=(0.5,)) == "cannot tell"
    assert "single random order" in curves(draws=(0.5,)).verdict()
    assert outcome(draws=(0.5, 0.5)) == "faithful"


def test_the_sentences_hold_the_numbers():
    # Heights 0.125 and 0.875: areas 0.125 + 0.09375 and 0.125 + 0.65625.
    said = curves().verdict()
    assert said.startswith("Both curves beat the random orders")
    assert (
        "Areas: deletion 0.219, 3 random orders 0.500 to 0.594; insertion 0.781, 3 random orders 0.500 to 0.594."
        in said
    )
    assert "fill 'blur'" in said
    assert "3 random orders" in said
    said = curves(deletion=0.992, insertion=0.996, draws=(0.994, 0.994, 0.994), end=0.992).verdict()
    assert said.startswith("Cannot tell: hiding the map's pixels lowers the score by 0.8% of its clean value at most")
    assert "less than 20%" in said
    said = curves(deletion=0.8001, insertion=0.99, draws=(0.9, 0.9, 0.9), end=0.8001).verdict()
    assert "by 19.9% of its clean value" in said, "never rounded up to the limit"
    assert "only the deletion curve" in curves(insertion=0.6).verdict()


def test_a_score_that_is_nothing_falls_by_nothing():
    assert fallen(np.array([1e-9, 0.0]), "probability") == 0
    assert not falls(np.array([0.0, 0.0]), "iou")
    assert fallen(np.array([0.5, 0.6, 0.2, 0.4]), "probability") == pytest.approx(0.6)
    assert fallen(np.array([0.5, 0.6, -2.0]), "logit") == pytest.approx(2.5)


def test_an_order_like_the_random_ones_is_better_one_time_in_fifteen():
    areas = np.random.default_rng(0).normal(0.5, 0.05, (20_000, 4))
    places = [
        Standing("deletion", float(own), float(min(rest)), float(max(rest)), 3).place for own, *rest in areas.tolist()
    ]
    for place in ("better", "worse"):  # 0.066 of each, with a standard error of 0.0018
        assert 0.055 < places.count(place) / len(places) < 0.075


def untrained(seed, activation):
    torch.manual_seed(seed)
    layers = []
    for before, after in ((3, 16), (16, 32), (32, 32)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), activation()]
    module = nn.Sequential(*layers, nn.Conv2d(32, 5, 1)).eval()
    return perturb.TorchSegmenter(module, classes=list("abcde"), name=f"untrained {seed}")


@pytest.fixture(scope="module")
def small():
    pixels = np.array(perturb.sample("crowded-crossing").pixels)
    return image_from_pixels(cv2.resize(pixels, (120, 90), interpolation=cv2.INTER_AREA), name="small crossing")


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
@pytest.mark.parametrize("seed", range(4))
def test_an_untrained_network_has_maps_of_which_nothing_can_be_told(small, seed, activation):
    segmenter = untrained(seed, activation)
    batch = torch.from_numpy(np.array(small.pixels)).permute(2, 0, 1)[None]
    labels = segmenter(batch)[0].argmax(0).numpy()
    target = perturb.Target(int(np.bincount(labels.ravel()).argmax()))
    result = perturb.explain(small, segmenter, target, size=20, stride=10)
    for score in ("probability", "logit"):
        made = perturb.curves(result, score=score)
        for measure in ("score", "iou"):
            assert verdict_on(made, measure).outcome == "cannot tell"
            assert "points at pixels that matter" not in made.verdict(measure)


def trained(name, label, **settings):
    segmenter = perturb.load_segmenter("streets-unet")
    return perturb.curves(perturb.explain(perturb.sample(name), segmenter, perturb.Target(label), **settings))


def test_occlusion_of_a_trained_network_is_still_believed():
    made = trained("crowded-crossing", "pedestrian", size=60, stride=30)
    assert verdict_on(made).outcome == "faithful"
    assert verdict_on(made, "iou").outcome == "faithful"


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("pedestrian-behind-pole", "pole"),
        ("pedestrian-behind-pole", "pedestrian"),
        ("pedestrian-behind-pole", "car"),
        ("crowded-crossing", "pavement"),
        ("dark-car-bright-wall", "pole"),
    ],
)
def test_occlusion_of_a_trained_network_is_still_believed_elsewhere(name, label):
    assert verdict_on(trained(name, label)).outcome == "faithful"


@pytest.mark.parametrize("score", ["probability", "logit", "iou"])
def test_curves_of_an_unchanging_network_say_nothing(small, score):
    class Same(perturb.Segmenter):
        def __init__(self):
            super().__init__("same", classes=["thing", "rest"])

        def logits(self, batch):
            own = torch.full_like(batch[:, :1], 1.0)
            return torch.cat([own, torch.zeros_like(own)], 1)

    result = perturb.explain(small, Same(), perturb.Target("thing"), size=30, stride=30)
    assert verdict_on(perturb.curves(result, score=score)).outcome == "cannot tell"
