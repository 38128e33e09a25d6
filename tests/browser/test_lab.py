"""`perturb lab` with a segmenter and a folder of one's own: both are chosen, a map is made, and links hold names alone."""

import sys

import numpy as np
import PIL.Image
import pytest
from playwright.sync_api import expect

import perturb

from .driver import ROOT, free_port, open_page, query, serve_by, wait_idle
from .lab import RUN_SECONDS, choose

NETS = """
import perturb


class Dark(perturb.Segmenter):
    abilities = frozenset()

    def logits(self, batch):
        import torch

        value = batch.mean(1, keepdim=True)
        return torch.cat([value * 10, (1 - value) * 10], 1)


def make(device):
    return Dark("night-and-day", classes=["bright", "dark"])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A module beside a folder of two images, one of them with a mask of the same stem."""
    work = tmp_path_factory.mktemp("lab")
    (work / "own_nets.py").write_text(NETS)
    images = work / "secret-place"
    images.mkdir()
    pixels = np.full((120, 160, 3), 220, np.uint8)
    pixels[40:80, 60:120] = 20
    mask = np.zeros((120, 160), np.uint8)
    mask[40:80, 60:120] = 1
    PIL.Image.fromarray(pixels).save(images / "a square.webp", lossless=True)
    PIL.Image.fromarray(mask).save(images / "a square.png")
    PIL.Image.fromarray(255 - pixels).save(images / "b.png")
    return work


@pytest.fixture(scope="module")
def url(browser, folder):  # noqa: ARG001 — no server is started in vain where there is no browser
    port = free_port()
    command = [sys.executable, "-m", "perturb", "lab", "--segmenter", "own_nets:make", "--port", str(port)]
    with serve_by(
        [*command, "--images", "secret-place"],
        port,
        folder / "server.log",
        cwd=folder,
        PYTHONPATH=str(ROOT),
        STREAMLIT_SERVER_ADDRESS="127.0.0.1",
        STREAMLIT_SERVER_HEADLESS="true",
        STREAMLIT_SERVER_FILE_WATCHER_TYPE="none",
    ) as address:
        log = (folder / "server.log").read_text()
        assert "segmenter night-and-day, 2 classes" in log
        assert "2 images from" in log
        assert "1 of them with ground truth" in log
        yield address


def test_the_offered_segmenter_and_image_are_chosen_and_give_a_map(page, url, folder, monkeypatch):
    open_page(page, f"{url}/occlusion?occ_class=dark&occ_region=truth&occ_size=40&occ_stride=40")
    assert not page.get_by_test_id("stException").count()
    expect(page.get_by_role("combobox", name="Segmenter")).to_have_value("night-and-day")
    expect(page.get_by_role("combobox", name="Image", exact=True)).to_have_value("a square.webp")
    expect(page.get_by_text("Up to date")).to_be_visible(timeout=RUN_SECONDS)
    expect(page.get_by_text("Raw range:")).to_be_visible(timeout=RUN_SECONDS)
    # The map by the engine itself, of the region that only the mask beside the image can say.
    image = perturb.load_image(folder / "secret-place" / "a square.webp")
    monkeypatch.syspath_prepend(folder)
    segmenter = perturb.load_factory("own_nets:make")
    image = image.with_truth(folder / "secret-place" / "a square.png", segmenter.classes)
    result = perturb.explain(image, segmenter, perturb.Target("dark", region="truth"), size=40, stride=40)
    low, high = (
        f"{value:+.3g}".replace("-", "−") if value else "0" for value in (result.heatmap.min(), result.heatmap.max())
    )
    assert f"{low} to {high} logit" in page.get_by_text("Raw range:").inner_text().replace(" drop in", "")


def test_an_image_is_named_in_the_address_and_no_path_anywhere(new_page, url):
    page = new_page()
    open_page(page, f"{url}/inspect")
    choose(page, "^Image$", "b.png")
    page.wait_for_url("**folder=b.png**", timeout=60_000)
    wait_idle(page, 60)
    assert query(page)["folder"] == "b.png"
    assert "photo" not in query(page)
    other = new_page()
    open_page(other, page.url)
    expect(other.get_by_role("combobox", name="Image", exact=True)).to_have_value("b.png")
    open_page(other, f"{url}/occlusion?sample=dusk&occ_size=180&occ_stride=180")
    expect(other.get_by_role("combobox", name="Sample")).to_have_value("dusk")
    open_page(other, f"{url}/occlusion?folder=b.png&occ_size=40&occ_stride=40")
    expect(other.get_by_role("combobox", name="Image", exact=True)).to_have_value("b.png")
    for shown in (page, other):
        assert "secret-place" not in shown.content()


@pytest.mark.parametrize("wanted", ["../own_nets.py", "/etc/passwd", "secret-place/b.png"])
def test_an_address_names_no_path(page, url, wanted):
    open_page(page, f"{url}/faithfulness?fai_view=cards&source=folder&folder={wanted}&segmenter={wanted}")
    expect(page.get_by_role("combobox", name="Image", exact=True)).to_have_value("a square.webp")
    expect(page.get_by_role("combobox", name="Segmenter")).to_have_value("night-and-day")
    assert not page.get_by_test_id("stException").count()
