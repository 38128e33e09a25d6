"""Readings of a target from logits: scores, the IoU, and what was lost and gained."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

import perturb
from perturb.methods.explain import masks_and_fill
from perturb.targets.reader import Reader
from tests.analytic import picture
from tests.targets.test_target import CLASSES, frozen, scene


def test_scores_by_hand():
    logits = torch.randn(5, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    nothing = torch.zeros(5, 6, 8, dtype=torch.bool)
    target = frozen("class")
    region = torch.from_numpy(target.region)
    read = Reader(target, logits.device).read(logits, nothing)
    assert_allclose(read.score, [z[1][region].mean() for z in logits], atol=1e-6)
    read = Reader(target.with_score("probability"), logits.device).read(logits, nothing)
    assert_allclose(read.score, [z.softmax(0)[1][region].mean() for z in logits], atol=1e-6)
    read = Reader(target.with_score("iou"), logits.device).read(logits, nothing)
    for z, score in zip(logits, read.score, strict=True):
        now = z.argmax(0) == 1
        assert_allclose(score, (now & region).sum() / (now | region).sum())


def test_iou_of_a_box_or_component_is_taken_inside_it():
    _, _, logits = scene()
    gone = logits.clone()
    gone[1, 4, 5:8] = -1  # the second car vanishes
    both = torch.stack([logits, gone])
    nothing = torch.zeros(2, 6, 8, dtype=torch.bool)

    def iou(region):
        return Reader(frozen(region, "iou"), both.device).read(both, nothing).score

    assert_allclose(iou("class"), [1, 4 / 7])
    assert_allclose(iou("component:1,2"), [1, 1])
    assert_allclose(iou("component:6,4"), [1, 0])
    assert_allclose(iou("box:0,0,4,6"), [1, 1])
    assert_allclose(iou("box:4,0,8,6"), [1, 0])


def test_lost_and_gained_with_hidden_pixels_apart():
    _, _, logits = scene()
    changed = logits.clone()
    changed[1, 2, 1] = -9  # one car pixel lost
    changed[1, 0, 0:2] = 9  # two sky pixels gained
    hidden = torch.zeros(2, 6, 8, dtype=torch.bool)
    hidden[1, 0, 0] = hidden[1, 2, 1] = True
    read = Reader(frozen("class"), logits.device).read(torch.stack([changed, changed]), hidden)
    assert_array_equal(read.lost, [1, 1])
    assert_array_equal(read.gained, [2, 2])
    assert_array_equal(read.lost_hidden, [0, 1])
    assert_array_equal(read.gained_hidden, [0, 1])
    assert_array_equal(read.hidden, [0, 2])
    assert_allclose(read.iou, 6 / 9)
    # a region loses only what it holds; gains count everywhere
    part = Reader(frozen("component:6,4"), logits.device).read(changed[None], hidden[:1])
    assert part.lost[0] == 0
    assert part.gained[0] == 2
    unchanged = Reader(frozen("all"), logits.device).read(logits[None], hidden[:1])
    assert unchanged.lost[0] == unchanged.gained[0] == 0


def test_ties_go_to_the_first_class_as_in_argmax():
    logits = torch.zeros(1, 3, 2, 2)
    for label in CLASSES:
        target = perturb.Target(label, region="all").freeze(picture(2, 2), logits[0].argmax(0).numpy(), CLASSES)
        now = Reader(target, logits.device).mask(logits)
        assert_array_equal(now, logits.argmax(1) == target.index)


@pytest.mark.parametrize("plain", [False, True])
def test_pixels_without_truth_count_in_no_iou(plain, monkeypatch):
    """Against a count by hand over the labelled pixels alone, for a prediction that reaches into the unlabelled ones."""
    monkeypatch.setattr("perturb.engine.incremental.passes.dearer", lambda *_: "")
    torch.manual_seed(0)
    segmenter = perturb.TorchSegmenter(torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3, 1, 1)), classes=["a", "b", "c"])
    image = picture(24, 30)
    truth = np.random.default_rng(1).integers(0, 3, (24, 30)).astype(np.uint8)
    truth[:, :10] = 255
    target = perturb.Target("b", region="truth", score="iou")
    result = perturb.explain(
        image.with_truth(truth, segmenter.classes), segmenter, target, size=6, stride=4, fill="black", plain=plain
    )
    pixels = torch.tensor(image.pixels).permute(2, 0, 1)[None].repeat(len(result.readings), 1, 1, 1)
    masks, _ = masks_and_fill(result)
    for row in range(len(pixels)):
        pixels[row][:, masks.hidden(row, row + 1)[0]] = 0
    with torch.inference_mode():
        predicted = (segmenter(pixels).argmax(1) == 1).numpy()[:, :, 10:]
    true = truth[None, :, 10:] == 1
    expected = (predicted & true).sum((1, 2)) / (predicted | true).sum((1, 2))
    assert_allclose(result.readings.iou, expected, atol=1e-12)
    assert_allclose(result.readings.score, expected, atol=1e-12)
    assert result.execution.passes == ("whole" if plain else "incremental")


def test_two_empty_masks_agree():
    """The IoU of nothing with nothing is 1, and it is 0 as soon as one of them has a pixel."""
    logits = torch.zeros(3, 2, 3)
    logits[0] = 1  # sky alone
    target = perturb.Target("car", region="box:0,0,2,2", score="iou").freeze(
        picture(2, 3), logits.argmax(0).numpy(), CLASSES
    )
    other = logits.clone()
    other[1, 0, 2] = 9  # a car outside of the box, where the IoU does not look
    inside = logits.clone()
    inside[1, 1, 1] = 9
    read = Reader(target, logits.device).read(torch.stack([logits, other, inside]), torch.zeros(3, 2, 3))
    assert_array_equal(read.iou, [1, 1, 0])
    assert_array_equal(read.score, [1, 1, 0])
    assert_array_equal(read.gained, [0, 1, 1])


def test_a_softened_mask_hides_whatever_it_touches():
    _, _, logits = scene()
    hidden = torch.zeros(1, 6, 8)
    hidden[0, 0, :3] = torch.tensor([1e-6, 0.5, 1.0])
    assert Reader(frozen("class"), logits.device).read(logits[None], hidden).hidden[0] == 3


def test_readings_have_the_types_they_are_said_to_have():
    _, _, logits = scene()
    for score in ("logit", "probability", "iou"):
        read = Reader(frozen("class", score), logits.device).read(logits[None], torch.zeros(1, 6, 8))
        assert read.score.dtype == read.iou.dtype == np.float64
        assert {getattr(read, name).dtype for name in ("lost", "gained", "lost_hidden", "gained_hidden", "hidden")} == {
            np.dtype(np.int64)
        }
