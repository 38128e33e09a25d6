"""Streams of masks against sets of pixels drawn by hand or by brute force."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

import perturb
from perturb.perturbations.masks import Chain, Masks, Ranked, Windows, order_by


def drawn(text):
    """A mask from lines of `#` and `.`."""
    return np.array([[sign == "#" for sign in line.strip()] for line in text.split()])


CASES = [
    {"height": 5, "width": 7, "size": 3, "stride": 2},
    {"height": 6, "width": 6, "size": 6, "stride": 1},
    {"height": 7, "width": 4, "size": 4, "stride": 3},
    {"height": 4, "width": 9, "size": 1, "stride": 1},
    {"height": 9, "width": 8, "size": 4, "stride": 3, "shape": "disc"},
    {"height": 9, "width": 8, "size": 5, "stride": 2, "shape": "rectangle", "rectangle_height": 2},
    {"height": 3, "width": 8, "size": 5, "stride": 3, "shape": "rectangle", "rectangle_height": 3},
]


def by_brute_force(height, width, size, stride, shape="square", rectangle_height=0):
    """Starts until one window reaches the border; each pixel asked whether it is in."""
    tall = rectangle_height if shape == "rectangle" else size

    def starts(length, window):
        found = [0]
        while found[-1] + window < length:
            found.append(found[-1] + stride)
        return found

    masks, boxes = [], []
    for top in starts(height, tall):
        for left in starts(width, size):
            mask = np.zeros((height, width), dtype=bool)
            for y in range(top, min(top + tall, height)):
                for x in range(left, min(left + size, width)):
                    dy, dx = y - top - (tall - 1) / 2, x - left - (size - 1) / 2
                    mask[y, x] = shape != "disc" or np.hypot(dy, dx) <= size / 2
            masks.append(mask)
            boxes.append((left, top, min(left + size, width), min(top + tall, height)))
    return np.array(masks), boxes


@pytest.mark.parametrize("case", CASES)
def test_windows_by_brute_force(case):
    windows = Windows(**case)
    expected, boxes = by_brute_force(**case)
    assert len(windows) == len(expected)
    assert_array_equal(windows.hidden(0, len(windows)), expected)
    assert windows.hidden(0, 1).dtype == torch.bool
    assert [windows.box(index) for index in range(len(windows))] == boxes
    assert_array_equal(windows.hidden(1, len(windows)), expected[1:])
    assert windows.hidden(1, 1).shape == (0, case["height"], case["width"])
    for index, (x0, y0, x1, y1) in enumerate(boxes):
        centre = windows.centre(index)
        assert centre == ((x0 + x1 - 1) // 2, (y0 + y1 - 1) // 2)
        assert windows.at(*centre) == index


@pytest.mark.parametrize("case", CASES)
def test_the_nearest_window_is_the_nearest_of_all(case):
    windows = Windows(**case)
    centres = np.array([windows.centre(index) for index in range(len(windows))])
    for y in range(case["height"]):
        for x in range(case["width"]):
            far = np.abs(centres - (x, y))
            found = far[windows.at(x, y)]
            assert_array_equal(found, far.min(0))


def test_a_disc_by_hand():
    expected = drawn("""
        .##.
        ####
        ####
        .##.""")
    assert_array_equal(Windows(4, 4, size=4, stride=4, shape="disc").hidden(0, 1)[0], expected)
    odd = Windows(5, 5, size=5, stride=5, shape="disc").hidden(0, 1)[0]
    assert_array_equal(odd, drawn(".###. ##### ##### ##### .###."))


class Listed(Masks):
    """Masks that are given, with all that a stream can do by itself."""

    def __init__(self, masks):
        self.masks = torch.from_numpy(np.asarray(masks))
        self.height, self.width = self.masks.shape[1:]

    def __len__(self):
        return len(self.masks)

    def hidden(self, start, stop):
        return self.masks[start:stop]


@pytest.mark.parametrize("case", CASES)
def test_each_pixel_gets_the_mean_of_the_masks_that_hide_it(case):
    masks, _ = by_brute_force(**case)
    values = np.random.default_rng(0).normal(size=(len(masks), 2))
    expected = np.zeros((2, case["height"], case["width"]))
    for y, x in np.ndindex(case["height"], case["width"]):
        over = [row for mask, row in zip(masks, values, strict=True) if mask[y, x]]
        if over:
            expected[:, y, x] = np.mean(over, axis=0)
    for stream in (Windows(**case), Listed(masks)):
        made = stream.spread(values)
        assert made.dtype == np.float32
        assert_allclose(made, expected, atol=1e-6)
    assert Listed(masks).coarse_to_fine() is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 0}, "got 0 × 0 px for an image of 8 × 6 px; expected 1 to 8 px wide and 1 to 6 px high"),
        ({"size": 7}, "got 7 × 7 px for an image of 8 × 6 px"),
        ({"size": 9, "shape": "rectangle", "rectangle_height": 2}, "got 9 × 2 px"),
        ({"size": 2, "shape": "rectangle", "rectangle_height": 7}, "got 2 × 7 px"),
        ({"size": 2, "shape": "rectangle"}, "got 2 × 0 px"),
        ({"size": 3, "stride": 0}, "got 0 px for a window of 3 × 3 px"),
        ({"size": 3, "stride": 4}, "got 4 px for a window of 3 × 3 px"),
        ({"size": 5, "shape": "rectangle", "rectangle_height": 2, "stride": 3}, "got 3 px for a window of 5 × 2 px"),
        ({"size": 2, "shape": "star"}, "no occluder shape 'star'; expected one of square, rectangle, disc"),
    ],
)
def test_windows_that_cannot_be_are_answered_in_words(settings, message):
    with pytest.raises(perturb.SettingError, match=message):
        Windows(**({"height": 6, "width": 8, "stride": 1} | settings))
    # At the bounds they can.
    for size, stride in ((1, 1), (6, 6)):
        assert len(Windows(6, 8, size=size, stride=stride)) == (48 if size == 1 else 2)
    assert len(Windows(6, 8, size=8, stride=1, shape="rectangle", rectangle_height=1)) == 6


def test_a_coarse_order_takes_every_eighth_first_then_every_fourth_and_second():
    windows = Windows(17, 19, size=1, stride=1)
    order = windows.coarse_to_fine()
    assert sorted(order) == list(range(17 * 19))
    levels = [max(step for step in (8, 4, 2, 1) if row % step == 0 and column % step == 0) for row, column in
              zip(*np.divmod(order, 19), strict=True)]  # fmt: skip
    assert levels == sorted(levels, reverse=True)
    assert levels.count(8) == 3 * 3
    for level in (8, 4, 2, 1):
        part = [index for index, its in zip(order, levels, strict=True) if its == level]
        assert part == sorted(part), "within a level they stay in order"


def test_a_window_that_was_not_run_is_stood_in_for_by_the_nearest_coarser_one_above_and_left():
    windows = Windows(17, 19, size=1, stride=1)
    order = windows.coarse_to_fine()
    for done in (1, 9, 10, 30, 100, 17 * 19 - 1, 17 * 19):
        ran = set(order[:done].tolist())
        found = windows.stand_ins(done)
        for index in range(17 * 19):
            row, column = divmod(index, 19)
            nearest = 0
            for step in (8, 4, 2, 1):
                parent = row // step * step * 19 + column // step * step
                nearest = parent if parent in ran else nearest
            assert found[index] == nearest
        assert all(found[index] == index for index in ran)
        assert set(found.tolist()) <= ran


RANK = np.array([[3, 0, 5], [1, 4, 2]])


def test_the_first_and_the_last_of_an_order_are_hidden():
    counts = np.array([0, 1, 4, 6])
    assert len(Ranked(RANK, counts)) == 4
    first = Ranked(RANK, counts).hidden(0, 4).numpy()
    assert_array_equal(first[1], drawn(".#. ..."))
    assert_array_equal(first[2], drawn("##. #.#"))
    last = Ranked(RANK, counts, from_end=True).hidden(0, 4).numpy()
    assert_array_equal(last[1], drawn("..# ..."))
    assert_array_equal(last[2], drawn("#.# .##"))
    for masks in (first, last):
        assert_array_equal(masks.sum((1, 2)), counts)
    assert_array_equal(Ranked(RANK, counts).hidden(1, 3), first[1:3])


def test_a_chain_is_its_streams_one_after_the_other():
    streams = [
        Ranked(RANK, np.array([1, 2])),
        Ranked(RANK, np.zeros(0, dtype=int)),
        Windows(2, 3, size=1, stride=1),
        Ranked(RANK, np.array([3]), from_end=True),
    ]
    assert_array_equal(Chain(streams[0]).hidden(0, 2), streams[0].hidden(0, 2))
    chain = Chain(*streams)
    whole = np.concatenate([stream.hidden(0, len(stream)).numpy() for stream in streams])
    assert (len(chain), chain.height, chain.width) == (9, 2, 3)
    for start in range(10):
        for stop in range(start, 10):
            part = chain.hidden(start, stop)
            assert part.dtype == torch.bool
            assert_array_equal(part, whole[start:stop])


def test_an_order_is_by_value_and_equal_values_are_drawn():
    values = np.array([[0.5, 2.0, -1.0], [0.5, 0.5, 3.0]])
    ranks = [order_by(values, seed) for seed in range(200)]
    for rank in ranks:
        assert rank.dtype == np.int64
        assert sorted(rank.ravel()) == list(range(6))
        assert (rank[1, 2], rank[0, 1], rank[0, 2]) == (0, 1, 5)
    assert_array_equal(order_by(values, 7), ranks[7])
    places = np.array([[rank[0, 0], rank[1, 0], rank[1, 1]] for rank in ranks])
    assert_allclose(places.mean(0), 3, atol=0.25)
    assert len({tuple(row) for row in places}) == 6, "every order of the three equal ones is drawn"
    assert_array_equal(order_by(np.array([[1, 3], [2, 0]], dtype=np.float32), 0), [[2, 0], [1, 3]])
