"""The parts of a run: batch sizes worked out by hand, memory that runs out, and readings held against single passes."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

import perturb
from perturb.engine import runner
from perturb.engine.incremental.known import ASKED
from perturb.engine.preview import Previews
from perturb.images.image import image_from_pixels
from perturb.perturbations.fills.base import Backdrop, Patch
from perturb.perturbations.masks import Windows
from perturb.targets.readings import COLUMNS, Execution, Readings
from tests.analytic import Constant, DarkIsObject, dark_square, picture

H, W = 37, 53
MASKS = Windows(H, W, size=9, stride=6)


def frozen_of(image, segmenter, target):
    labels = runner.clean_logits(image, segmenter).argmax(0).numpy()
    return perturb.Target(target, region="all").freeze(image, labels, segmenter.classes)


OBJECT = frozen_of(dark_square(), DarkIsObject(), "object")


def numbered(start, stop):
    """Readings whose score is the index of the perturbation."""
    numbers, counts = np.arange(start, stop, dtype=np.float64), np.zeros(stop - start, np.int64)
    return Readings(numbers, counts, counts, counts, counts, numbers, counts)


class Shades(Patch):
    """Another grey for each mask, by its index."""

    def patch(self, image, hidden, first):  # noqa: ARG002 — the contract's arguments
        return ((torch.arange(first, first + len(hidden)) * 7 % 54) / 54)[:, None, None, None]


class Counts(DarkIsObject):
    """Remembers the sizes of its batches."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def logits(self, batch):
        self.sizes.append(len(batch))
        return super().logits(batch)


# --- How many images at once ---


@pytest.mark.parametrize(
    ("height", "width", "images"),
    [(10, 10, 4), (250, 350, 4), (250, 351, 3), (350, 500, 2), (350, 501, 1), (700, 501, 1), (3000, 4000, 1)],
)
def test_a_batch_on_a_cpu_has_up_to_350_000_pixels_and_four_images_and_never_none(height, width, images):
    assert runner.batch_size(torch.device("cpu"), height, width) == images


def test_a_batch_on_an_accelerator_has_one_size():
    assert {runner.batch_size(torch.device("cuda"), side, side) for side in (10, 3000)} == {64}


def batches(total=9, fits=10**9, **settings):
    """The half-open ranges that a sweep reads, those that failed left out, and what the progress is told."""
    ranges, told = [], []

    def read(start, stop):
        assert torch.is_inference_mode_enabled()
        if stop - start > fits:
            raise torch.OutOfMemoryError("no room")
        ranges.append((start, stop))
        return numbered(start, stop)

    readings = runner.sweep(
        total, read, settings.pop("segmenter", DarkIsObject()), OBJECT, progress=told.append, **settings
    )
    assert_array_equal(readings.score, np.arange(total))
    return ranges, told


def test_a_sweep_reads_all_in_order_and_says_how_far_it_is():
    assert batches(9, batch=4) == ([(0, 4), (4, 8), (8, 9)], [4 / 9, 8 / 9, 1.0])
    assert batches(2, batch=5) == ([(0, 2)], [1.0])
    assert batches(8) == ([(0, 4), (4, 8)], [0.5, 1.0]), "four on a CPU, as the image is small"


def test_memory_bounds_the_batch():
    """An image takes float32 values for 3 colours twice, and for the logits and softmax of 2 classes."""
    each = H * W * 4 * (3 + 3 + 2 + 2)
    sizes = {memory: [stop - start for start, stop in batches(6, memory=memory)[0]] for memory in (1, each, 3 * each)}
    assert sizes == {1: [1] * 6, each: [1] * 6, 3 * each: [3, 3]}
    assert [stop - start for start, stop in batches(6, memory=3 * each - 1)[0]] == [2, 2, 2]
    assert batches(6, memory=1, batch=5)[0] == [(0, 5), (5, 6)], "what is asked for goes first"


@pytest.mark.parametrize(
    ("fits", "ranges"),
    [
        (3, [(0, 2), (2, 4), (4, 6), (6, 8), (8, 9)]),  # 8 and 4 do not fit
        (1, [(n, n + 1) for n in range(9)]),
        (5, [(0, 4), (4, 8), (8, 9)]),
    ],
)
def test_batches_are_halved_until_they_fit(fits, ranges):
    assert batches(9, fits=fits, batch=8)[0] == ranges


def test_one_image_that_does_not_fit_is_the_end():
    with pytest.raises(torch.OutOfMemoryError, match="no room"):
        batches(9, fits=0, batch=8)


@pytest.mark.parametrize("preview", [None, lambda readings: None])
def test_a_run_keeps_to_the_batch_and_the_memory_that_it_is_given(preview):
    image, fill = dark_square(), Backdrop(np.zeros((H, W, 3), np.float32))
    assert len(MASKS) == 6 * 9
    for asked, sizes in (
        ({"batch": 20}, [20, 20, 14]),
        ({"memory": 2 * H * W * 4 * 10}, [2] * 27),
        ({}, [4] * 13 + [2]),
    ):
        segmenter, told = Counts(), []
        runner.run(image, MASKS, fill, segmenter, OBJECT, progress=told.append, preview=preview, **asked)
        assert segmenter.sizes == sizes
        assert_allclose(told, np.cumsum(sizes) / 54)


def test_a_part_of_a_run_reports_its_share():
    told = []
    progress = runner.span(told.append, 0.25, 0.5)
    for fraction in (0.0, 0.5, 1.0):
        progress(fraction)
    assert told == [0.25, 0.5, 0.75]
    runner.span(told.append, 0.5, 0.75)(1.0)
    assert told[-1] == 1.0, "never more than all"
    assert runner.span(None, 0.25, 0.5) is None


# --- The readings, one pass at a time ---


def convolutions():
    torch.manual_seed(4)
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 6, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(6, 3, 1)).eval()
    return perturb.TorchSegmenter(module, classes=["a", "b", "c"])


def single(image, segmenter, frozen, fill, index):
    """The mean logit and the changed pixels of one mask, without the engine."""
    clean = torch.from_numpy(image.pixels.transpose(2, 0, 1).copy())
    hidden = MASKS.hidden(index, index + 1)
    with torch.no_grad():
        logits = segmenter.logits(fill.paint(clean, hidden, index))[0]
    now = (logits.argmax(0) == frozen.index).numpy()
    was = frozen.labels == frozen.index
    return float(logits[frozen.index].double().mean()), was & ~now, now & ~was, hidden[0].numpy()


@pytest.mark.parametrize("mode", ["exact", "whole", "preview"])
def test_each_reading_is_that_of_its_own_image(mode):
    """The fill is another one for each mask, so an exchanged index shows."""
    image, segmenter = picture(H, W), convolutions()
    frozen, fill = frozen_of(image, segmenter, "b"), Shades()
    options = {"preview": lambda readings: None, "mode": "whole"} if mode == "preview" else {"mode": mode}
    readings = runner.run(image, MASKS, fill, segmenter, frozen, **options)
    rows = np.array([41, 3, 3, 53])
    again = runner.exact_readings(image, MASKS, fill, segmenter, frozen, rows)
    for column in COLUMNS:
        assert_allclose(getattr(again, column), getattr(readings, column)[rows], rtol=1e-4, err_msg=column)
    for place, row in enumerate(rows.tolist()):
        score, lost, gained, hidden = single(image, segmenter, frozen, fill, row)
        assert_allclose(again.score[place], score, rtol=1e-5)
        assert (again.lost[place], again.gained[place]) == (lost.sum(), gained.sum())
        assert again.lost_hidden[place] == (lost & hidden).sum()
        assert again.gained_hidden[place] == (gained & hidden).sum()
        assert again.hidden[place] == hidden.sum()
        probe = runner.rerun_mask(image, MASKS, fill, segmenter, frozen, row)
        assert_array_equal(probe.lost, lost)
        assert_array_equal(probe.gained, gained)
        assert_array_equal(probe.hidden, hidden)
        assert_allclose(probe.reading.score, score, rtol=1e-5)
    assert readings.lost.max() > 0
    assert readings.gained.max() > 0


def test_pixels_lost_are_counted_in_the_region_alone_and_gained_ones_everywhere():
    """White on the left half of the dark square, then black beside it, where the region is the left half."""
    image, segmenter = dark_square(), DarkIsObject()
    labels = runner.clean_logits(image, segmenter).argmax(0).numpy()
    frozen = perturb.Target("object", region="box:15,10,20,20").freeze(image, labels, segmenter.classes)
    rows = Windows(H, W, size=10, stride=10)  # the window at (10, 10) covers the columns 10 to 19
    white = Backdrop(np.ones((H, W, 3), np.float32))
    probe = runner.rerun_mask(image, rows, white, segmenter, frozen, rows.at(15, 15))
    assert (probe.lost.sum(), probe.gained.sum()) == (50, 0)
    beside = runner.rerun_mask(image, rows, white, segmenter, frozen, rows.at(25, 15))
    assert beside.lost.sum() == 0, "outside the region nothing can be lost"
    assert (beside.labels == 1).sum() == 50
    black = Backdrop(np.zeros((H, W, 3), np.float32))
    probe = runner.rerun_mask(image, rows, black, segmenter, frozen, rows.at(15, 15))
    assert (probe.lost.sum(), probe.gained.sum()) == (0, 50)
    assert probe.gained[10:20, 10:15].all()


@pytest.mark.parametrize("index", [-1, 54, 10**6])
def test_a_perturbation_that_is_not_there_is_answered_in_words(index):
    image = dark_square()
    fill = Backdrop(np.zeros((H, W, 3), np.float32))
    with pytest.raises(IndexError, match=rf"no perturbation {index}; expected 0 to 53\."):
        runner.rerun_mask(image, MASKS, fill, DarkIsObject(), OBJECT, index)


# --- Which way ---


def test_the_way_is_chosen_by_what_is_asked_and_by_what_is_known_of_the_network():
    many = Windows(120, 120, size=9, stride=2)
    image, segmenter = picture(120, 120), convolutions()
    frozen = frozen_of(image, segmenter, "b")
    asked = {mode: runner.route(image, many, segmenter, frozen, mode) for mode in ("exact", "whole", "bfloat16")}
    assert {mode: way.execution.passes for mode, way in asked.items()} == {
        "exact": "incremental", "whole": "whole", "bfloat16": "incremental"
    }  # fmt: skip
    assert asked["whole"].quick is None
    assert asked["whole"].execution == Execution("whole", ASKED)
    fill = Backdrop(np.full((120, 120, 3), 0.5, np.float32))
    few = Windows(120, 120, size=60, stride=60)
    exact, whole, half = (runner.run(image, few, fill, segmenter, frozen, chosen=way).score for way in asked.values())
    assert_allclose(exact, whole, rtol=1e-5, atol=1e-6)
    off = np.abs(half - whole).max()
    assert 0 < off < 0.05 * np.abs(whole).max(), "rounded to 8 bits of mantissa, and no more"
    own = runner.route(dark_square(), MASKS, DarkIsObject(), OBJECT)
    assert own.quick is None
    assert "this is DarkIsObject" in own.execution.reason
    assert not own.execution.stale


@pytest.mark.parametrize("preview", [None, lambda readings: None])
def test_incremental_passes_come_in_batches_of_their_own_size_unless_one_is_asked_for(preview, monkeypatch):
    segmenter, image = convolutions(), picture(H, W)
    frozen, fill, sizes = frozen_of(image, segmenter, "b"), Shades(), []
    way = runner.route(image, MASKS, segmenter, frozen, "bfloat16")  # whatever it costs
    read = way.quick.read
    monkeypatch.setattr(way.quick, "read", lambda painted, hidden: sizes.append(len(hidden)) or read(painted, hidden))
    monkeypatch.setattr(way.quick, "together", 25)
    for batch, expected in ((None, [25, 25, 4]), (20, [20, 20, 14])):
        runner.run(image, MASKS, fill, segmenter, frozen, batch=batch, chosen=way, preview=preview)
        assert sizes == expected
        sizes.clear()


# --- Previews ---


class Clock:
    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr("perturb.engine.preview.time", SimpleNamespace(monotonic=lambda: self.now))


def test_a_preview_comes_each_second_and_later_after_one_that_took_long(monkeypatch):
    clock, seen = Clock(monkeypatch), []
    took = iter([0.0, 0.05, 2.0, 0.0])

    def show(_):
        seen.append(clock.now)
        clock.now += next(took)

    order = MASKS.coarse_to_fine()
    previews = Previews(MASKS, order, show)
    previews.note(numbered(0, 4))
    for tick in range(4000):
        clock.now = max(clock.now, 100 + tick / 100)
        previews.show()
        if len(seen) == 4:
            break
    # Begun after 1 s; then after 1 s; after 0.05 s and a second; after 2 s and ten times as long.
    assert_allclose(seen, [101, 102, 103.05, 103.05 + 2 + 20], atol=0.011)


def test_a_preview_holds_what_was_run_and_what_stands_in_for_the_rest(monkeypatch):
    clock, seen = Clock(monkeypatch), []
    order = MASKS.coarse_to_fine()
    previews = Previews(MASKS, order, seen.append)
    by_mask = numbered(0, len(MASKS))
    for start, stop in ((0, 5), (5, 20), (20, 53)):
        part = by_mask[order[start:stop]]
        assert previews.note(part) is part
        clock.now += 1
        previews.show()
        clock.now += 0.5
        previews.show()  # not due again
        assert_array_equal(seen.pop().score, MASKS.stand_ins(stop))
        assert not seen
    previews.note(by_mask[order[53:]])
    clock.now += 10
    previews.show()
    assert not seen, "all are known, so the run itself ends with them"


def test_a_map_that_never_changes_is_read_as_such():
    image = image_from_pixels(np.full((H, W, 3), 0.5, np.float32), name="grey")
    frozen = frozen_of(image, Constant(2.5), "thing")
    fill = Backdrop(np.zeros((H, W, 3), np.float32))
    readings = runner.run(image, MASKS, fill, Constant(2.5), frozen)
    assert_array_equal(readings.score, 2.5)
    assert readings.lost.sum() == readings.gained.sum() == 0
