"""The choice of a segmenter in the sidebar, and the Segmenters page: prediction, catalogue, architecture, own networks."""

import io
import re

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

import perturb
from pages.parts.app import shell
from pages.parts.segmenters import recipes, truth
from perturb.engine.runner import clean_logits
from perturb.images.image import image_from_pixels
from perturb.images.samples import DEFAULT_SAMPLE, EVERY, PHOTOGRAPHS, offered
from perturb.segmenters.registry import SEGMENTERS
from perturb.targets.quality import correctness
from tests.pages.test_pages import visit, words
from tests.segmenters.onnx.test_layers import Net, exported
from tests.segmenters.test_torchvision import framework, publish

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
def test_missing_weights_are_offered_and_the_default_is_used(monkeypatch):
    publish(monkeypatch, NAME, "http://127.0.0.1:9", b"")
    app = visit(segmenter=NAME)
    assert not app.exception
    assert "have not been downloaded yet. Until then, streets-unet is used" in words(app.sidebar)
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


def test_a_broken_file_is_named_and_the_default_is_used(cache):
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
        for page, view in (("inspect", {}), ("faithfulness", {"fai_view": "sanity"})):
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


def test_a_prediction_is_measured_against_its_truth():
    app = visit("segmenters", sample="quiet-street")
    assert not app.exception
    assert not app.error
    image, segmenter = perturb.sample("quiet-street"), perturb.load_segmenter()
    logits = clean_logits(image, segmenter)
    said, known = logits.argmax(0).numpy(), image.truth != 255
    right = (said == image.truth)[known]
    text = words(app)
    assert f"Pixel accuracy **{right.mean():.1%}**" in text
    assert f"Mean **{float(logits.softmax(0).amax(0).mean()):.3f}**" in text
    assert re.search(r"Most common error: [\d,]+ pixels of \w+ are predicted as \w+\.", text)
    table = app.dataframe[0].value.set_index("class")
    for index, name in enumerate(segmenter.classes):
        hit, either = (
            ((said == index) & (image.truth == index))[known],
            ((said == index) | (image.truth == index))[known],
        )
        expected = hit.sum() / either.sum() if either.any() else np.nan
        assert table.loc[name, "iou"] == (f"{expected:.3f}" if np.isfinite(expected) else "n/a")
    assert table.loc["bicyclist", "iou"] == "n/a", "an absent class has no IoU"


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([0, 1, 0, 0], "mean IoU over 2 classes **0.583**."),
        (
            [0, 1, 2, 0],
            "over 3 classes **0.500**. 1 class is predicted but absent from the ground truth; it counts as IoU 0.",
        ),
        (
            [0, 1, 2, 3],
            "over 4 classes **0.250**. 2 classes are predicted but absent from the ground truth; each counts as IoU 0.",
        ),
    ],
)
def test_classes_that_are_only_predicted_are_counted_in_words(labels, told):
    classes = ("road", "car", "sky", "tree")
    known = np.array([[0, 1, 1, 0]])
    image = image_from_pixels(np.zeros((1, 4, 3), np.float32), name="strip", truth=known, truth_classes=classes)
    assert truth.sentence(correctness(np.array([labels]), image, classes)).endswith(told)


class Plain(perturb.Segmenter):
    def logits(self, batch):
        return torch.cat([batch[:, :1], 1 - batch[:, :1]], 1)


@pytest.mark.parametrize(
    ("first", "query", "told"),
    [
        ("cat", {"sample": "cat"}, "The image 'cat' has no ground truth"),
        ("car", {"sample": "rain"}, "lacks 10 classes of the ground truth: "),
        ("red", {}, "shares no class with the segmenter"),
    ],
)
def test_missing_ground_truth_is_answered_in_words(first, query, told):
    perturb.register("plain", lambda device: Plain("plain", classes=[first, "other"], device=device))
    try:
        app = visit("segmenters", segmenter="plain", **query)
        assert not app.exception
        assert told in words(app)
        if first == "car":
            image = perturb.sample("rain")
            hidden = image.pixels[:, :, 0] <= 0.5
            car = image.truth == image.truth_classes.index("car")
            expected = f"{int((car & hidden).sum()):,} pixels of car are predicted as other"
            assert expected in words(app)
            assert "all metrics are optimistic" in words(app)
    finally:
        del SEGMENTERS["plain"]
        shell.load.clear()


def test_the_catalogue_has_a_card_for_each_and_chooses():
    app = visit("segmenters", seg_view="catalogue")
    assert not app.exception
    text = words(app)
    assert all(f"### {name}" in text or name in text for name in SEGMENTERS)
    assert "**Mean IoU:** **0.719** on CamVid val, 101 photographs of streets (measured by this project)" in text
    assert "54,314,346 parameters, 207.7 MB" in text
    assert app.button(key="seg_use_streets-unet").disabled
    app.button(key="seg_use_streets-shortcut").click().run()
    assert not app.exception
    assert app.sidebar.selectbox(key="segmenter").value == "streets-shortcut"
    assert app.button(key="seg_use_streets-shortcut").disabled


def tree(app):
    return " ".join(re.sub(r"<[^>]+>", " ", element.proto.body) for element in app.get("html"))


def test_the_architecture_is_a_tree_with_a_part_to_look_at():
    app = visit("segmenters", seg_view="architecture", seg_part="decoder3.mix.conv")
    assert not app.exception
    module = perturb.load_segmenter().module
    text = words(app)
    assert f"**{sum(weights.numel() for weights in module.parameters()):,} parameters**" in text
    assert "The catalogue lists 1,688,523" in text
    assert app.selectbox(key="seg_part").options == [name for name, _ in module.named_modules() if name]
    assert f"`Conv2d`, 96 × 46 × 60, {96 * 96 * 9 + 96:,} parameters" in text
    assert re.search(
        rf"mix\s+conv\s+Conv2d\s+96 × 46 × 60\s+{96 * 96 * 9 + 96:,} parameters",
        re.sub(r"mix .*?conv ", "mix conv ", tree(app)),
    )
    table = app.dataframe[0].value.set_index("type")
    assert table.loc["Conv2d", "count"] == sum(isinstance(part, torch.nn.Conv2d) for part in module.modules())
    app.selectbox(key="seg_part").select("decoder3.mix.norm").run()
    assert "This part cannot be explained as a layer." in words(app)


def test_a_visitors_graph_has_parts_too():
    app = AppTest.from_file("../../streamlit_app.py", default_timeout=120)
    app.session_state["own_segmenter"] = exported(Net().eval())
    for name, value in {"segmenter": "model", "seg_view": "architecture"}.items():
        app.query_params[name] = value
    app.switch_page("pages/segmenters.py")
    app.run()
    app.run()
    assert not app.exception
    weights = sum(weights.numel() for weights in Net().parameters())
    assert f"**model**: 8 nodes with **{weights} parameters**; output shape on this image: 3 × 360 × 480" in words(app)
    app.segmented_control(key="seg_view").set_value("catalogue").run()
    assert not app.exception
    assert "Your own network. It is kept in memory until you leave." in words(app)


def test_custom_code_has_no_architecture_and_the_page_says_so():
    perturb.register("plain", lambda device: Plain("plain", classes=["red", "other"], device=device))
    try:
        app = visit("segmenters", segmenter="plain", seg_view="architecture")
        assert not app.exception
        assert "is no torch network, so its layers cannot be reached" in app.info[0].value
    finally:
        del SEGMENTERS["plain"]
        shell.load.clear()


def test_the_advice_is_the_tested_one():
    app = visit("segmenters", seg_view="bring-your-own")
    assert not app.exception
    document = recipes.EXPORT.read_text()
    shown = [element.value for element in app.markdown]
    for name in (*recipes.FRAMEWORKS, "Let the file say the rest"):
        assert recipes.chapters()[name] in shown
        (code, *_) = re.findall(r"```python.*?```", recipes.chapters()[name], flags=re.DOTALL)
        assert code in document
    assert recipes.chapters()["PyTorch"].startswith("```bash\npip install onnx onnxscript\n```\n")
    (hindrances,) = (
        text for text in shown if "- *a map of class indices*: the graph ends with `argmax`; remedy: export" in text
    )
    assert len(hindrances.splitlines()) == document.partition("What gets in the way")[2].count("\n|") - 2
    assert any("class Mine(perturb.Segmenter)" in text for text in shown)
