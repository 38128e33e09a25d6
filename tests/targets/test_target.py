"""Targets: classes and regions."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal

import perturb
from perturb.images.image import image_from_pixels
from perturb.targets.target import class_index, shares
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


def test_regions_reach_to_every_corner():
    for x, y in ((0, 0), (7, 0), (0, 5), (7, 5)):
        assert_array_equal(np.argwhere(frozen(f"pixel:{x},{y}").region), [[y, x]])
        assert frozen(f"pixel:{x},{y}").window == (x, y, x + 1, y + 1)
    for x, y in ((8, 0), (0, 6), (-1, 0), (0, -1)):
        with pytest.raises(perturb.TargetError, match=rf"\({x}, {y}\) lies outside .* expected x in 0 … 7, y in 0 … 5"):
            frozen(f"pixel:{x},{y}")
    assert frozen("box:7,5,8,6").window == (7, 5, 8, 6)
    assert frozen("box:-1,-2,9,9").window == frozen("class").window == frozen("all").window == (0, 0, 8, 6)
    for box in ("8,0,9,6", "0,6,8,7", "3,0,3,6", "0,2,8,2", "5,0,4,6", "0,4,8,3", "-3,0,0,6", "0,-2,8,0"):
        with pytest.raises(
            perturb.TargetError, match=rf"The box {box} holds no pixel.* 0 … 8 and y0 < y1 within 0 … 6"
        ):
            frozen(f"box:{box}")
    assert frozen("component:6,4").window == (5, 4, 8, 5)


def test_what_the_iou_compares_with():
    _, labels, _ = scene()
    for region in ("class", "all", "box:0,0,2,2", "pixel:6,4"):
        assert_array_equal(frozen(region).reference, labels == 1)
        assert frozen(region).void is None
    assert_array_equal(frozen("component:6,4").reference, frozen("component:6,4").region)
    truth = np.zeros((6, 8), dtype=np.uint8)
    truth[2, 2] = 1
    labelled = frozen("truth", image=picture(6, 8).with_truth(truth.copy(), CLASSES))
    assert_array_equal(np.argwhere(labelled.reference), [[2, 2]])
    assert labelled.void is None
    truth[0, 3] = 255
    unlabelled = frozen("truth", image=picture(6, 8).with_truth(truth.copy(), CLASSES))
    assert_array_equal(np.argwhere(unlabelled.void), [[0, 3]])
    assert_array_equal(unlabelled.clean, labels == 1)
    assert (unlabelled.index, unlabelled.name) == (1, "car")


def test_truth_without_the_class_is_answered_in_words():
    truth = np.zeros((6, 8), dtype=np.uint8)
    with pytest.raises(perturb.TargetError, match=r"^No pixel of 'noise' is 'car' in the ground truth; choose another"):
        frozen("truth", image=picture(6, 8).with_truth(truth, CLASSES))
    with pytest.raises(perturb.TargetError, match=r"^The ground truth of 'noise' has no class 'car'; choose another"):
        frozen("truth", image=picture(6, 8).with_truth(truth, ("sky", "bus")))
    # One pixel is a region.
    truth[5, 7] = 1
    assert frozen("truth", image=picture(6, 8).with_truth(truth, CLASSES)).region.sum() == 1


def test_a_class_is_a_name_first_and_an_index_after_that():
    assert [class_index(label, CLASSES) for label in ("car", 0, 2, "1")] == [1, 0, 2, 1]
    assert class_index("2", ("1", "2", "0")) == 1, "each name means its own class"
    assert class_index(2, ("1", "2", "0")) == 2
    assert class_index("0" * 8 + "1", CLASSES) == 1
    for label in (3, -1, "3", "-1", "1.0", "0" * 9 + "1", "²", ""):
        with pytest.raises(perturb.TargetError, match=rf"no class '{label}'; expected one of: sky, car, road\.$"):
            class_index(label, CLASSES)
    many = tuple(f"n{index}" for index in range(25))
    for count, end in ((24, "n22, n23."), (25, "n22, n23, ….")):
        with pytest.raises(perturb.TargetError) as told:
            class_index("car", many[:count])
        assert str(told.value).endswith(end)


def test_shares_by_hand():
    """Sky and tree have as many pixels: then the first class comes first. Labels past the last name count for nothing."""
    labels = np.array([[3, 3, 0, 0, 2], [1, 1, 1, 1, 9]])
    assert shares(labels, ("sky", "car", "road", "tree", "bus")) == [
        ("car", 0.4),
        ("sky", 0.2),
        ("tree", 0.2),
        ("road", 0.1),
    ]
    # Three sizes among 300 classes: within a size, the classes stay in their order.
    sizes = np.random.default_rng(0).integers(1, 4, 300)
    found = shares(np.repeat(np.arange(300), sizes), tuple(str(index) for index in range(300)))
    expected = sorted(range(300), key=lambda index: (-sizes[index], index))
    assert [int(name) for name, _ in found] == expected


def test_an_absent_class_names_the_six_largest():
    labels = np.repeat(np.arange(8), [9, 8, 7, 6, 5, 4, 1, 0]).reshape(5, 8)
    names = ("a", "b", "c", "d", "e", "f", "g", "h")
    with pytest.raises(perturb.TargetError) as told:
        perturb.Target("h").freeze(picture(5, 8), labels, names)
    assert "predicted are: a (22.5%), b (20.0%), c (17.5%), d (15.0%), e (12.5%), f (10.0%). Choose" in str(told.value)


def test_moved_to_another_segmenter_a_class_keeps_its_name_and_its_region():
    before = frozen("component:1,2", "iou")
    labels = np.full((6, 8), 2, dtype=np.int64)
    labels[2, 2] = 0
    after = before.moved_to(labels, ("car", "sky", "road"))
    assert (after.index, after.name, after.window, after.target) == (0, "car", before.window, before.target)
    assert_array_equal(np.argwhere(after.clean), [[2, 2]])
    assert_array_equal(after.labels, labels)
    assert_array_equal(after.region, before.region)
    assert_array_equal(after.reference, before.reference)
    with pytest.raises(perturb.TargetError, match="no class 'car'"):
        before.moved_to(labels, ("bus", "sky", "road"))


def test_a_digest_tells_any_two_regions_apart():
    one = frozen("component:1,2")
    void = np.zeros((6, 8), dtype=bool)
    void[0, 0] = True
    others = [
        frozen("component:6,4"),
        frozen("class"),
        replace(one, window=(0, 0, 8, 6)),
        replace(one, reference=one.clean),
        replace(one, region=one.clean),
        replace(one, void=void),
        replace(one, void=~void),
        replace(one, region=one.region.reshape(8, 6), reference=one.reference.reshape(8, 6)),
    ]
    digests = [made.digest() for made in (one, *others)]
    assert len(set(digests)) == len(digests)
    assert all(len(digest) == 32 and set(digest) <= set("0123456789abcdef") for digest in digests)
    assert one.digest() == frozen("component:1,2").digest() == frozen("component:1,2", "iou").digest()


def test_a_digest_is_what_it_is_said_to_be():
    """blake2b of the packed bits by hand: links and saved results are compared by it."""
    made = replace(frozen("pixel:1,0"), void=None)
    bits = {True: bytes([0b01000000, 0, 0, 0, 0, 0]), False: np.packbits(scene()[1] == 1).tobytes()}
    text = bits[True] + bits[False] + b"((6, 8), (1, 0, 2, 1))"
    assert made.digest() == hashlib.blake2b(text, digest_size=16).hexdigest()


def test_the_record_of_a_target():
    class Other:
        name, digest = "other", "abc"

    target = frozen("component:1,2", "iou")
    plain = {"label": "car", "region": "component:1,2", "score": "iou", "region_pixels": 4}
    assert target.as_dict() == plain
    assert frozen("class", label="1").as_dict() == {
        "label": "car",
        "region": "class",
        "score": "logit",
        "region_pixels": 7,
    }
    assert replace(target, first=Other()).as_dict() == plain | {"region_of": ["other", "abc"]}


@pytest.mark.parametrize(
    "region", ["class:", "all:1", "truth:0", "pixel:1,2,3", "pixel:1.0,2", "pixel:1234567890,0", "box"]
)
def test_a_region_has_its_kind_and_as_many_numbers_as_it_needs(region):
    if region == "class:":
        assert perturb.Target("car", region=region).parts() == ("class", ())
        return
    with pytest.raises(perturb.TargetError, match="There is no region"):
        perturb.Target("car", region=region)


def test_a_region_may_have_spaces_and_signs():
    assert perturb.Target("car", region="box: -1, 2 ,3,123456789").parts() == ("box", (-1, 2, 3, 123456789))
