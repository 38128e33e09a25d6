"""Seg-Ablation-CAM inside an ONNX graph: the same layers, downstream sub-networks and maps as the same network in torch."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from onnx import TensorProto, helper
from torch import nn

import perturb
from tests import onnx_files as files
from tests.analytic import picture

CLASSES = ["ground", "thing", "sky"]


class Net(nn.Module):
    """Two stages, with a skip connection around the second."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(4)
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(4, 6, 3, padding=1), nn.ReLU())
        self.skip = nn.Conv2d(4, 6, 1)
        self.head = nn.Conv2d(6, 3, 1)

    def forward(self, pictures):
        first = self.first(pictures)
        return nn.functional.interpolate(self.head(self.second(first) + self.skip(first)), scale_factor=2)


def exported(net, batch="N", **given):
    """The same network as a file, written by hand."""
    held = [files.weights(name.replace(".", "_"), value.detach()) for name, value in net.state_dict().items()]

    def conv(name, source, kernel, **options):
        pads = [kernel // 2] * 4
        inputs = [source, f"{name}_weight", f"{name}_bias"]
        return helper.make_node("Conv", inputs, [f"{name} out"], kernel_shape=[kernel] * 2, pads=pads, **options)

    nodes = [
        conv("first_0", "picture", 3, strides=[2, 2]),
        helper.make_node("Relu", ["first_0 out"], ["/first/relu"]),
        conv("second_0", "/first/relu", 3),
        helper.make_node("Relu", ["second_0 out"], ["/second/relu"]),
        conv("skip", "/first/relu", 1),
        helper.make_node("Add", ["/second/relu", "skip out"], ["sum"]),
        conv("head", "sum", 1),
        helper.make_node("Resize", ["head out", "", "twice"], ["scores"], mode="nearest", nearest_mode="floor",
                         coordinate_transformation_mode="asymmetric"),
    ]  # fmt: skip
    value = helper.make_tensor_value_info
    made = files.model(
        nodes,
        [*held, files.weights("twice", [1, 1, 2, 2])],
        [value("picture", TensorProto.FLOAT, [batch, 3, "H", "W"])],
        [value("scores", TensorProto.FLOAT, [batch, 3, "H", "W"])],
    )
    return perturb.load_onnx(files.save(made), scale="unit", classes=CLASSES, **given)


@pytest.fixture(scope="module")
def net():
    return Net().eval()


def test_layers_are_the_maps_of_the_graph_in_their_order(net):
    found = exported(net).layers(picture(20, 30))
    assert [layer.name for layer in found] == [
        "first_0.out", "first.relu", "second_0.out", "second.relu", "skip.out", "sum", "head.out",
    ]  # fmt: skip
    assert found[1].shape == (4, 10, 15)
    assert found[2].parameters == 6 * 4 * 9 + 6
    assert [layer.depth for layer in found] == list(range(7))


@pytest.mark.parametrize(("layer", "twin"), [("first.relu", "first"), ("second.relu", "second")])
@pytest.mark.parametrize("batch", ["N", 1])
def test_what_follows_a_changed_map_is_what_follows_it_in_torch(net, layer, twin, batch):
    image = picture(20, 30)
    here = exported(net, batch).downstream(image, layer)
    there = perturb.TorchSegmenter(net, classes=CLASSES).downstream(image, twin)
    assert_allclose(here.clean, there.clean, atol=1e-5)
    assert_allclose(here.activation, there.activation, atol=1e-5)
    changed = there.activation.repeat(3, 1, 1, 1)
    changed[torch.arange(3), torch.arange(3)] = 0
    expected = there(changed.clone())
    assert float((expected - there.clean).abs().max()) > 0.01
    assert_allclose(here(changed), expected, atol=1e-5)


@pytest.mark.parametrize("ablation", ["full", "strength", "foreground", "background"])
def test_the_map_is_the_map_of_the_same_network_in_torch(net, ablation):
    image, target = picture(20, 30), perturb.Target("thing", region="box:5,4,21,14")
    results = [
        perturb.explain(image, segmenter, target, method="ablation-cam", layer=layer, ablation=ablation)
        for segmenter, layer in (
            (exported(net), "second.relu"),
            (perturb.TorchSegmenter(net, classes=CLASSES), "second"),
        )
    ]
    assert np.ptp(results[1].heatmap) > 0
    assert_allclose(results[0].heatmap, results[1].heatmap, atol=1e-4 * np.abs(results[1].heatmap).max())
    assert_array_equal(results[0].readings.lost, results[1].readings.lost)


def test_cells_cover_the_padding_that_the_lab_adds(net):
    image = picture(19, 29)
    segmenter = exported(net, multiple=2)
    assert segmenter.activations(image, "second.relu").shape == (6, 10, 15)
    result = perturb.explain(image, segmenter, perturb.Target("thing", region="all"), method="ablation-cam")
    assert result.heatmap.shape == (19, 29)
    assert result.facts["layer"] == "sum", "the last of the widest before the scores"


def test_a_layer_that_does_not_exist_is_refused_in_words(net):
    with pytest.raises(
        perturb.SettingError, match=r"no layer 'third' that gives a map; expected one of its 7, such as"
    ):
        perturb.explain(
            picture(20, 30), exported(net), perturb.Target("thing", region="all"), method="ablation-cam", layer="third"
        )
