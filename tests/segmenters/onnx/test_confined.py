"""A stranger's network in a process of its own: the same numbers, and what every hostile file comes to."""

import time

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from onnx import TensorProto, helper, numpy_helper

import perturb
from perturb.sandbox.process import Limits
from perturb.segmenters.layers import layer_access
from perturb.segmenters.onnx.confined import ConfinedModel, rehearse
from perturb.segmenters.onnx.segmenter import OnnxSegmenter
from perturb.segmenters.onnx.spec import complete
from tests import onnx_files as files
from tests.analytic import dark_square
from tests.fuzz.networks import sources

LIMITS = Limits(memory=1_000_000_000, seconds=4.0)


@pytest.fixture
def confine():
    made = []

    def begin(data, limits=LIMITS, most=4):
        model = ConfinedModel(data, "net", 1, limits, most=most)
        made.append(model)
        return model

    yield begin
    for model in made:
        model.close()


def segmenter(model, **given):
    graph = model.facts()
    return OnnxSegmenter(
        model, graph, complete(graph, {"scale": "unit"} | given, "net"), classes=graph.classes, name="net"
    )


@pytest.mark.parametrize("index", range(5))
def test_every_number_equals_that_of_the_file_in_this_process(confine, index):
    data = sources()[index]
    given = {"scale": "unit"}
    plain = None
    for more in ({}, {"kind": "logits"}, {"kind": "logits", "output_layout": "NCHW"}):
        try:
            plain = perturb.load_onnx(data, name="net", **given, **more)
            given |= more
            break
        except perturb.SegmenterError:
            continue
    assert plain is not None
    model = confine(data)
    apart = segmenter(model, **given)
    assert apart.digest == plain.digest
    assert apart.graph == plain.graph
    assert apart.spec == plain.spec
    size = plain.spec.size or (32, 48)
    image = perturb.load_image(np.random.default_rng(0).random((*size, 3), dtype=np.float32), name="random")
    assert_array_equal(apart(torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))),
                       plain(torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))))  # fmt: skip
    assert apart.summary(image) == plain.summary(image)
    layers = plain.layers(image)
    assert apart.layers(image) == layers
    for layer in layers[:3]:
        ours, theirs = (layer_access(each).downstream(image, layer.name) for each in (apart, plain))
        assert_array_equal(ours.clean, theirs.clean)
        assert_array_equal(ours.activation, theirs.activation)
        several = ours.activation.repeat(2, 1, 1, 1) * torch.tensor([0.5, 0.0])[:, None, None, None]
        assert_array_equal(ours(several), theirs(several))
    assert model.pid is not None


def test_a_map_of_a_confined_network_equals_that_of_the_file_in_this_process(confine):
    data = files.save(files.pixelwise())
    maps = [
        perturb.explain(dark_square(), each, perturb.Target("class 1"), method="occlusion", size=8, stride=4).heatmap
        for each in (segmenter(confine(data)), perturb.load_onnx(data, name="net", scale="unit"))
    ]
    assert_array_equal(*maps)


@pytest.mark.parametrize("data", [b"", b"\x80\x04.", b"PK\x03\x04", files.save(files.looping()), b"\x08" * 1000])
def test_a_file_is_refused_with_the_same_words(confine, data):
    with pytest.raises(perturb.SegmenterError) as plain:
        perturb.load_onnx(data, name="net", scale="unit")
    with pytest.raises(perturb.SegmenterError) as apart:
        confine(data).facts()
    assert str(apart.value) == str(plain.value)


def hungry():
    """The product of a long column and a long row: 0.9 GB in one tensor, which the checks allow."""
    return files.model(
        [
            helper.make_node("Reshape", ["picture", "column"], ["tall"]),
            helper.make_node("Reshape", ["picture", "row"], ["flat"]),
            helper.make_node("MatMul", ["tall", "flat"], ["huge"]),
            helper.make_node("ReduceMax", ["huge"], ["one"], keepdims=0),
            helper.make_node("Conv", ["picture", "w"], ["z"], kernel_shape=[1, 1]),
            helper.make_node("Add", ["z", "one"], ["scores"]),
        ],
        [
            numpy_helper.from_array(np.array([-1, 1], dtype=np.int64), "column"),
            numpy_helper.from_array(np.array([1, -1], dtype=np.int64), "row"),
            files.weights("w", np.zeros((2, 3, 1, 1))),
        ],
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, 50, 100])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 2, 50, 100])],
    )


def test_a_fault_of_the_processor_ends_only_the_process_of_the_file(confine):
    model = confine(files.save(files.bright_division()))
    network = segmenter(model, kind="logits")
    assert rehearse(model, network.graph, 8, 9) is not None, "zeros do not show it"
    bright = torch.ones(1, 3, 8, 9)
    with pytest.raises(
        perturb.SegmenterError, match=r"'net' was stopped: it crashed its process \(SIGFPE\)\. Run the file with"
    ):
        network(bright)
    assert model.pid is None
    with pytest.raises(perturb.SegmenterError, match="SIGFPE"):
        network(bright)


@pytest.mark.parametrize(("memory", "fits"), [(0.5, False), (1.5, True)])
def test_memory_has_a_limit(confine, memory, fits):
    model = confine(files.save(hungry()), Limits(memory=int(memory * 1e9), seconds=30.0))
    network = segmenter(model, kind="logits")
    batch = torch.rand(1, 3, 50, 100)
    if fits:
        assert_array_equal(network(batch), torch.full((1, 2, 50, 100), float(batch.max() ** 2)))
        return
    with pytest.raises(perturb.SegmenterError, match=r"'net' was stopped: it needs more than 0\.5 GB of memory\."):
        network(batch)
    assert model.facts() == network.graph, "the next call starts another process"


def test_time_has_a_limit(confine):
    model = confine(files.save(files.slow()), Limits(memory=1_000_000_000, seconds=1.5))
    network = segmenter(model, kind="logits")
    began = time.monotonic()
    with pytest.raises(perturb.SegmenterError, match=r"'net' was stopped: it took longer than 1\.5 s for one call\."):
        network(torch.rand(1, 3, 480, 360))
    assert time.monotonic() - began < 6
    assert model.pid is None


def test_a_rehearsal_measures_a_run_and_says_why_there_is_none(confine):
    model = confine(files.save(files.pixelwise()))
    began = time.perf_counter()
    took = rehearse(model, model.facts(), 600, 800)
    assert 0.0001 < took < time.perf_counter() - began
    model = confine(files.save(files.pixelwise(size=(8, 8))))
    assert rehearse(model, model.facts(), 99, 77) > 0, "at its own size"
    model = confine(sources()[4])  # its skip connection needs even sides
    assert rehearse(model, model.facts(), 9, 9) is None
    model = confine(files.save(files.slow()), Limits(memory=1_000_000_000, seconds=1.5))
    with pytest.raises(perturb.SegmenterError, match="it took longer"):
        rehearse(model, model.facts(), 480, 360)


def test_at_most_so_many_networks_run_at_a_time(confine):
    models = [confine(files.save(files.pixelwise(metadata={"note": str(index)})), most=2) for index in range(4)]
    for model in models:
        model.load()
    assert [model.pid is not None for model in models] == [False, False, True, True]
    models[0].load()  # starts again by itself
    assert [model.pid is not None for model in models] == [True, False, False, True]


@pytest.mark.parametrize(
    "call",
    [
        lambda model: model.facts(),
        lambda model: model.run(np.zeros((1, 3, 4, 4), np.float32), "picture", "scores"),
        lambda model: model.maps(np.zeros((1, 3, 4, 4), np.float32), "picture", "scores"),
        lambda model: model.nodes(np.zeros((1, 3, 4, 4), np.float32), "picture"),
        lambda model: model.observe(np.zeros((1, 3, 4, 4), np.float32), "picture", "scores", "z"),
    ],
)
@pytest.mark.parametrize("value", [None, 5, "words", {"spec": []}, [["x"]], [{"tensor": 5}]])
def test_a_forged_answer_is_a_sentence(confine, monkeypatch, call, value):
    model = confine(files.save(files.pixelwise()))
    answers = {"value": value}
    monkeypatch.setattr(model._process, "call", lambda *given: (answers["value"], []))
    with pytest.raises(perturb.SegmenterError, match="its process gave an answer that is none"):
        call(model)
