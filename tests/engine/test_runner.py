"""The engine on segmenters whose answers are known."""

import numpy as np
import pytest
import torch
from captum.attr import Occlusion
from numpy.testing import assert_allclose, assert_array_equal

import perturb
from perturb.engine import runner
from perturb.perturbations.fills.base import Backdrop
from perturb.perturbations.fills.registry import make_fill
from perturb.perturbations.masks import Chain, Ranked, Windows
from tests.analytic import Additive, Constant, DarkIsObject, dark_square, picture


def brute_force_windows(height, width, size, stride):
    """Windows by the textbook: start at multiples of the stride, clip the last one."""
    for y in range(0, height - size + stride, stride):
        for x in range(0, width - size + stride, stride):
            yield slice(y, min(y + size, height)), slice(x, min(x + size, width))


@pytest.mark.parametrize(
    ("height", "width", "size", "stride"), [(5, 5, 2, 1), (7, 11, 3, 2), (13, 9, 4, 4), (10, 17, 5, 3)]
)
@pytest.mark.parametrize("fill", ["grey", "mean", "blur", "noise"])
def test_occlusion_of_an_additive_model_is_the_mean_of_window_sums(height, width, size, stride, fill):
    image = picture(height, width)
    weights = np.random.default_rng(1).normal(size=(height, width, 3))
    result = perturb.explain(
        image, Additive(weights), perturb.Target("thing"), size=size, stride=stride, fill=fill, seed=3
    )
    backdrop = make_fill(image, result.settings, 3).pixels
    effect = (weights * (image.pixels.astype(np.float64) - backdrop)).sum(2)
    total, count = np.zeros((height, width)), np.zeros((height, width))
    for window in brute_force_windows(height, width, size, stride):
        total[window] += effect[window].sum()
        count[window] += 1
    assert count.min() >= 1
    assert_allclose(result.heatmap, total / count, atol=1e-4)
    assert result.heatmap.dtype == np.float32
    assert result.heatmap.shape == (height, width)


def test_sign_is_kept_both_ways():
    image = picture(6, 6)
    weights = np.zeros((6, 6, 3))
    weights[0, 0], weights[5, 5] = 2.0, -2.0
    heatmap = perturb.explain(image, Additive(weights), perturb.Target("thing"), size=1, stride=1, fill="black").heatmap
    assert_allclose(heatmap[0, 0], 2 * image.pixels[0, 0].sum(), atol=1e-5)
    assert_allclose(heatmap[5, 5], -2 * image.pixels[5, 5].sum(), atol=1e-5)
    assert_allclose(heatmap[2, 3], 0, atol=1e-6)


def test_a_constant_model_gives_a_zero_map_and_says_so():
    result = perturb.explain(picture(9, 14), Constant(), perturb.Target("thing"), size=4, stride=3)
    assert_array_equal(result.heatmap, 0)
    assert_array_equal(result.maps["lost"], 0)
    assert_array_equal(result.maps["gained"], 0)
    assert "constant" in result.notes[0]
    made = perturb.curves(result)
    assert_allclose([made.deletion.auc, made.insertion.auc, made.random_deletion.auc], 1.0)


def test_a_black_occluder_on_the_background_gains_pixels_while_the_score_stands_still():
    image = dark_square()
    result = perturb.explain(image, DarkIsObject(), perturb.Target("object"), size=10, stride=5, fill="black")
    background = np.ones((37, 53), dtype=bool)
    background[0:30, 5:40] = False  # further from the square than a window reaches
    assert_array_equal(result.heatmap[background], 0)
    windows = Windows(37, 53, size=10, stride=5)
    corner = windows.at(45, 4)
    reading = result.readings[corner : corner + 1]
    x0, y0, x1, y1 = windows.box(corner)
    assert reading.score[0] == result.clean.score[0]
    assert reading.gained[0] == (x1 - x0) * (y1 - y0) == 100
    assert reading.gained_hidden[0] == reading.gained[0]
    assert reading.lost[0] == 0
    assert result.maps["gained"][background].min() > 0


def test_black_on_a_dark_object_raises_the_score():
    result = perturb.explain(dark_square(), DarkIsObject(), perturb.Target("object"), size=5, stride=5, fill="black")
    assert result.heatmap[12, 20] < 0


def test_white_on_the_object_loses_exactly_the_covered_pixels():
    image = dark_square()
    result = perturb.explain(image, DarkIsObject(), perturb.Target("object"), size=5, stride=5, fill="white")
    windows = Windows(37, 53, size=5, stride=5)
    inside = windows.at(22, 14)
    reading = result.readings[inside : inside + 1]
    assert reading.lost[0] == reading.lost_hidden[0] == 25
    assert_allclose(reading.iou[0], 125 / 150)
    assert reading.hidden[0] == 25


def test_forward_passes_are_counted_and_each_is_needed():
    segmenter = DarkIsObject()
    result = perturb.explain(dark_square(), segmenter, perturb.Target("object"), size=12, stride=7)
    rows, columns = -(-(37 - 12) // 7) + 1, -(-(53 - 12) // 7) + 1
    assert result.forwards == segmenter.pictures == 1 + rows * columns
    before = segmenter.pictures
    made = perturb.curves(result, steps=10, draws=2)
    assert made.forwards == segmenter.pictures - before == 2 + 9 * 4


@pytest.mark.parametrize("fill", ["grey", "noise", "blur"])
def test_the_batch_size_changes_nothing(fill):
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(8, 4, 3, padding=1)
    )
    segmenter = perturb.TorchSegmenter(module, classes=["a", "b", "c", "d"])
    image = picture(31, 45)
    results = [
        perturb.explain(
            image, segmenter, perturb.Target("b", region="all"), size=9, stride=5, fill=fill, seed=5, batch=n
        )
        for n in (1, 3, 64, None)
    ]
    for other in results[1:]:
        assert_allclose(other.heatmap, results[0].heatmap, atol=1e-6)
        assert_array_equal(other.readings.lost, results[0].readings.lost)


class TooSmall(DarkIsObject):
    """An accelerator whose memory holds two pictures."""

    def logits(self, batch):
        if len(batch) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return super().logits(batch)


def test_out_of_memory_halves_the_batch_and_goes_on():
    args = (dark_square(), perturb.Target("object"))
    expected = perturb.explain(args[0], DarkIsObject(), args[1], size=12, stride=6)
    result = perturb.explain(args[0], TooSmall(), args[1], size=12, stride=6, batch=16)
    assert_array_equal(result.heatmap, expected.heatmap)


class NoMemory(DarkIsObject):
    """A single picture does not fit."""

    def logits(self, batch):
        if self.pictures:
            raise torch.OutOfMemoryError("out of memory")
        return super().logits(batch)


def test_out_of_memory_with_one_picture_is_said():
    with pytest.raises(torch.OutOfMemoryError):
        perturb.explain(dark_square(), NoMemory(), perturb.Target("object"), size=12, stride=6)


class Stop(BaseException):
    """A cancel."""


def test_progress_rises_to_one_and_a_cancel_goes_through():
    seen: list[float] = []
    perturb.explain(dark_square(), DarkIsObject(), perturb.Target("object"), size=12, stride=6, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0

    segmenter = DarkIsObject()

    def stop(fraction):
        if fraction > 0.3:
            raise Stop

    with pytest.raises(Stop):
        perturb.explain(dark_square(), segmenter, perturb.Target("object"), size=4, stride=2, progress=stop)
    total = len(Windows(37, 53, size=4, stride=2))
    assert segmenter.pictures < 0.5 * total
    again = perturb.explain(dark_square(), segmenter, perturb.Target("object"), size=12, stride=6)
    fresh = perturb.explain(dark_square(), DarkIsObject(), perturb.Target("object"), size=12, stride=6)
    assert_array_equal(again.heatmap, fresh.heatmap)


def test_probe_shows_the_very_perturbation():
    image = dark_square()
    result = perturb.explain(image, DarkIsObject(), perturb.Target("object"), size=10, stride=5, fill="white")
    strongest = int(np.argmax(result.readings.lost))
    probe = perturb.probe(result, strongest)
    assert_array_equal(probe.pixels[~probe.hidden], image.pixels[~probe.hidden])
    assert_array_equal(probe.pixels[probe.hidden], 1.0)
    assert probe.lost.sum() == result.readings.lost[strongest] == probe.reading.lost[0]
    assert probe.gained.sum() == result.readings.gained[strongest]
    assert_array_equal(probe.labels == 1, (result.frozen.labels == 1) & ~probe.lost | probe.gained)
    with pytest.raises(IndexError, match="no perturbation"):
        perturb.probe(result, len(result.readings))


def test_matches_captum_on_a_convolutional_segmenter():
    torch.manual_seed(2)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 12, 5, padding=2), torch.nn.Tanh(), torch.nn.Conv2d(12, 5, 3, padding=1)
    ).eval()
    segmenter = perturb.TorchSegmenter(module, classes=list("abcde"))
    image = picture(41, 58, seed=7)
    result = perturb.explain(image, segmenter, perturb.Target("c"), size=11, stride=6, fill="grey")
    region = torch.from_numpy(result.frozen.region)

    def score(batch):
        return module(batch)[:, 2].masked_fill(~region, 0).sum((1, 2)) / region.sum()

    with torch.no_grad():
        attribution = Occlusion(score).attribute(
            torch.tensor(image.pixels.transpose(2, 0, 1)[None].copy()),
            sliding_window_shapes=(3, 11, 11),
            strides=(3, 6, 6),
            baselines=0.5,
        )
    # captum divides by the number of covering windows and leaves each channel the whole window's effect
    assert_allclose(result.heatmap, attribution[0, 0].numpy(), atol=1e-4)


@pytest.mark.parametrize("fill", ["blur", "noise", "mean"])
def test_matches_captum_with_a_picture_behind_the_windows(fill):
    torch.manual_seed(4)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 5, padding=2), torch.nn.Tanh(), torch.nn.Conv2d(8, 3, 3, padding=1)
    ).eval()
    segmenter = perturb.TorchSegmenter(module, classes=list("abc"))
    image = picture(23, 34, seed=6)
    target = perturb.Target("b", region="box:3,5,20,19")
    result = perturb.explain(image, segmenter, target, size=7, stride=3, fill=fill, seed=2)
    backdrop = np.array(make_fill(image, result.settings, 2).pixels)
    with torch.no_grad():
        attribution = Occlusion(lambda batch: module(batch)[:, 1, 5:19, 3:20].mean((1, 2))).attribute(
            torch.tensor(image.pixels.transpose(2, 0, 1)[None].copy()),
            sliding_window_shapes=(3, 7, 7),
            strides=(3, 3, 3),
            baselines=torch.from_numpy(backdrop.transpose(2, 0, 1)[None].copy()),
        )
    assert_allclose(result.heatmap, attribution[0, 0].numpy(), atol=1e-5)


def test_disc_and_rectangle_hide_what_they_say():
    disc = Windows(20, 30, size=9, stride=4, shape="disc").hidden(0, 1)[0].numpy()
    y, x = np.mgrid[:9, :9] - 4.0
    assert_array_equal(disc[:9, :9], x**2 + y**2 <= 4.5**2)
    assert disc.sum() == disc[:9, :9].sum()
    box = Windows(20, 30, size=9, stride=3, shape="rectangle", rectangle_height=4).hidden(0, 1)[0].numpy()
    assert box.sum() == 36
    assert box[:4, :9].all()


@pytest.mark.parametrize("shape", ["square", "disc", "rectangle"])
def test_spreading_by_boxes_is_the_general_sum(shape):
    windows = Windows(23, 31, size=7, stride=5, shape=shape, rectangle_height=5)
    values = np.random.default_rng(0).normal(size=(len(windows), 2))
    assert_allclose(windows.spread(values), super(Windows, windows).spread(values), atol=1e-6)


def test_chained_streams_come_in_order_across_their_seams():
    rank = np.arange(12).reshape(3, 4)
    chain = Chain(
        Ranked(rank, np.array([0, 12])), Ranked(rank, np.array([3, 5, 7])), Ranked(rank, np.array([2]), from_end=True)
    )
    assert len(chain) == 6
    whole = chain.hidden(0, 6)
    assert_array_equal(whole.sum((1, 2)), [0, 12, 3, 5, 7, 2])
    for start in range(6):
        for stop in range(start, 7):
            assert_array_equal(chain.hidden(start, stop), whole[start:stop])
    assert whole[5, 2, 2]
    assert whole[5, 2, 3]


def test_soft_masks_blend():
    backdrop = Backdrop(np.zeros((2, 2, 3), dtype=np.float32))
    clean = torch.ones(3, 2, 2)
    hidden = torch.tensor([[[0.0, 0.25], [0.5, 1.0]]])
    assert_allclose(backdrop.paint(clean, hidden, 0)[0, 0], [[1.0, 0.75], [0.5, 0.0]])


def test_batches_keep_to_the_memory_they_are_given():
    class Widest(DarkIsObject):
        widest = 0

        def logits(self, batch):
            self.widest = max(self.widest, len(batch))
            return super().logits(batch)

    segmenter, image = Widest(), dark_square()
    labels = runner.clean_logits(image, segmenter).argmax(0).numpy()
    frozen = perturb.Target("object").freeze(image, labels, segmenter.classes)
    masks = Windows(37, 53, size=6, stride=3)
    fill = Backdrop(np.zeros_like(image.pixels))
    runner.run(image, masks, fill, segmenter, frozen, memory=3 * 37 * 53 * 4 * 10)
    assert segmenter.widest <= 3


@pytest.mark.parametrize(("size", "stride"), [(7, 5), (1, 1), (23, 23), (8, 1), (10, 9)])
def test_the_window_at_its_own_centre_is_itself(size, stride):
    windows = Windows(23, 31, size=size, stride=stride)
    for index in range(len(windows)):
        assert windows.at(*windows.centre(index)) == index
    assert windows.at(0, 0) == 0
    assert windows.at(10**6, 10**6) == len(windows) - 1


@pytest.mark.parametrize("batch", [1, 5])
def test_a_watched_run_goes_from_coarse_to_fine_and_ends_with_the_same_readings(batch, monkeypatch):
    monkeypatch.setattr("perturb.engine.preview.INTERVAL", 0.0)
    image, seen = picture(37, 53), []
    weights = np.random.default_rng(5).normal(size=(37, 53, 3))
    asked = {"size": 6, "stride": 3, "fill": "noise", "seed": 4, "batch": batch}  # noise: drawn for each window anew
    plain = perturb.explain(image, Additive(weights), perturb.Target("thing"), **asked)
    watched = perturb.explain(image, Additive(weights), perturb.Target("thing"), preview=seen.append, **asked)
    assert_array_equal(watched.readings.score, plain.readings.score)
    assert_array_equal(watched.heatmap, plain.heatmap)
    apart = [np.abs(outcome.maps["score"] - plain.heatmap).mean() for outcome in seen]
    assert len(apart) >= 3
    assert apart[-1] < apart[len(apart) // 2] < apart[0], "each look is nearer to the end"


def test_windows_that_were_not_run_yet_are_stood_in_for_by_their_coarse_neighbour():
    masks = Windows(20, 20, size=2, stride=2)  # 10 × 10 windows
    order = masks.coarse_to_fine()
    assert sorted(order.tolist()) == list(range(100))
    assert order[:4].tolist() == [0, 8, 80, 88], "every eighth of every eighth row first"
    for done in (1, 4, 9, 30, 99):
        stands = masks.stand_ins(done)
        assert set(stands.tolist()) <= set(order[:done].tolist()), "only what was run"
        assert all(stands[index] == index for index in order[:done]), "what was run stands for itself"
    assert masks.stand_ins(4)[99] == 88
    assert masks.stand_ins(4)[45] == 0
    assert_array_equal(masks.stand_ins(100), np.arange(100))
