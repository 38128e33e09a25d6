"""What a metric is given, and how the images that several metrics need are run: seen by a metric that keeps its input."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

import perturb
from perturb.core.settings import check_settings
from perturb.images.image import to_tensor
from perturb.metrics.base import Metric, Stream
from perturb.metrics.evaluator import MapEvaluator, forwards_of
from perturb.metrics.registry import METRICS
from perturb.perturbations.fills.registry import FILL_SETTINGS, make_fill
from perturb.perturbations.masks import Ranked, order_by
from tests.analytic import DarkIsObject, dark_square


class Halves(Stream):
    """The first half of the order is hidden, then three quarters."""

    fill = "noise"

    def parts(self, rank, seed):
        self.seed = seed
        return Ranked(rank, np.array([rank.size // 2])), Ranked(rank, np.array([3 * rank.size // 4]))

    def curves(self, readings, clean):
        return {"halves": (self.seed, readings, clean)}


class Quarter(Halves):
    def parts(self, rank, seed):  # noqa: ARG002 — nothing is drawn
        return (Ranked(rank, np.array([rank.size // 4])),)

    def curves(self, readings, clean):  # noqa: ARG002 — no curve of its own
        return {}


class Kept(Metric):
    """Keeps what it is given."""

    better = "read"
    streams = (Halves, Quarter)

    def __init__(self, name):
        self.name = name

    def value(self, given):
        self.given = given
        return given.seconds


@pytest.fixture
def kept():
    metric = METRICS["kept"] = Kept("kept")
    yield metric
    del METRICS["kept"]


def evaluated(image, target, **options):
    segmenter = DarkIsObject()
    labels = segmenter(to_tensor(image, torch.device("cpu"))[None])[0].argmax(0).numpy()
    frozen = target.freeze(image, labels, segmenter.classes)
    return MapEvaluator(image, segmenter, frozen, **options), frozen, segmenter


def test_a_metric_is_given_the_map_its_order_and_what_was_measured(kept):
    image, heatmap = dark_square(), np.round(np.random.default_rng(2).normal(size=(37, 53)))
    evaluator, frozen, _ = evaluated(image, perturb.Target("object"), metrics=("kept",), seed=4)
    values, curves = evaluator.measure(heatmap, neutral=0.25, forwards=12, seconds=1.5)
    given = kept.given
    assert values == {"kept": 1.5}
    assert_array_equal(given.heatmap, heatmap)
    assert given.heatmap.dtype == given.centred.dtype == np.float32
    assert_array_equal(given.centred, heatmap - 0.25)
    assert_array_equal(given.rank, order_by(heatmap, 4))
    assert_array_equal(given.region, frozen.region)
    assert (given.forwards, given.seconds, given.wrong) == (12, 1.5, None)
    assert given.curves is curves
    assert curves["halves"] == (4, given.readings[Halves], evaluator.clean)
    assert (len(given.readings[Halves]), len(given.readings[Quarter])) == (2, 1)
    evaluator.measure(heatmap)
    assert (kept.given.forwards, kept.given.seconds) == (0, 0)
    assert_array_equal(kept.given.centred, heatmap)


def test_streams_of_one_fill_share_a_run_and_its_noise(kept):
    """The noise of an image depends on its place in the run: 0 and 1 for the first stream, 2 for the second."""
    image, heatmap = dark_square(), np.random.default_rng(2).normal(size=(37, 53))
    evaluator, _, segmenter = evaluated(image, perturb.Target("object"), metrics=("kept",), seed=4)
    evaluator.measure(heatmap)
    hide = make_fill(image, check_settings(FILL_SETTINGS, {"fill": "noise"}, "test"), 4)
    order, total = order_by(heatmap, 4), 37 * 53
    for stream, index, place, count in ((Halves, 0, 0, 980), (Halves, 1, 1, 1470), (Quarter, 0, 2, 490)):
        assert count == (total // 2, 3 * total // 4, total // 4)[place]
        hidden = torch.from_numpy(order < count)[None]
        logits = segmenter(hide.paint(to_tensor(image, torch.device("cpu")), hidden, place))[0]
        probability = logits.softmax(0)[1].numpy()[10:20, 15:30].mean()
        assert kept.given.readings[stream].score[index] == pytest.approx(probability, rel=1e-5)
        assert kept.given.readings[stream].hidden[index] == count


@pytest.mark.usefixtures("kept")
def test_the_clean_image_is_read_once_and_hides_nothing():
    evaluator, frozen, segmenter = evaluated(dark_square(), perturb.Target("object", score="logit"), metrics=("kept",))
    before = segmenter.pictures
    clean = evaluator.clean
    assert evaluator.clean is clean
    assert segmenter.pictures == before + 1
    assert len(clean) == 1
    assert clean.score[0] == pytest.approx(1 / (1 + np.exp(-8)), rel=1e-5), (
        "the mean probability, whatever was explained"
    )
    assert frozen.target.score == "logit"
    assert (clean.hidden[0], clean.lost[0], clean.gained[0], clean.iou[0]) == (0, 0, 0, 1)


@pytest.mark.usefixtures("kept")
def test_progress_goes_on_from_one_fill_to_the_next():
    evaluator, _, segmenter = evaluated(dark_square(), perturb.Target("object"), metrics=("drop_b_flat", "kept"))
    assert forwards_of(("drop_b_flat", "kept")) == 2 + 3
    evaluator.clean  # noqa: B018 — one pass
    seen, before = [], segmenter.pictures
    evaluator.measure(np.eye(37, 53), progress=seen.append, batch=1)
    assert segmenter.pictures - before == 5
    assert_allclose([fraction for fraction in dict.fromkeys(seen) if fraction], np.arange(1, 6) / 5)


@pytest.mark.parametrize(
    ("target", "truth_classes", "true"),
    [
        (perturb.Target("object"), ("background", "object"), True),
        (perturb.Target("object", region="all"), ("background", "object"), False),  # not the whole class alone
        (perturb.Target("object"), ("background", "other"), False),  # the truth does not know the class
        (perturb.Target("object"), ("background", "other", "object"), False),  # it does, and the class is not there
    ],
)
def test_the_object_is_the_true_one_where_the_whole_class_is_explained(kept, target, truth_classes, true):
    truth = np.zeros((37, 53), dtype=np.uint8)
    truth[12:22, 15:30] = 1
    image = replace(dark_square(), truth=truth, truth_classes=truth_classes)
    evaluator, frozen, _ = evaluated(image, target, metrics=("kept",))
    evaluator.measure(np.eye(37, 53))
    assert_array_equal(kept.given.object_mask, truth == 1 if true else frozen.region)


def test_wrong_pixels_are_those_of_the_segmenter_against_the_truth(kept):
    truth = np.zeros((37, 53), dtype=np.uint8)
    truth[12:22, 15:30] = 1  # two rows lower than what is dark
    image = replace(dark_square(), truth=truth, truth_classes=("background", "object"))
    evaluator, *_ = evaluated(image, perturb.Target("object"), metrics=("kept",))
    expected = np.zeros((37, 53), dtype=bool)
    expected[[10, 11, 20, 21], 15:30] = True
    assert_array_equal(evaluator.wrong, expected)
    evaluator.measure(np.eye(37, 53))
    assert_array_equal(kept.given.wrong, expected)
    strange = replace(image, truth_classes=("sea", "sky"))
    assert evaluated(strange, perturb.Target("object"), metrics=("kept",))[0].wrong is None
