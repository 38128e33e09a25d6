"""How right a segmentation is, on a picture of ten pixels, worked out by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import perturb
from perturb.images.image import image_from_pixels
from perturb.targets.quality import correctness, iou_by_class, mean_iou, pixel_accuracy

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
