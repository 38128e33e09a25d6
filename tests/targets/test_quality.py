"""How right a segmentation is, on a picture of ten pixels, worked out by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import perturb
from perturb.images.image import image_from_pixels
from perturb.targets.quality import correctness, iou_by_class, mean_iou, overlap, pixel_accuracy, true_labels

CLASSES = ("road", "car", "tree", "boat")
TRUTH = np.array([[0, 0, 0, 1, 1], [2, 2, 3, 255, 1]], dtype=np.uint8)  # of the names below
NAMES = ("road", "car", "hedge", "lamp")
SAID = np.array([[0, 0, 1, 1, 0], [2, 2, 0, 0, 1]])


def street(truth=TRUTH, names=NAMES):
    return image_from_pixels(np.zeros((2, 5, 3), np.float32), name="street", truth=truth, truth_classes=names)


def test_figures_by_hand():
    seen = correctness(SAID, street(), CLASSES)
    assert_array_equal(seen.truth, [[0, 0, 0, 1, 1], [255, 255, 255, 255, 1]])
    assert_array_equal(seen.wrong, [[0, 0, 1, 0, 1], [0, 0, 0, 0, 0]])
    assert_array_equal(seen.matrix, [[2, 1, 0, 0], [1, 2, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    assert_allclose(pixel_accuracy(seen.matrix), 4 / 6)
    assert_allclose(iou_by_class(seen.matrix), [2 / 4, 2 / 4, np.nan, np.nan])
    assert_allclose(mean_iou(seen.matrix), 0.5)
    assert seen.present == [0, 1]
    assert seen.compared == 0.6
    assert_allclose(seen.shares[:2], [[2 / 3, 1 / 3, 0, 0], [1 / 3, 2 / 3, 0, 0]])
    assert np.isnan(seen.shares[2:]).all()
    assert seen.worst() in (("road", "car", 1), ("car", "road", 1))
    # Two hedge pixels and a lamp among nine that are labelled.
    assert seen.unknown == {"hedge": pytest.approx(2 / 9), "lamp": pytest.approx(1 / 9)}
    values = np.arange(10.0).reshape(2, 5)
    assert seen.means(values) == ((0 + 1 + 3 + 9) / 4, (2 + 4) / 2)


def test_a_perfect_and_an_empty_comparison():
    own = street(np.array([[0, 0, 0, 1, 1], [2, 2, 2, 255, 1]], dtype=np.uint8), ())
    perfect = correctness(np.where(own.truth == 255, 3, own.truth).astype(int), own, CLASSES)
    assert pixel_accuracy(perfect.matrix) == mean_iou(perfect.matrix) == 1
    assert perfect.worst() is None
    assert perfect.unknown == {}
    assert perfect.means(np.ones((2, 5))) == (1.0, None)
    assert perfect.present == [0, 1, 2], "what is said where nothing is labelled counts for nothing"
    empty = correctness(SAID, street(np.full((2, 5), 255, np.uint8)), CLASSES)
    assert np.isnan(mean_iou(empty.matrix))
    assert np.isnan(pixel_accuracy(empty.matrix))
    assert (empty.present, empty.compared, empty.means(np.ones((2, 5)))) == ([], 0.0, (None, None))


def test_names_that_do_not_fit_are_answered_in_words():
    with pytest.raises(perturb.TargetError, match="shares no class with the segmenter; its classes are hedge, lamp"):
        correctness(SAID, street(names=("hedge", "lamp")), CLASSES)
    with pytest.raises(perturb.TargetError, match="has no ground truth"):
        correctness(SAID, street(truth=None, names=()), CLASSES)


def test_an_asymmetric_confusion_by_hand():
    """Rows are true and columns predicted: road 3 of 4 right, car 1 of 2, tree never true, boat a single pixel."""
    matrix = np.array([[3, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]])
    assert_allclose(iou_by_class(matrix), [3 / 5, 1 / 2, 0, 1])
    assert iou_by_class(matrix).dtype == np.float64
    assert mean_iou(matrix) == pytest.approx((0.6 + 0.5 + 0 + 1) / 4)
    assert pixel_accuracy(matrix) == pytest.approx(5 / 7)
    assert mean_iou(matrix[:1, :1]) == 1


def test_pixels_of_one_class_in_truth_and_prediction():
    truth = np.array([[1, 1, 0, 255], [1, 0, 0, 255]])
    said = np.array([[1, 0, 1, 1], [1, 1, 0, 0]])
    both = overlap(said, truth, 1)
    assert_array_equal(both.truth, [[1, 1, 0, 0], [1, 0, 0, 0]])
    assert_array_equal(both.prediction, [[1, 0, 1, 0], [1, 1, 0, 0]])
    assert_array_equal(both.missed, [[0, 1, 0, 0], [0, 0, 0, 0]])
    assert_array_equal(both.invented, [[0, 0, 1, 0], [0, 1, 0, 0]])
    assert both.iou == 2 / 5
    # The label of unannotated pixels is not a class, even if its own index is requested.
    assert not overlap(said, truth, 255).truth.any()
    assert np.isnan(overlap(said, truth, 7).iou)


def test_truth_is_in_the_segmenters_own_indices():
    """Without names an index is an index, as far as the segmenter has classes; with names, the name decides."""
    bare = street(np.array([[0, 1, 3, 4, 5], [200, 254, 255, 2, 3]], dtype=np.uint8), ())
    expected = [[0, 1, 3, 255, 255], [255, 255, 255, 2, 3]]
    assert_array_equal(true_labels(bare, CLASSES), expected)
    named = street(np.array([[0, 1, 2, 3, 255], [1, 1, 9, 0, 0]], dtype=np.uint8), ("boat", "road", "hedge", "car"))
    assert_array_equal(true_labels(named, CLASSES), [[3, 0, 255, 1, 255], [0, 0, 255, 3, 3]])
    assert true_labels(bare, CLASSES).dtype == true_labels(named, CLASSES).dtype == np.int64


def test_classes_that_the_segmenter_has_no_name_for_come_largest_first():
    """Of nine labelled pixels four are hedge, two lamp, and two of a class without any name."""
    truth = np.array([[3, 3, 0, 2, 2], [2, 2, 17, 17, 255]], dtype=np.uint8)
    seen = correctness(SAID, street(truth, ("road", "car", "hedge", "lamp")), CLASSES)
    assert list(seen.unknown) == ["hedge", "lamp", "class 17"]
    assert list(seen.unknown.values()) == [4 / 9, 2 / 9, 2 / 9]
    # One labelled pixel alone is all that is labelled; and the index after the last name has none.
    alone = np.full((2, 5), 255, dtype=np.uint8)
    alone[1, 1] = 4
    assert correctness(SAID, street(alone, NAMES), CLASSES).unknown == {"class 4": 1.0}
    assert correctness(SAID, street(alone, ()), CLASSES).unknown == {"class 4": 1.0}


def test_a_sentence_lists_a_dozen_classes_at_most():
    names = tuple(f"n{index}" for index in range(30))
    with pytest.raises(perturb.TargetError) as told:
        true_labels(street(names=names), CLASSES)
    assert str(told.value).endswith("its classes are n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11.")
