"""ONNX segmenters: the framework's own numbers, every method, and answers to hostile files."""

import io
import os
import pickle
import shlex
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from onnx import TensorProto, helper, numpy_helper
from torch.nn.functional import interpolate

import perturb
from perturb.cli.main import main
from perturb.export.writer import command_line
from perturb.segmenters.onnx import checks
from perturb.segmenters.onnx.session import LOADED, SESSIONS
from perturb.segmenters.onnx.spec import read_spec
from tests import onnx_files as files
from tests.analytic import DarkIsObject, dark_square, picture

PIXELWISE = np.array([[1.0, -2.0, 0.5], [0.3, 0.2, -1.0], [-0.7, 0.9, 0.4]])


def load(made, **given):
    return perturb.load_onnx(files.save(made), **{"scale": "unit"} | given)


def dark(**options):
    """The analytic segmenter of the other tests, as a file."""
    return load(files.pixelwise(**options), classes=["background", "object"])


def by_hand(batch, kernel=PIXELWISE):
    return torch.einsum("kc,nchw->nkhw", torch.from_numpy(kernel).float(), batch)


def test_a_file_gives_the_logits_of_the_network_it_was_made_from():
    batch = torch.rand(3, 3, 37, 53)
    assert_allclose(dark()(batch), DarkIsObject()(batch), atol=1e-5)


@pytest.mark.parametrize(
    ("scale", "change"),
    [
        ("unit", lambda x: x),
        ("symmetric", lambda x: 2 * x - 1),
        ("bytes", lambda x: 255 * x),
        (
            "imagenet",
            lambda x: (
                (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None])
                / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
            ),
        ),
    ],
)
def test_pictures_are_scaled_as_asked(scale, change):
    batch = torch.rand(2, 3, 8, 9)
    segmenter = load(files.pixelwise(kernel=PIXELWISE), scale=scale)
    assert_allclose(segmenter(batch), by_hand(change(batch)), atol=1e-3 if scale == "bytes" else 1e-5)


def test_probabilities_become_logits_whose_softmax_gives_them_back():
    batch = torch.rand(2, 3, 8, 9)
    segmenter = load(files.pixelwise("softmax", kernel=PIXELWISE))
    assert segmenter.spec.kind == "probabilities", "read from the graph"
    assert_allclose(segmenter(batch).softmax(1), by_hand(batch).softmax(1), atol=1e-6)


@pytest.mark.parametrize("kind", ["logits", "sigmoid"])
def test_one_channel_is_a_thing_and_its_background(kind):
    kernel = np.array([[3.0, -4.0, 2.0]])
    segmenter = load(files.pixelwise(kind, kernel=kernel), classes=["crack"])
    assert segmenter.classes == ("background", "crack")
    batch = torch.rand(2, 3, 8, 9)
    logits = segmenter(batch)
    assert_array_equal(logits[:, 0], 0)
    assert_allclose(logits[:, 1], by_hand(batch, kernel)[:, 0], atol=1e-5)


def test_impossible_probabilities_keep_logits_finite():
    segmenter = load(files.pixelwise("softmax", kernel=PIXELWISE * 1e4))
    logits = segmenter(torch.rand(1, 3, 8, 9))
    assert_allclose(float(logits.min()), np.log(1e-7), rtol=1e-5)


def test_a_fixed_size_is_resized_to_and_back():
    made = files.pixelwise(kernel=PIXELWISE, size=(16, 24))
    segmenter = load(made)
    assert segmenter.spec.size == (16, 24)
    batch = torch.rand(2, 3, 37, 53)
    small = interpolate(batch, (16, 24), mode="bilinear", antialias=True)
    expected = interpolate(by_hand(small), (37, 53), mode="bilinear")
    assert_allclose(segmenter(batch), expected, atol=1e-5)


def test_a_low_resolution_is_enlarged_and_a_multiple_is_padded_to():
    nodes = [
        helper.make_node("AveragePool", ["picture"], ["small"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Conv", ["small", "w"], ["scores"], kernel_shape=[1, 1]),
    ]
    output = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 3, "h", "w"])]
    segmenter = load(files.model(nodes, [files.weights("w", PIXELWISE[:, :, None, None])], outputs=output), multiple=8)
    batch = torch.rand(2, 3, 13, 21)
    padded = torch.nn.functional.pad(batch, (0, 3, 0, 3), mode="replicate")
    cells = by_hand(torch.nn.functional.avg_pool2d(padded, 8))
    expected = interpolate(cells, (16, 24), mode="bilinear")[..., :13, :21]
    assert_allclose(segmenter(batch), expected, atol=1e-5)


def channels_last(size=("H", "W")):
    nodes = [
        helper.make_node("Transpose", ["picture"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["first", "w"], ["z"], kernel_shape=[1, 1]),
        helper.make_node("Transpose", ["z"], ["scores"], perm=[0, 2, 3, 1]),
    ]
    value = helper.make_tensor_value_info
    return files.model(
        nodes,
        [files.weights("w", PIXELWISE[:, :, None, None])],
        [value("picture", TensorProto.FLOAT, [1, *size, 3])],
        [value("scores", TensorProto.FLOAT, [1, *size, 3])],
    )


@pytest.mark.parametrize("size", [("H", "W"), (8, 9)])
def test_channels_last_and_a_batch_of_one_are_read_from_the_graph(size):
    segmenter = load(channels_last(size))
    assert (segmenter.spec.layout, segmenter.spec.output_layout, segmenter.spec.kind) == ("NHWC", "NHWC", "logits")
    assert segmenter.graph.batch == 1
    batch = torch.rand(4, 3, 8, 9)
    assert_allclose(segmenter(batch), by_hand(batch), atol=1e-5)


def test_what_the_graph_does_not_say_is_asked_for():
    data = files.save(files.pixelwise())
    assert read_spec(data).unknown == ("scale",)
    with pytest.raises(perturb.SegmenterError, match="does not say its scale; give it: scale is one of imagenet, unit"):
        perturb.load_onnx(data)
    open_ended = files.save(files.simple("Relu"))
    assert set(read_spec(open_ended).unknown) == {"scale", "kind"}


def test_what_the_file_carries_need_not_be_asked():
    made = files.pixelwise(metadata={"scale": "unit", "classes": '["background", "object"]'})
    segmenter = perturb.load_onnx(files.save(made))
    assert segmenter.classes == ("background", "object")
    assert segmenter.spec.scale == "unit"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"scale": "caffe"}, "no scale 'caffe'; expected one of imagenet, unit, symmetric, bytes"),
        ({"scales": "unit"}, "no setting 'scales'.*Did you mean 'scale'"),
        ({"layout": "NHWC"}, "'layout' is determined by the graph.*got NHWC, expected NCHW"),
        ({"output": "logits"}, "no output of scores 'logits'; expected one of scores"),
        ({"multiple": 0}, "'multiple' must be a whole number from 1 to 256: got '0'"),
        ({"classes": ["a", "b", "c"]}, "gives 2 channels, got 3 class names.*expected 2 names"),
        ({"classes": ["a", "a"]}, "class names that differ"),
    ],
)
def test_a_wrong_setting_is_answered_in_words(given, words):
    with pytest.raises(perturb.SegmenterError, match=words):
        load(files.pixelwise(), **given)


def test_the_same_file_under_another_scale_is_another_segmenter():
    one, other = load(files.pixelwise()), load(files.pixelwise(), scale="bytes")
    assert one.digest != other.digest
    assert one.digest[:32] == other.digest[:32] == one.file_digest
    assert one.digest == load(files.pixelwise()).digest


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("occlusion", {"size": 16, "stride": 12}),
        ("feature-ablation", {"segments": "grid"}),
        ("lime", {"segments": "grid", "count": 8, "samples": 80}),
        ("kernel-shap", {"segments": "grid", "count": 8, "samples": 60}),
        ("rise", {"masks": 50}),
    ],
)
def test_each_perturbation_method_gives_the_map_of_the_same_network_in_torch(method, settings):
    image, target = picture(40, 52), perturb.Target("object", region="all")
    here, there = (perturb.explain(image, s, target, method=method, **settings) for s in (dark(), DarkIsObject()))
    assert np.ptp(there.heatmap) > 0
    assert_allclose(here.heatmap, there.heatmap, atol=1e-4 * max(1.0, np.abs(there.heatmap).max()))
    assert_array_equal(here.readings.lost, there.readings.lost)


def test_a_result_says_which_file_made_it():
    result = perturb.explain(dark_square(), dark(), perturb.Target("object"), size=16, stride=12)
    record = result.as_dict()
    assert record["segmenter"]["digest"] == dark().digest
    assert "onnxruntime" in record["versions"]


def test_the_command_line_and_the_lines_in_a_result_make_it_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dark.onnx").write_bytes(files.save(files.pixelwise(size=(48, 64))))
    words = ["explain", "quiet-street", "--segmenter", "dark.onnx", "--target", "object", "--set", "size=240"]
    words += ["--set", "stride=240", "--classes", "background,object"]
    assert main([*words, "--out", "out"]) == 2
    assert "give it: scale is one of imagenet, unit, symmetric, bytes" in capsys.readouterr().err
    assert main([*words, "--onnx", "scale=unit", "--out", "out"]) == 0
    made = np.load("out/heatmap.npy")
    lines = Path("out/reproduce.py").read_text()
    assert 'perturb.load_onnx("dark.onnx", classes=["background", "object"], scale="unit")' in lines
    code = lines.replace('perturb.save(result, "out", curves=curves)', "")
    again = {}
    exec(compile(code, "reproduce.py", "exec"), again)
    assert_array_equal(again["result"].heatmap, made)
    shown = shlex.split(command_line(again["result"]))
    assert main([*shown[3:-1], "again"]) == 0
    assert_array_equal(np.load("again/heatmap.npy"), made)


def test_what_belongs_to_a_file_is_refused_beside_a_name(tmp_path, capsys):
    words = ["explain", "quiet-street", "--target", "car", "--out", str(tmp_path / "out"), "--classes", "a,b"]
    assert main(words) == 2
    assert "apply to ONNX files, and 'streets-unet' is not one" in capsys.readouterr().err


def test_at_most_a_few_networks_stay_loaded():
    batch = torch.rand(1, 3, 8, 9)
    made = [load(files.pixelwise(kernel=PIXELWISE + index)) for index in range(LOADED + 2)]
    answers = [segmenter(batch) for segmenter in made]
    assert len(SESSIONS) == LOADED
    assert made[0].file_digest not in SESSIONS
    assert_array_equal(made[0](batch), answers[0])  # loaded again when it is wanted
    assert len(SESSIONS) == LOADED


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def archive(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name in names:
            made.writestr(name, b"x")
    return buffer.getvalue()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_under_the_name_of_a_graph_is_never_opened(protocol, tmp_path):
    mark = tmp_path / "ran"
    path = tmp_path / "model.onnx"
    path.write_bytes(pickle.dumps(Bomb(mark), protocol=protocol))
    with pytest.raises(perturb.SegmenterError, match=r"expected an ONNX file|is not an ONNX file.*docs/export\.md"):
        perturb.load_onnx(path, scale="unit")
    assert not mark.exists()
    pickle.loads(path.read_bytes())  # the bomb is a real one
    assert mark.exists()


def test_real_checkpoints_are_refused_by_content(tmp_path):
    torch.save({"weights": torch.zeros(3)}, tmp_path / "a.onnx")
    with pytest.raises(perturb.SegmenterError, match="PyTorch checkpoint .a pickle in a zip., which runs code"):
        perturb.load_onnx(tmp_path / "a.onnx", scale="unit")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is not an ONNX file, or is truncated or empty"),
        (b"hello, world", "is not an ONNX file"),
        (archive("net/code/net.py", "net/constants.pkl"), "TorchScript archive, which runs code"),
        (archive("net/archive_format", "net/models/model.json"), "PyTorch exported program .*pickle"),
        (archive("config.json", "model.weights.h5"), "Keras archive"),
        (archive("readme"), "is a zip archive"),
        (b"PK\x03\x04 broken", "is a zip archive"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "HDF5 file .Keras .h5."),
        (b"\x1c\x00\x00\x00TFL3" + bytes(64), "TensorFlow Lite"),
        (b"\x08\x00\x00\x00\x00\x00\x00\x00{}      " + bytes(8), "safetensors file"),
        (files.save(files.pixelwise())[:-20], "is not an ONNX file, or is truncated"),
        (files.save(files.pixelwise())[:60], "is not an ONNX file, or is truncated"),
    ],
)
def test_other_files_are_refused_with_the_way_to_export(data, words):
    with pytest.raises(perturb.SegmenterError, match=rf"{words}.*docs/export\.md"):
        perturb.load_onnx(data, scale="unit")


def damaged():
    made = files.pixelwise()
    made.graph.initializer[0].dims[0] = 3
    return made


def enormous():
    made = files.pixelwise()
    made.graph.initializer[0].dims[0] = 10**12
    return made


def custom(domain):
    return files.model(
        [helper.make_node("Twist", ["picture"], ["scores"], domain=domain)],
        opsets=[*files.OPSET, helper.make_opsetid(domain, 1)],
    )


def dropout(*, switch):
    held = [numpy_helper.from_array(np.array(value), name) for name, value in (("p", np.float32(0.5)), ("on", switch))]
    return files.model([helper.make_node("Dropout", ["picture", "p", "on"], ["scores"])], held)


def test_dropout_that_is_off_is_no_chance():
    batch = torch.rand(1, 3, 8, 9)
    assert_array_equal(load(dropout(switch=False), kind="logits")(batch), batch)


def local_function():
    made = files.simple("Identity")
    made.functions.append(
        helper.make_function("mine", "Twist", ["x"], ["y"], [helper.make_node("Relu", ["x"], ["y"])], files.OPSET)
    )
    return made


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (files.external(), "keeps the weights 'w' in another file"),
        (files.external("model.data"), "keeps the weights 'w' in another file"),
        (custom("com.microsoft"), "operator 'Twist' of the domain 'com.microsoft', expected standard"),
        (custom("evil"), "operator 'Twist' of the domain 'evil'"),
        (local_function(), "defines its own functions .'Twist'."),
        (files.looping(), "contains 'Loop', a loop or a branch"),
        (files.simple("Bernoulli"), "draws random numbers"),
        (dropout(switch=True), "draws random numbers .'Dropout'.*evaluation mode"),
        (files.simple("Nonsense"), "uses the operator .Nonsense., which is not known here"),
        (
            files.pixelwise(size=(31_623, 31_623)),
            "input 'picture' of .* × 3 × 31623 × 31623, expected sides of at most 2048",
        ),
        (files.pixelwise(size=(1, 10**9)), "expected sides of at most 2048 px"),
        (files.swelling(), "would need 10,000,000,000 values for its tensor 'huge'"),
        (files.hidden_swelling(), "content of the image decides how large the result of 'ConstantOfShape'"),
        (damaged(), "the file is damaged"),
        (enormous(), "more than the file can hold"),
        (files.simple("ArgMax", axis=1), "a map of class indices, which holds no scores.*without its last argmax"),
        (files.simple("Flatten"), "gives no scores: 'scores' is float with 2 axes"),
        (files.simple("GlobalMaxPool"), "one score per class for the whole image"),
    ],
)
def test_hostile_graphs_are_refused_before_they_are_loaded(made, words):
    with pytest.raises(perturb.SegmenterError, match=words):
        load(made, kind="logits")


def test_a_graph_with_two_inputs_or_grey_pictures_is_refused():
    value = helper.make_tensor_value_info
    pair = [value(name, TensorProto.FLOAT, ["N", 3, "H", "W"]) for name in ("left", "right")]
    with pytest.raises(perturb.SegmenterError, match=r"takes 2 inputs \(left, right\), expected one"):
        load(files.model([helper.make_node("Add", ["left", "right"], ["scores"])], inputs=pair))
    for shape, words in (
        (["N", 1, "H", 1], "expected 3 colour channels"),
        (["N", 3, "H"], "expected colour images"),
        ([4, 3, "H", "W"], "takes exactly 4 images at once"),
    ):
        made = files.model(
            [helper.make_node("Relu", ["picture"], ["scores"])],
            inputs=[value("picture", TensorProto.FLOAT, shape)],
            outputs=[value("scores", TensorProto.FLOAT, shape)],
        )
        with pytest.raises(perturb.SegmenterError, match=words):
            load(made, kind="logits")


def test_nan_and_what_is_no_probability_are_answered_in_words():
    batch = torch.rand(1, 3, 8, 9)
    with pytest.raises(perturb.SegmenterError, match="not finite numbers"):
        load(files.simple("Log"), kind="logits")(-batch)
    with pytest.raises(perturb.SegmenterError, match="are not probabilities.*kind=logits"):
        load(files.simple("Log"), kind="probabilities")(batch)


def test_a_graph_that_cannot_run_on_a_size_says_how_to_go_on():
    nodes = [
        helper.make_node("MaxPool", ["picture"], ["small"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Resize", ["small", "", "twice"], ["large"], mode="nearest"),
        helper.make_node("Add", ["large", "picture"], ["scores"]),
    ]
    output = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 3, "H", "W"])]
    made = files.model(nodes, [files.weights("twice", [1, 1, 2, 2])], outputs=output)
    batch = torch.rand(1, 3, 9, 11)
    with pytest.raises(perturb.SegmenterError, match="cannot run on an input of 1 × 3 × 9 × 11.*'multiple'"):
        load(made, kind="logits")(batch)
    assert load(made, kind="logits", multiple=2)(batch).shape == (1, 3, 9, 11)


def test_a_large_file_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "MAX_BYTES", 100)
    monkeypatch.setattr("perturb.segmenters.onnx.segmenter.MAX_BYTES", 100)
    path = tmp_path / "large.onnx"
    path.write_bytes(files.save(files.pixelwise()))
    for source in (path, path.read_bytes()):
        with pytest.raises(perturb.SegmenterError, match="is too large: got 0 MB, expected at most 0 MB"):
            perturb.load_onnx(source, scale="unit")
    with pytest.raises(perturb.SegmenterError, match="cannot be read .No such file"):
        perturb.load_onnx(tmp_path / "none.onnx", scale="unit")
