"""Targets: regions, scores and what was lost and gained."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

import perturb
from perturb.images.image import image_from_pixels
from perturb.methods.explain import masks_and_fill
from tests.analytic import picture

CLASSES = ("sky", "car", "road")


def scene():
    """A 6 × 8 prediction with two cars, sky above and road below."""
    labels = np.zeros((6, 8), dtype=np.int64)
    labels[3:] = 2
    labels[2:4, 1:3] = 1
    labels[4, 5:8] = 1
    logits = torch.nn.functional.one_hot(torch.from_numpy(labels), 3).permute(2, 0, 1).float() * 4
    return picture(6, 8), labels, logits


def frozen(region, score="logit", label="car", image=None):
    clean, _, logits = scene()
    return perturb.Target(label, region=region, score=score).freeze(image or clean, logits.argmax(0).numpy(), CLASSES)


def test_regions():
    _, labels, _ = scene()
    assert_array_equal(frozen("class").region, labels == 1)
    assert frozen("all").region.all()
    component = frozen("component:1,2").region
    assert component.sum() == 4
    assert component[2:4, 1:3].all()
    assert frozen("pixel:6,4").region.sum() == 1
    assert frozen("pixel:6,4").region[4, 6]
    box = frozen("box:1,2,4,5").region
    assert box.sum() == 9
    assert box[2:5, 1:4].all()
    assert frozen("box:-5,-5,100,2").region.sum() == 16  # clipped at the border


def test_diagonal_neighbours_belong_together():
    logits = torch.zeros(3, 2, 2)
    logits[1] = torch.eye(2)
    region = (
        perturb.Target("car", region="component:0,0").freeze(picture(2, 2), logits.argmax(0).numpy(), CLASSES).region
    )
    assert_array_equal(region, np.eye(2, dtype=bool))


def test_truth_follows_class_names_not_indices():
    truth = np.full((6, 8), 255, dtype=np.uint8)
    truth[0, 0] = 0
    truth[5, 5:] = 1
    image = image_from_pixels(picture(6, 8).pixels.copy(), name="t", truth=truth, truth_classes=("car", "sky"))
    assert_array_equal(np.argwhere(frozen("truth", image=image).region), [[0, 0]])
    own = image_from_pixels(picture(6, 8).pixels.copy(), name="t", truth=truth.copy())
    assert frozen("truth", image=own).region.sum() == 3


@pytest.mark.parametrize(
    ("region", "label", "words"),
    [
        ("class", "bus", "no class 'bus'; expected one of: sky, car, road"),
        ("class", "7", "no class '7'"),
        ("pixel:9,0", "car", r"\(9, 0\) lies outside the image; expected x in 0 … 7"),
        ("pixel:-1,0", "car", "lies outside"),
        ("component:0,0", "car", "predicted as 'sky', not 'car'"),
        ("box:4,4,4,6", "car", "holds no pixel"),
        ("box:80,80,90,90", "car", "holds no pixel"),
        ("truth", "car", "has no ground truth"),
        ("circle:1,2", "car", "no region 'circle:1,2'; expected one of class, all, truth"),
        ("pixel:1", "car", "no region 'pixel:1'"),
        ("pixel:a,b", "car", "no region 'pixel:a,b'"),
        ("box:1,2,3", "car", "no region"),
        ("", "car", "no region ''"),
    ],
)
def test_bad_targets_are_answered_in_words(region, label, words):
    with pytest.raises(perturb.TargetError, match=words):
        frozen(region, label=label)


def test_an_absent_class_names_what_is_there():
    image, _, logits = scene()
    with pytest.raises(perturb.TargetError, match=r"No pixel .* 'bus'.*predicted are: sky \(.*car"):
        perturb.Target("bus").freeze(image, logits.argmax(0).numpy(), (*CLASSES, "bus"))


def test_unknown_score():
    with pytest.raises(perturb.TargetError, match="no score 'loss'; expected one of logit, probability, iou"):
        perturb.Target("car", score="loss")


def test_scores_by_hand():
    logits = torch.randn(5, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    nothing = torch.zeros(5, 6, 8, dtype=torch.bool)
    target = frozen("class")
    region = torch.from_numpy(target.region)
    read = target.reader(logits.device).read(logits, nothing)
    assert_allclose(read.score, [z[1][region].mean() for z in logits], atol=1e-6)
    read = target.with_score("probability").reader(logits.device).read(logits, nothing)
    assert_allclose(read.score, [z.softmax(0)[1][region].mean() for z in logits], atol=1e-6)
    read = target.with_score("iou").reader(logits.device).read(logits, nothing)
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
        return frozen(region, "iou").reader(both.device).read(both, nothing).score

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
    read = frozen("class").reader(logits.device).read(torch.stack([changed, changed]), hidden)
    assert_array_equal(read.lost, [1, 1])
    assert_array_equal(read.gained, [2, 2])
    assert_array_equal(read.lost_hidden, [0, 1])
    assert_array_equal(read.gained_hidden, [0, 1])
    assert_array_equal(read.hidden, [0, 2])
    assert_allclose(read.iou, 6 / 9)
    # a region loses only what it holds; gains count everywhere
    part = frozen("component:6,4").reader(logits.device).read(changed[None], hidden[:1])
    assert part.lost[0] == 0
    assert part.gained[0] == 2
    unchanged = frozen("all").reader(logits.device).read(logits[None], hidden[:1])
    assert unchanged.lost[0] == unchanged.gained[0] == 0


def test_ties_go_to_the_first_class_as_in_argmax():
    logits = torch.zeros(1, 3, 2, 2)
    for label in CLASSES:
        target = perturb.Target(label, region="all").freeze(picture(2, 2), logits[0].argmax(0).numpy(), CLASSES)
        now = target.reader(logits.device).mask(logits)
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
