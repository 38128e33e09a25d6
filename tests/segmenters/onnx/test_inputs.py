"""What an ONNX network is given: every preset, order and layout against numbers worked out in numpy, and what does not fit."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from onnx import TensorProto, helper

import perturb
from perturb.cli.main import main
from perturb.export.writer import command_line
from perturb.segmenters.onnx.scaling import ORDERS, PRESETS
from perturb.segmenters.onnx.spec import read_spec
from tests import onnx_files as files
from tests.analytic import picture

BATCH = torch.rand(2, 3, 8, 9, generator=torch.Generator().manual_seed(0))
KERNELS = {3: np.array([[1.0, -2.0, 0.5], [0.3, 0.2, -1.0]]), 1: np.array([[2.0], [-0.7]])}
MEAN, STD = {"R": 0.485, "G": 0.456, "B": 0.406}, {"R": 0.229, "G": 0.224, "B": 0.225}
BY_HAND = {
    "imagenet": lambda x, colour: (x - MEAN[colour]) / STD[colour],
    "unit": lambda x, colour: x,
    "symmetric": lambda x, colour: 2 * x - 1,
    "bytes": lambda x, colour: 255 * x,
    "centred": lambda x, colour: (255 * x - 128) / 256,
}
"""What each preset makes of a colour in [0, 1]."""


def linear(channels=3, layout="NCHW", *, kernel=None, dtype=TensorProto.FLOAT, **options):
    """A file: logit k = Σ kernel[k, c] · input channel c at each pixel, in either layout."""
    kernel = KERNELS[channels] if kernel is None else kernel
    first = layout == "NCHW"
    nodes = [
        helper.make_node("Cast", ["picture"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["first"], perm=[0, 1, 2, 3] if first else [0, 3, 1, 2]),
        helper.make_node("Conv", ["first", "w"], ["z"], kernel_shape=[1, 1]),
        helper.make_node("Transpose", ["z"], ["scores"], perm=[0, 1, 2, 3] if first else [0, 2, 3, 1]),
    ]
    shapes = [["N", c, "H", "W"] if first else ["N", "H", "W", c] for c in (channels, len(kernel))]
    inputs = [helper.make_tensor_value_info("picture", dtype, shapes[0])]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, shapes[1])]
    return files.model(nodes, [files.weights("w", kernel[:, :, None, None])], inputs, outputs, **options)


def load(made, **given):
    return perturb.load_onnx(files.save(made), **given)


def given_by_hand(order, change):
    """What the network is given, float64 `(N, C, H, W)`."""
    r, g, b = np.moveaxis(BATCH.numpy().astype(np.float64), 1, 0)
    if order == "grey":
        return change(0.299 * r + 0.587 * g + 0.114 * b, "")[:, None]
    colours = {"R": r, "G": g, "B": b}
    return np.stack([change(colours[colour], colour) for colour in order], 1)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("order", ["RGB", "BGR", "grey"])
@pytest.mark.parametrize("scale", BY_HAND)
def test_every_preset_order_and_layout_gives_what_numpy_gives(scale, order, layout):
    channels = 1 if order == "grey" else 3
    if scale == "imagenet" and channels == 1:
        with pytest.raises(
            perturb.SegmenterError, match="has numbers for 3 channels, and 'model' takes 1; expected one of"
        ):
            load(linear(1, layout), scale=scale)
        return
    segmenter = load(linear(channels, layout), scale=scale, order=order)
    expected = given_by_hand(order, BY_HAND[scale])
    prepared = segmenter.prepare(BATCH)
    seen = prepared if layout == "NCHW" else prepared.transpose(0, 3, 1, 2)
    assert_allclose(seen, expected, rtol=1e-5, atol=1e-5)
    logits = np.einsum("kc,nchw->nkhw", KERNELS[channels], expected)
    assert_allclose(segmenter(BATCH), logits, rtol=1e-4, atol=1e-4)
    # Told again, it is the same; and so is the same scaling in numbers.
    assert perturb.load_onnx(segmenter.model.data, **segmenter.load_options).digest == segmenter.digest
    made = PRESETS[scale].reversed() if order == "BGR" else PRESETS[scale]
    range_ = {"scale": "unit" if made.full == 1 else "bytes"}
    again = load(linear(channels, layout), mean=made.mean, std=list(made.std), order=order, **range_)
    assert again.spec == segmenter.spec
    assert again.digest == segmenter.digest


class Network(torch.nn.Module):
    """A small network as it was trained: on (x − mean) / std of values in 0 … 255, in a given order and layout."""

    def __init__(self, channels, last):
        super().__init__()
        torch.manual_seed(4)
        self.last = last
        self.net = torch.nn.Sequential(
            torch.nn.Conv2d(channels, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 3, 1)
        )

    def forward(self, given):
        scores = self.net(given.permute(0, 3, 1, 2) if self.last else given)
        return scores.permute(0, 2, 3, 1) if self.last else scores


@pytest.mark.parametrize(
    ("channels", "last", "order", "mean", "std"),
    [
        (3, False, "RGB", (128,), (256,)),
        (3, True, "BGR", (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)),
        (1, False, "grey", (33.3,), (78.6,)),
    ],
)
def test_an_exported_network_gives_its_own_numbers(tmp_path, channels, last, order, mean, std):
    network = Network(channels, last).eval()
    shape = (2, 8, 9, channels) if last else (2, channels, 8, 9)
    torch.onnx.export(
        network, (torch.zeros(shape),), tmp_path / "net.onnx", external_data=False, dynamo=True, verbose=False
    )
    levels = np.rint(255 * BATCH[:1].numpy()).astype(np.uint8)  # whole levels, as a photograph has
    r, g, b = levels[0].astype(np.float64)
    parts = {"RGB": (r, g, b), "BGR": (b, g, r), "grey": (0.299 * r + 0.587 * g + 0.114 * b,)}[order]
    numbers = [np.broadcast_to(values, channels) for values in (mean, std)]
    given = np.stack([(part - m) / s for part, m, s in zip(parts, *numbers, strict=True)])[None]
    tensor = torch.from_numpy(given.astype(np.float32))
    with torch.inference_mode():
        expected = network(torch.cat([tensor, tensor]).permute(0, 2, 3, 1) if last else torch.cat([tensor, tensor]))
    expected = expected.permute(0, 3, 1, 2) if last else expected
    # The file takes two images at once, which the lab does not; a batch of one is its usual form.
    model = files.onnx.load(tmp_path / "net.onnx")
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    del model.graph.value_info[:]
    segmenter = load(model, mean=mean, std=std, order=order, kind="logits")
    batch = torch.from_numpy(levels.astype(np.float32) / 255)
    assert_allclose(segmenter(torch.cat([batch, batch])), expected, rtol=1e-4, atol=1e-4)


def test_digests_and_recipes_of_older_results_stay():
    dark = files.save(files.pixelwise())
    for given, digest in (
        ({"scale": "imagenet"}, "e4af8794"),
        ({"scale": "unit"}, "61c199c3"),
        ({"scale": "bytes", "multiple": "8"}, "d7841187"),
    ):
        segmenter = perturb.load_onnx(dark, classes=["background", "object"], name="dark.onnx", **given)
        assert segmenter.digest == f"{segmenter.file_digest}-{digest}"
        assert segmenter.load_options == given


def test_order_and_numbers_make_another_segmenter():
    digests = {
        load(linear(), **given).digest
        for given in (
            {"scale": "unit"},
            {"scale": "unit", "order": "BGR"},
            {"mean": 0.1},
            {"std": 0.1},
            {"scale": "bytes", "mean": 0.1},
            {"mean": 128, "std": 256},
        )
    }
    assert len(digests) == 6


@pytest.mark.parametrize(
    ("given", "spec", "words"),
    [
        ({"mean": "128", "std": "256"}, ("centred", (), ()), "(x − 128) / 256 of values x in 0 … 255"),
        (
            {"mean": "127.5", "std": "127.5"},
            ("bytes", (127.5,), (127.5,)),
            "(x − 127.5) / 127.5 of values x in 0 … 255",
        ),
        ({"mean": "0.5", "std": "0.5"}, ("symmetric", (), ()), "(x − 0.5) / 0.5 of values x in 0 … 1"),
        ({"std": "255"}, ("bytes", (0.0,), (255.0,)), "x / 255 of values x in 0 … 255"),
        (
            {"mean": "104, 117, 123", "order": "BGR"},
            ("bytes", (104, 117, 123), (1,)),
            "(x − (104, 117, 123)) of values",
        ),
        ({"mean": "0.485,0.456,0.406", "std": "0.229,0.224,0.225"}, ("imagenet", (), ()), "of values x in 0 … 1"),
        ({"mean": "2", "std": "2"}, ("unit", (2.0,), (2.0,)), "(x − 2) / 2 of values x in 0 … 1"),
        ({"mean": "2", "std": "2", "scale": "bytes"}, ("bytes", (2.0,), (2.0,)), "(x − 2) / 2 of values x in 0 … 255"),
    ],
)
def test_numbers_say_which_values_they_speak_of(given, spec, words):
    segmenter = load(linear(), **given)
    assert (segmenter.spec.scale, segmenter.spec.mean, segmenter.spec.std) == spec
    assert words in str(segmenter.spec)
    assert perturb.load_onnx(segmenter.model.data, **segmenter.load_options).digest == segmenter.digest


@pytest.mark.parametrize(
    ("channels", "given", "words"),
    [
        (3, {"mean": "a"}, "'mean' must be one number or one for each channel, separated by commas: got 'a'"),
        (3, {"mean": ""}, "'mean' must be one number"),
        (3, {"mean": "nan"}, "'mean' must be one number"),
        (3, {"std": "0"}, "'std' must be above 0: got 0"),
        (3, {"std": "-1,1,1"}, "'std' must be above 0"),
        (3, {"mean": "1,2"}, "'mean' has 2 numbers, and 'model' takes 3 channels; expected 1 or 3 numbers"),
        (1, {"mean": "1,2,3"}, "'mean' has 3 numbers, and 'model' takes 1 channel; expected one number"),
        (3, {"scale": "imagenet", "mean": "1"}, "'scale=imagenet' has a mean and std of its own; leave it out"),
        (3, {"scale": "unit", "order": "bgr"}, "no order 'bgr'; expected one of RGB, BGR, grey"),
        (
            3,
            {"scale": "unit", "order": "grey"},
            "'order' is determined by the graph of 'model': got grey, expected RGB",
        ),
        (1, {"scale": "unit", "order": "BGR"}, "'order' is determined by the graph of 'model': got BGR, expected grey"),
        (3, {}, "does not say its scale.*Or give mean and std instead of scale, such as mean=128 and std=256"),
    ],
)
def test_what_does_not_fit_is_said_when_the_file_is_loaded(channels, given, words):
    with pytest.raises(perturb.SegmenterError, match=words):
        load(linear(channels), **given)


def test_bytes_take_no_scaling():
    made = linear(dtype=TensorProto.UINT8)
    assert_allclose(
        load(made)(BATCH), np.einsum("kc,nchw->nkhw", KERNELS[3], np.rint(255 * BATCH.numpy())), rtol=1e-4, atol=1e-3
    )
    assert load(made, order="BGR").prepare(BATCH).dtype == np.uint8
    for given in ({"scale": "imagenet"}, {"mean": 128}):
        with pytest.raises(perturb.SegmenterError, match=r"takes whole numbers from 0 to 255 \(uint8\)"):
            load(made, **given)


def test_a_file_can_carry_mean_std_and_order_and_is_overruled_by_what_is_given():
    carried = {"mean": "103.53,116.28,123.675", "std": "57", "order": "BGR"}
    segmenter = load(linear(metadata=carried))
    assert read_spec(segmenter.model.data).unknown == ()
    assert str(segmenter.spec).startswith(
        "BGR (blue, green, red) of any size, NCHW, (x − (103.53, 116.28, 123.675)) / 57 of"
    )
    assert segmenter.load_options == {}
    other = load(linear(metadata=carried), scale="bytes", order="RGB")
    assert (other.spec.scale, other.spec.mean, other.spec.std, other.spec.order) == ("bytes", (), (), "RGB")
    assert other.load_options == {"order": "RGB", "scale": "bytes"}
    assert perturb.load_onnx(other.model.data, **other.load_options).digest == other.digest
    assert read_spec(files.save(linear(metadata={"mean": "1,2"}))).unknown == ("scale",), (
        "what does not fit is not carried"
    )


def test_a_grey_network_can_be_looked_into_and_explained():
    data = files.save(linear(1))
    segmenter = perturb.load_onnx(data, scale="unit", classes=["bright", "dark"])
    assert [layer.name for layer in segmenter.layers(picture(*BATCH.shape[2:]))] == ["z"]
    image = perturb.load_image(np.random.default_rng(0).random((24, 32, 3)))
    result = perturb.explain(image, segmenter, perturb.Target("bright", region="all"), size=8, stride=8, fill="black")
    assert np.ptp(result.heatmap) > 0


def test_the_command_line_takes_numbers_says_what_was_taken_and_gives_it_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("net.onnx").write_bytes(files.save(linear(kernel=np.array([[1.0, 1.0, 1.0], [-1.0, -1.0, -1.0]]))))
    words = ["explain", "quiet-street", "--segmenter", "net.onnx", "--target", "bright", "--classes", "bright,dark"]
    words += [
        "--set",
        "size=240",
        "--set",
        "stride=240",
        "--onnx",
        "mean=100.5",
        "--onnx",
        "std=256",
        "--onnx",
        "order=BGR",
    ]
    assert main([*words, "--out", "out"]) == 0
    assert (
        "net.onnx is given BGR (blue, green, red) of any size, NCHW, (x − 100.5) / 256 of values x in 0 … 255\n"
        in capsys.readouterr().err
    )
    made = np.load("out/heatmap.npy")
    lines = Path("out/reproduce.py").read_text()
    again = {}
    exec(compile(lines.replace('perturb.save(result, "out", curves=curves)', ""), "reproduce.py", "exec"), again)
    assert_array_equal(again["result"].heatmap, made)
    assert again["result"].segmenter.digest == json.loads(Path("out/result.json").read_text())["segmenter"]["digest"]
    shown = shlex.split(command_line(again["result"]))
    assert main([*shown[3:-1], "again"]) == 0
    assert_array_equal(np.load("again/heatmap.npy"), made)


def test_every_order_has_words():
    assert set(ORDERS) == {"RGB", "BGR", "grey"}
