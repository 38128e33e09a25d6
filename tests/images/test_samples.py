"""The bundled samples: described, complete, and the images that results and links name by their digests."""

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from perturb.images.class_names import STREET_CLASSES
from perturb.images.samples import BUNDLED, DEFAULT_SAMPLE, EVERY, SAMPLES, is_sample, sample


def test_samples_are_described():
    assert len(SAMPLES) >= 10
    for name, entry in SAMPLES.items():
        assert entry.name == name
        assert entry.title
        assert entry.sentence.endswith((".", "?"))


def test_the_bundled_files_are_those_of_the_samples():
    parts = {path.name.split(".", 1)[0] for path in BUNDLED.glob("*.png")}
    assert parts == set(SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_drawn_sample_holds_the_values_of_its_files(name):
    image = sample(name)
    pixels = cv2.imread(str(BUNDLED / f"{name}.png"))[:, :, ::-1]
    assert image.pixels.dtype == np.float32
    assert_array_equal(np.rint(image.pixels.astype(np.float64) * 255), pixels)
    assert_array_equal(image.truth, cv2.imread(str(BUNDLED / f"{name}.classes.png"), cv2.IMREAD_UNCHANGED))
    assert image.truth_classes == STREET_CLASSES
    assert image.truth.max() < len(STREET_CLASSES)


def test_the_digest_of_the_default_sample_never_changes():
    # Computed with `hashlib` from the file as it was first published. Saved results and links name it.
    assert sample(DEFAULT_SAMPLE).digest == "18d7c692e9409a9f720481dbc3d82f2e"


def test_a_sample_is_known_by_its_content_and_not_by_its_name():
    assert all(is_sample(sample(name)) for name in EVERY)
    assert not is_sample(sample("rain").without_truth())
