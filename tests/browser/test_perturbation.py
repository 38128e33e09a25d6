"""The perturbation page in a real browser: each method from its link to its raw arrays."""

import base64
import io
import json
import re

import numpy as np
import PIL.Image
import pytest
from numpy.testing import assert_array_equal
from playwright.sync_api import Page, expect

import perturb
from perturb.core.colour import limit_of, overlay

from .driver import open_page, query
from .lab import LIME, RUN_SECONDS, download, numbers

SLIC = "per_segments=slic&per_count=11"
LINKS = {
    "feature-ablation": SLIC,  # the first method is the default, and left out of links
    "lime": LIME,
    "kernel-shap": f"per_method=kernel-shap&{SLIC}&per_samples=100",
    "rise": "per_method=rise&per_masks=100",
}


def drawn_map(page: Page) -> np.ndarray:
    source = page.locator("[class*=st-key-per_map_picker]").locator("img").first.get_attribute("src")
    return np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).convert("RGB"))


def borders(segments: np.ndarray) -> np.ndarray:
    """Pixels whose left or upper neighbour belongs to another segment."""
    found = np.zeros(segments.shape, dtype=bool)
    for (y, x), segment in np.ndenumerate(segments):
        found[y, x] = (x and segments[y, x - 1] != segment) or (y and segments[y - 1, x] != segment)
    return found


@pytest.mark.parametrize(
    "method",
    [
        # The others run without a browser each time, see test_pages.
        pytest.param(name, marks=[pytest.mark.long] if name != "lime" else [])
        for name in LINKS
    ],
)
def test_a_method_from_its_link_to_its_raw_arrays(new_page, app_url, method):
    page = new_page()
    open_page(page, f"{app_url}/perturbation?{LINKS[method]}")
    seen = numbers(page)
    assert query(page).get("per_method", "feature-ablation") == method
    archive = download(page, "Download everything")
    record = json.loads(archive.read("result.json"))
    arrays = {name: np.load(io.BytesIO(archive.read(name))) for name in archive.namelist() if name.endswith(".npy")}
    heatmap = arrays["heatmap.npy"]
    assert record["method"] == method
    assert heatmap.shape == (360, 480)
    assert heatmap.dtype == np.float32
    assert len(archive.read("readings.csv").splitlines()) == 1 + (record["forwards"] - 97 - 1)

    image = perturb.sample("quiet-street")
    values = heatmap - np.float32(record["heatmap"]["neutral"])
    plain = overlay(image.pixels, values, limit=limit_of(values), opacity=0.65)
    differs = (drawn_map(page) != plain).any(2)
    assert differs.any(), "the explained region is outlined"
    if method == "rise":
        assert "segments.npy" not in arrays
        assert differs.mean() < 0.02
    else:
        segments = arrays["segments.npy"]
        count = len(np.unique(segments))
        expect(page.get_by_text(f"{count} segments (asked for about 11)")).to_be_visible()
        edge = borders(segments)
        assert differs[edge].mean() > 0.9, "segments are outlined"
        assert differs[~edge].mean() < 0.02, "and nothing else but the region"
        for segment in range(count):
            assert_array_equal(np.ptp(heatmap[segments == segment]), 0)
    fit = page.get_by_text(re.compile(r"fit R²"))
    if method == "lime":
        expect(fit).to_contain_text(f"fit R² {record['facts']['r2']:.3g}")
    else:
        expect(fit).to_have_count(0)

    other = new_page()  # the address alone leads to the same result
    open_page(other, page.url, RUN_SECONDS / 1000)
    assert numbers(other) == seen
