"""The images of a session: several uploads, switching between them, ground truth, and broken files."""

import io

import numpy as np
import PIL.Image
import pytest
from numpy.testing import assert_array_equal

import perturb
from tests.images.test_images import damaged_tiff
from tests.pages.test_pages import visit, words

RNG = np.random.default_rng(3)
STREETS = perturb.load_segmenter()


def png(pixels):
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def photograph(seed=0, width=96, height=64):
    return png(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def file(name, data):
    return name, data, "image/png"


@pytest.fixture
def app():
    """A page that computes nothing, with two photographs just uploaded."""
    app = visit("faithfulness", fai_view="cards", source="upload", sample="rain")
    app.sidebar.file_uploader(key="upload_0").set_value(
        [file("one.png", photograph(1)), file("two.png", photograph(2))]
    )
    return app.run()


def digest(seed, **size):
    return perturb.load_image(photograph(seed, **size)).digest


def shown(app):
    return app.session_state["image"]


def test_moving_among_several_uploads_and_taking_them_off_the_list(app):
    assert not app.exception
    assert shown(app).name == "one"
    assert app.query_params["photo"] == digest(1)
    assert list(app.session_state["pictures"]) == ["rain", digest(1), digest(2)]
    assert app.sidebar.button(key=f"open_{digest(1)}").disabled, "it is the one shown"
    assert "upload_1" in {uploader.key for uploader in app.sidebar.file_uploader}, "the uploader is empty again"

    app.sidebar.button(key=f"open_{digest(2)}").click().run()
    assert shown(app).name == "two"
    assert app.query_params["photo"] == digest(2)
    app.query_params["photo"] = digest(1)  # a link to an image of the list opens it
    app.run()
    assert shown(app).name == "one"
    assert not app.warning
    app.sidebar.button(key="open_rain").click().run()
    assert not app.exception
    assert shown(app).name == "rain"
    assert app.sidebar.selectbox(key="sample").value == "rain"
    assert "photo" not in app.query_params

    app.sidebar.button(key="remove_rain").click().run()
    assert shown(app).name == "one", "its neighbour"
    assert app.sidebar.segmented_control(key="source").value == "upload"
    assert list(app.session_state["pictures"]) == [digest(1), digest(2)]
    app.sidebar.button(key=f"remove_{digest(2)}").click().run()
    assert shown(app).name == "one"
    assert not [button for button in app.sidebar.button if str(button.key).startswith("remove_")], "the last one stays"


@pytest.mark.parametrize("broken", [photograph(5)[:200], damaged_tiff(256)], ids=["png", "tiff"])
@pytest.mark.parametrize("place", [0, 1])
def test_one_broken_file_of_several_is_named_and_the_others_come(app, broken, place):
    files = [file("three.png", photograph(3))]
    files.insert(place, file("broken.tif", broken))
    app.sidebar.file_uploader(key="upload_1").set_value(files)
    app.run()
    assert not app.exception
    assert shown(app).name == "three"
    assert [error.value for error in app.sidebar.error] == [
        "broken.tif: The image is broken: its data is truncated or damaged; expected a complete file. "
        "Export or download it again. The previous image is still shown."
    ]


def popover(app):
    """The popover for ground truth; the response to an upload comes before everything else in it."""
    (block,) = app.sidebar.get("popover")
    kinds = [child.type for child in block.children.values()]
    assert kinds.index("file_uploader") > max(
        [place for place, kind in enumerate(kinds) if kind in ("alert", "error", "warning", "success")], default=-1
    )
    return block


def test_a_mask_becomes_the_ground_truth_and_can_be_taken_away(app):
    labels = np.zeros((64, 96), dtype=np.uint8)
    labels[:, 48:] = STREETS.classes.index("car")
    labels[:8] = 255
    app.sidebar.file_uploader(key="mask_0").set_value(file("mask.png", png(STREETS.palette[np.minimum(labels, 10)])))
    app.run()
    assert not app.exception
    expected = np.where(labels == 255, 10, labels)
    assert_array_equal(shown(app).truth, expected)
    assert shown(app).truth_classes == STREETS.classes
    app.sidebar.file_uploader(key="mask_1").set_value(file("mask.png", png(labels)))
    app.run()
    assert_array_equal(shown(app).truth, labels)
    assert f"Ground truth: {STREETS.classes[0]} 43.8%, car 43.8%, no class 12.5%." in words(app.sidebar)
    # The other images are unaffected, and the mask is still there on return.
    app.sidebar.button(key=f"open_{digest(2)}").click().run()
    assert shown(app).truth is None
    app.sidebar.button(key=f"open_{digest(1)}").click().run()
    assert_array_equal(shown(app).truth, labels)
    app.sidebar.button(key="mask_away").click().run()
    assert shown(app).truth is None


def test_a_mask_of_another_size_or_with_other_values_is_refused_in_words(app):
    app.sidebar.file_uploader(key="mask_0").set_value(file("mask.png", png(np.zeros((64, 64), dtype=np.uint8))))
    app.run()
    assert popover(app).error[0].value.startswith("mask.png: The ground truth does not fit the image: got 64 × 64 px")
    app.sidebar.file_uploader(key="mask_1").set_value(file("mask.png", png(np.full((64, 96), 99, dtype=np.uint8))))
    app.run()
    assert "values that are not classes of the segmenter: got 99" in app.sidebar.error[0].value
    assert shown(app).truth is None


def test_a_void_label_is_refused_with_the_offer_to_ignore_it(app):
    labels = np.zeros((64, 96), dtype=np.uint8)
    labels[:, 48:], labels[:8] = STREETS.classes.index("car"), 11
    app.sidebar.file_uploader(key="mask_0").set_value(file("mask.png", png(labels)))
    app.run()
    sentence = "mask.png: 11 is none of the classes 0 … 10, and 12.5% of the pixels hold it: treat it as void?"
    assert [warning.value for warning in popover(app).warning] == [sentence]
    assert shown(app).truth is None
    popover(app).button(key="mask_void").click().run()
    assert not app.exception
    assert not app.sidebar.warning
    assert (
        shown(app).key
        == perturb.load_image(photograph(1)).with_truth(np.where(labels == 11, 255, labels), STREETS.classes).key
    )
    assert (
        f"Ground truth: {STREETS.classes[0]} 43.8%, car 43.8%, no class 12.5%; void: 11."
        in popover(app).success[0].value
    )
    app.sidebar.button(key="mask_away").click().run()
    assert shown(app).truth is None

    # So many unknown values are another set of classes, and a mask of void alone is no ground truth.
    for number, values in enumerate((np.arange(64 * 96).reshape(64, 96) % 40, np.full((64, 96), 11)), start=1):
        app.sidebar.file_uploader(key=f"mask_{number}").set_value(file("mask.png", png(values.astype(np.uint8))))
        app.run()
        assert "values that are not classes of the segmenter" in app.sidebar.error[0].value
        assert "mask_void" not in {button.key for button in app.sidebar.button}


def test_a_mask_explains_the_true_region_and_a_new_mask_is_a_new_result(app):
    labels = np.zeros((64, 96), dtype=np.uint8)
    labels[20:40, 30:90] = STREETS.classes.index("car")
    app.sidebar.file_uploader(key="mask_0").set_value(file("mask.png", png(labels)))
    app.run()
    app.switch_page("pages/occlusion.py")
    link = {"source": "upload", "occ_size": "64", "occ_stride": "64", "occ_class": "car", "occ_region": "truth"}
    for name, value in link.items():
        app.query_params[name] = value
    app.run()
    app.run()
    assert not app.exception
    assert int(app.session_state["occ_run_made"][1].result.frozen.region.sum()) == 1200
    labels[30:] = 0
    app.sidebar.file_uploader(key="mask_1").set_value(file("mask.png", png(labels)))
    app.run()
    assert app.button(key="occ_run").disabled, (
        "an image with another mask is another image, whose run starts automatically"
    )
    assert int(app.session_state["occ_run_made"][1].result.frozen.region.sum()) == 600


def test_a_shot_of_the_camera_joins_the_list():
    buffer = io.BytesIO()
    PIL.Image.fromarray(RNG.integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(buffer, format="JPEG")
    app = visit("faithfulness", fai_view="cards", source="camera", sample="rain")
    app.sidebar.camera_input(key="camera_0").set_value(("shot.jpg", buffer.getvalue(), "image/jpeg"))
    app.run()
    assert not app.exception
    assert shown(app).name == "camera-1"
    shot = perturb.load_image(buffer.getvalue()).digest
    assert list(app.session_state["pictures"]) == ["rain", shot]
    app.sidebar.button(key="open_rain").click().run()
    app.sidebar.button(key=f"open_{shot}").click().run()
    assert shown(app).digest == shot
    assert app.sidebar.segmented_control(key="source").value == "upload", "the camera is not switched on again"
