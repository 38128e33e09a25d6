"""ONNX files that are odd or broken: sorted, read, or refused in words when they are loaded."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.testing import assert_array_equal
from onnx import TensorProto, helper

import perturb
from perturb.images.image import to_tensor
from perturb.segmenters.onnx.order import sort_nodes
from perturb.segmenters.onnx.session import open_session
from tests import onnx_files as files
from tests.analytic import picture
from tests.fuzz.networks import sources

BATCH = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(0))


def shuffled(data, seed):
    model = onnx.ModelProto.FromString(data)
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes[index] for index in np.random.default_rng(seed).permutation(len(nodes)))
    return model.SerializeToString()


@pytest.mark.parametrize("seed", range(5))
def test_a_file_whose_nodes_are_unsorted_gives_the_numbers_of_the_sorted_one(seed):
    data = sources()[3]
    odd = shuffled(data, seed)
    with pytest.raises(onnx.checker.ValidationError, match="topologically sorted"):
        onnx.checker.check_model(onnx.ModelProto.FromString(odd))
    ours = perturb.load_onnx(odd)
    plain = onnxruntime.InferenceSession(odd).run(None, {"picture": BATCH.numpy()})[0]
    assert_array_equal(ours(BATCH), perturb.load_onnx(data)(BATCH))
    assert np.abs(ours(BATCH).softmax(1).numpy() - plain).max() < 1e-5
    # What looks inside follows the order as well.
    image = picture(16, 24)
    found, expected = ours.layers(image), perturb.load_onnx(data).layers(image)
    assert {layer.tensor for layer in found} == {layer.tensor for layer in expected}
    downstream = ours.downstream(image, found[0].name)
    assert torch.allclose(downstream(downstream.activation), ours(to_tensor(image, "cpu")[None]), atol=1e-5)


def test_sorting_leaves_what_is_sorted_and_refuses_a_circle():
    model = onnx.ModelProto.FromString(sources()[3])
    before = model.SerializeToString()
    sort_nodes(model)
    assert model.SerializeToString() == before
    model.graph.node[1].input[0] = "r1"
    with pytest.raises(perturb.SegmenterError, match="The graph of 'the file' has a cycle"):
        sort_nodes(model)


def test_order_hides_nothing_from_the_checks():
    with pytest.raises(perturb.SegmenterError, match="the content of the image decides how large"):
        perturb.load_onnx(shuffled(files.save(files.hidden_swelling()), 3), scale="unit")


@pytest.mark.parametrize("classes", ["[" * 100_000, '["a",' * 100_000, '[["a"]]', "[1, null]"])
def test_class_names_that_are_none_are_passed_over(classes):
    segmenter = perturb.load_onnx(files.save(files.pixelwise(metadata={"classes": classes})), scale="unit")
    assert segmenter.classes == ("class 0", "class 1")


def test_an_output_of_no_size_is_said():
    empty = onnx.numpy_helper.from_array(np.array([0], dtype=np.int64), "none")
    model = files.model(
        [
            helper.make_node("Conv", ["picture", "w"], ["z"]),
            helper.make_node("Slice", ["z", "none", "none", "axis"], ["scores"]),
        ],
        [
            files.weights("w", np.ones((2, 3, 1, 1))),
            empty,
            onnx.numpy_helper.from_array(np.array([2], dtype=np.int64), "axis"),
        ],
    )
    segmenter = perturb.load_onnx(files.save(model), scale="unit", kind="logits", output_layout="NCHW")
    with pytest.raises(perturb.SegmenterError, match=r"scores of shape \(2, 2, 0, 24\) .* none of them empty"):
        segmenter(BATCH)


def channels(declared, taken, group=1):
    """The file says that it takes `declared` channels, its convolution takes `taken`."""
    inputs = [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["N", declared, "H", "W"])]
    nodes = [helper.make_node("Conv", ["picture", "w"], ["scores"], group=group)]
    return files.save(files.model(nodes, [files.weights("w", np.ones((2, taken // group, 1, 1)))], inputs))


@pytest.mark.parametrize(
    ("declared", "taken", "words"),
    [
        (3, 4, r"The channels in 'model' do not match: its Conv 'scores' expects 4 and is given 3"),
        (1, 3, r"its Conv 'scores' expects 3 and is given 1"),
        (4, 4, r"is any × 4 × any × any, expected 3 colour channels, .*, or 1 for grey"),
        ("C", 4, r"is any × any × any × any with 4 channels, expected 3 colour channels"),
    ],
)
def test_channels_that_do_not_fit_are_said_at_the_load(declared, taken, words):
    with pytest.raises(perturb.SegmenterError, match=words):
        perturb.load_onnx(channels(declared, taken), scale="unit", layout="NCHW")


@pytest.mark.parametrize(("taken", "order"), [(1, "grey"), (3, "RGB")])
def test_channels_that_only_the_weights_tell_are_read_from_them(taken, order):
    segmenter = perturb.load_onnx(channels("C", taken), scale="unit", layout="NCHW", output_layout="NCHW")
    assert segmenter.spec.order == order
    assert segmenter(BATCH).shape == (2, 2, 16, 24)


def test_a_lack_of_memory_is_a_refusal(monkeypatch):
    class Hungry:
        def __init__(self, *_, **__):
            raise MemoryError

    monkeypatch.setattr(onnxruntime, "InferenceSession", Hungry)
    with pytest.raises(perturb.SegmenterError, match="'net' needs more memory than is available"):
        open_session(files.save(files.pixelwise()), "net", 1)
