"""Choosing a segmenter in the sidebar: weights that are not here, files that are broken, and pictures that suit it."""

import io

import pytest
import torch

import perturb
from pages.parts import shell
from perturb.samples import DEFAULT_SAMPLE, EVERY, PHOTOGRAPHS, offered
from perturb.segmenters import SEGMENTERS
from tests.test_pages import visit, words
from tests.test_torchvision import framework, publish

NAME = "lraspp-mobilenet"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    shell.load.clear()
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    yield folder
    shell.load.clear()


@pytest.mark.usefixtures("cache")
def test_weights_that_are_not_here_are_offered_and_the_default_stands_in(monkeypatch):
    publish(monkeypatch, NAME, "http://127.0.0.1:9", b"")
    app = visit(segmenter=NAME)
    assert not app.exception
    assert "not here yet; until they are, streets-unet stands in" in words(app.sidebar)
    assert app.sidebar.selectbox(key="sample").options == list(perturb.SAMPLES)
    button = app.sidebar.button(key="download")
    assert button.label == "Download (12 MB)"
    button.click().run()
    assert not app.exception
    assert "cannot be downloaded" in app.sidebar.error[0].value
    assert "streets-shortcut" in app.sidebar.error[0].value


def test_with_its_weights_a_segmenter_comes_with_photographs(cache, monkeypatch):
    buffer = io.BytesIO()
    torch.save(framework(NAME).state_dict(), buffer)
    name = publish(monkeypatch, NAME, "http://127.0.0.1:9", buffer.getvalue())
    (cache / name).write_bytes(buffer.getvalue())
    app = visit(segmenter=NAME)
    assert not app.exception
    assert not app.error
    assert app.sidebar.selectbox(key="sample").options == [*PHOTOGRAPHS, *perturb.SAMPLES]
    assert app.session_state["image"].name == "cat"
    app.sidebar.selectbox(key="segmenter").select("streets-unet").run()
    assert not app.exception
    assert app.session_state["image"].name == DEFAULT_SAMPLE


def test_a_broken_file_is_named_and_the_default_stands_in(cache):
    (cache / SEGMENTERS[NAME].weights().path.name).write_bytes(b"no weights")
    app = visit(segmenter=NAME)
    assert not app.exception
    assert "not the published ones" in app.sidebar.error[0].value
    assert app.session_state["segmenter_name"] == "streets-unet"


def test_a_method_that_needs_layers_is_shown_with_the_reason_why_not():
    class Plain(perturb.Segmenter):
        def logits(self, batch):
            return torch.cat([batch[:, :1], 1 - batch[:, :1]], 1)

    perturb.register("plain", lambda device: Plain("plain", classes=["red", "other"], device=device))
    try:
        # The check of a method runs nothing by itself, and cannot be made for this segmenter either.
        for page, view in (("ablation_cam", {}), ("faithfulness", {"fai_view": "sanity"})):
            app = visit(page, segmenter="plain", **view)
            assert not app.exception
            assert "**Seg-Ablation-CAM** is not available. The segmenter 'plain' is no torch network" in words(app)
        assert "so this check cannot reach its weights" in app.info[0].value
    finally:
        del SEGMENTERS["plain"]
        shell.load.clear()


def test_photographs_are_those_of_scikit_image_and_are_offered_where_their_class_is():
    assert list(offered(["background", "cat", "person"])) == [*PHOTOGRAPHS, *perturb.SAMPLES]
    assert list(offered(["person"]))[:1] == ["astronaut"]
    assert list(offered(["road", "car"])) == list(perturb.SAMPLES)
    assert perturb.sample("cat").pixels.shape == (300, 451, 3)
    assert perturb.sample("astronaut").pixels.shape == (512, 512, 3)
    assert set(EVERY) == {*perturb.SAMPLES, *PHOTOGRAPHS}
