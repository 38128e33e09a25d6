"""The form for a visitor's network: presets, numbers, order, what each preset predicts, and heavy networks."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import perturb
from pages.parts.segmenters import onnx_form, onnx_scales
from perturb.segmenters.onnx.spec import read_spec
from tests import onnx_files as files
from tests.pages.test_pages import visit, words
from tests.segmenters.onnx.test_inputs import linear

PRESETS = ["imagenet", "unit", "symmetric", "bytes", "centred"]


def upload(made, **query):
    return replace(visit("segmenters", seg_view="bring-your-own", sample="rain", **query), made)


def replace(app, made, name="net.onnx"):
    """Upload a file in the place of the one before."""
    app.file_uploader(key="onnx_file").set_value((name, files.save(made), "application/octet-stream"))
    return app.run()


def key(app, field):
    """Of a field of the form that belongs to the file that is uploaded."""
    return f"onnx_{app.file_uploader(key='onnx_file').value.file_id}_{field}"


def numbers(app):
    return tuple(app.session_state[key(app, field)] for field in ("scale", "range", "mean", "std"))


def use(app):
    """Take the network; the one that is then explained."""
    app.button(key="onnx_use").click().run()
    assert not app.exception
    return app.session_state["own_segmenter"]


def taken(app):
    """The presets whose predictions are shown."""
    return [
        button.key.removeprefix("open_scale_") for button in app.button if str(button.key).startswith("open_scale_")
    ]


def test_a_preset_sets_the_numbers_and_numbers_choose_their_preset():
    app = upload(linear())
    assert not app.exception
    assert numbers(app) == ("imagenet", 1.0, "0.485,0.456,0.406", "0.229,0.224,0.225")
    assert taken(app) == PRESETS
    assert app.button(key="open_scale_imagenet").disabled
    app.button(key="open_scale_centred").click().run()
    assert numbers(app) == ("centred", 255.0, "128", "256")
    assert use(app).spec.scale == "centred"
    app.selectbox(key=key(app, "order")).select("BGR").run()
    app.selectbox(key=key(app, "scale")).select("imagenet").run()
    assert numbers(app)[2:] == ("0.406,0.456,0.485", "0.225,0.224,0.229"), "the numbers belong to the colours"
    assert use(app).load_options == {"order": "BGR", "scale": "imagenet"}
    app.text_input(key=key(app, "mean")).set_value("103.53, 116.28, 123.675").run()
    assert numbers(app)[0] == "own"
    app.text_input(key=key(app, "std")).set_value("1").run()
    app.selectbox(key=key(app, "range")).select(255.0).run()
    own = use(app)
    assert own.load_options == {"order": "BGR", "scale": "bytes", "mean": "103.53,116.28,123.675", "std": "1"}
    assert "(x − (103.53, 116.28, 123.675)) of values x in 0 … 255" in str(own.spec)
    app.text_input(key=key(app, "mean")).set_value("0").run()
    assert numbers(app)[0] == "bytes"
    app.text_input(key=key(app, "mean")).set_value("much").run()
    assert not app.exception
    assert "'mean' must be one number or one for each channel" in app.error[0].value
    app.segmented_control(key="seg_view").set_value("catalogue").run()
    assert "(x − (103.53, 116.28, 123.675)) of values x in 0 … 255" in words(app), "the card says which values"


def test_the_thumbnails_are_the_predictions_of_the_presets(monkeypatch):
    drawn = {}
    monkeypatch.setattr(onnx_scales, "_thumbnail", lambda prefix, scale, order, shown: drawn.setdefault(scale, shown))
    onnx_scales._predict.clear()
    made = linear(kernel=np.array([[1.0, 1.0, 1.0], [-1.0, 2.0, -1.0], [0.5, -3.0, 0.5]]))
    upload(made)
    image = perturb.sample("rain")
    expected = {}
    for scale in PRESETS:
        segmenter = perturb.load_onnx(files.save(made), scale=scale, name="net.onnx")
        labels, _, error = onnx_scales._predict(segmenter.digest, image.digest, segmenter, image, True)
        assert not error
        expected[scale] = labels
    assert list(drawn) == PRESETS
    for scale in PRESETS:
        assert_array_equal(drawn[scale], expected[scale])
        assert max(drawn[scale].shape) == onnx_scales.SIDE
    assert len({shown.tobytes() for shown in drawn.values()}) >= 4, "the presets make a difference"


def test_a_grey_network_has_the_presets_of_one_number():
    app = upload(linear(1))
    assert not app.exception
    assert taken(app) == ["unit", "symmetric", "bytes", "centred"]
    assert use(app).spec.order == "grey"


def test_a_heavy_network_runs_nothing_before_it_is_asked_to(monkeypatch):
    # What is heavy is a matter of the limit: with a lower one the test need not wait for minutes.
    monkeypatch.setattr(onnx_form, "HEAVY", 0.0)
    monkeypatch.setattr(onnx_scales, "BUDGET", -1.0)
    runs = []
    original = perturb.load_onnx.__globals__["OnnxSegmenter"].run
    monkeypatch.setattr(
        "perturb.segmenters.onnx.segmenter.OnnxSegmenter.run",
        lambda self, given: runs.append(1) or original(self, given),
    )
    app = upload(linear(metadata={"note": "another file"}))
    assert not app.exception
    assert runs == []
    assert "A heavy network:" in app.info[0].value
    assert "about 250 passes" in app.info[0].value
    assert "a larger stride or fewer steps, or a smaller image" in app.info[0].value
    assert taken(app) == []
    assert app.button(key="onnx_try").label.startswith("Try every preset, about")
    app.button(key="onnx_run").click().run()
    assert runs
    assert "s a forward pass" in words(app) or not app.exception
    before = len(runs)
    app.button(key="onnx_try").click().run()
    assert len(runs) == before + 5, "one pass for each preset"
    assert taken(app) == PRESETS


@pytest.mark.parametrize("made", [linear(), linear(1)])
def test_the_form_asks_only_for_what_the_file_does_not_say(made):
    made.metadata_props.add(key="scale", value="bytes")
    app = upload(made)
    assert not app.exception
    assert read_spec(files.save(made)).unknown == ()
    assert not [box for box in app.selectbox if box.key == key(app, "scale")]
    assert use(app).spec.scale == "bytes"


def test_no_answer_for_one_file_is_taken_for_the_next():
    names = {"classes": "sky, meadow"}
    app = upload(files.pixelwise())
    expected = {"plain": ("class 0", "class 1"), "named": ("sky", "meadow"), "later": ("class 0", "class 1")}
    for name, classes in expected.items():
        replace(app, files.pixelwise(metadata={"note": name} | (names if name == "named" else {})), f"{name}.onnx")
        assert not app.exception
        # The form is the one of a file that comes first, whatever was answered for the file before.
        assert app.text_area(key=key(app, "classes")).value == (", ".join(classes) if name == "named" else "")
        assert numbers(app) == ("imagenet", 1.0, "0.485,0.456,0.406", "0.229,0.224,0.225")
        assert app.selectbox(key=key(app, "order")).value == "RGB"
        assert app.number_input(key=key(app, "multiple")).value == 1
        legend = " ".join(element.proto.body for element in app.main.get("html"))
        drawn = {word for word in ("class 0", "class 1", "sky", "meadow", "wrong", "worse") if word in legend}
        assert drawn, "the preview has a legend"
        assert drawn <= set(classes)
        used = use(app)
        assert used.classes == classes
        assert used.load_options["scale"] == "imagenet"
        # Answers of every kind, which the next file must not have.
        app.selectbox(key=key(app, "order")).select("BGR").run()
        app.number_input(key=key(app, "multiple")).set_value(8).run()
        app.text_input(key=key(app, "mean")).set_value("0.1").run()
        app.text_input(key=key(app, "std")).set_value("0.7").run()
        app.selectbox(key=key(app, "range")).select(255.0).run()
        app.text_area(key=key(app, "classes")).set_value("wrong, worse").run()
        assert use(app).classes == ("wrong", "worse")
