"""The controls, against another library's filters."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage

from perturb.metrics.baselines import CONTROLS
from tests.analytic import picture


@pytest.mark.parametrize(("height", "width", "sigma"), [(37, 53, 37 / 20), (90, 61, 61 / 20), (12, 30, 1.0)])
def test_blobs_are_a_twentieth_of_the_shorter_side_wide(height, width, sigma):
    image = picture(height, width)
    noise = CONTROLS["random"].make(
        image, 4
    )  # of another seed than the blobs, so that the two controls are independent
    assert_allclose(
        CONTROLS["blurred-random"].make(image, 3), ndimage.gaussian_filter(noise, sigma, mode="mirror"), atol=1e-4
    )


def test_noise_is_even_and_of_the_size_of_the_image():
    image = picture(80, 120)
    noise = CONTROLS["random"].make(image, 0)
    assert noise.shape == (80, 120)
    counts = np.histogram(noise, 10, (0, 1))[0]
    assert counts.sum() == 9600, "all between 0 and 1"
    assert (abs(counts - 960) < 5 * (9600 * 0.1 * 0.9) ** 0.5).all()
    assert abs(np.corrcoef(noise.ravel(), CONTROLS["random"].make(image, 1).ravel())[0, 1]) < 0.05
    assert abs(np.corrcoef(noise.ravel(), CONTROLS["blurred-random"].make(image, 0).ravel())[0, 1]) < 0.1


def test_edges_are_the_length_of_the_sobel_gradient_of_the_luma():
    image = picture(23, 31, seed=5)
    grey = image.pixels.astype(np.float64) @ (0.299, 0.587, 0.114)  # ITU-R BT.601
    expected = np.hypot(*(ndimage.sobel(grey, axis, mode="mirror") for axis in (0, 1)))
    assert_allclose(CONTROLS["edges"].make(image, 0), expected, atol=1e-5)
    assert_array_equal(CONTROLS["edges"].make(replace(image, name="x"), 9), CONTROLS["edges"].make(image, 0))
