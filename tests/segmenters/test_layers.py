"""The `LayerAccess` interface: any segmenter that implements it can be explained by layer methods, whatever its framework."""

import shlex

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn
from torch.nn.functional import avg_pool2d, interpolate

import perturb
from perturb.cli.arguments import names_in
from perturb.export.writer import command_line
from perturb.images.image import to_tensor
from perturb.methods.ablation_cam import weights
from perturb.segmenters.layers import Layer, LayerAccess, layer_access
from perturb.segmenters.summary import Part
from tests import onnx_files as files
from tests.analytic import Constant, picture

HEAD = torch.tensor([[2.0, -1.0, 0.5], [0.0, 1.0, 0.0]])


class Pooled(LayerAccess):
    """No torch module: the mean of every 2 × 2 pixels, a linear head, and each cell repeated."""

    def __init__(self):
        super().__init__("pooled", classes=["thing", "rest"])

    def logits(self, batch):
        return self._head(avg_pool2d(batch, 2))

    def find_layers(self, image):
        return (Layer("pool", "Mean", (3, image.height // 2, image.width // 2), 0, 0),)

    def check_layer(self, image, name):  # noqa: ARG002
        if name != "pool":
            raise perturb.SettingError(f"No layer '{name}'; expected pool.")

    def observe(self, image, name):
        self.check_layer(image, name)
        batch = to_tensor(image, self.device)[None]
        return self(batch), avg_pool2d(batch, 2)

    def downstream(self, image, name):
        segmenter = self

        class Head:
            clean, activation = segmenter.observe(image, name)
            note = ""

            def __call__(self, activation):
                return segmenter._head(activation)

        return Head()

    def summary(self, image):
        return Part("", "Pooled", 1, ((2, image.height, image.width),), HEAD.numel())

    def _head(self, cells):
        return interpolate(torch.einsum("kc,nchw->nkhw", HEAD, cells), scale_factor=2, mode="nearest")


def test_a_segmenter_of_any_kind_is_explained_through_the_interface():
    image, segmenter = picture(8, 12), Pooled()
    target = perturb.Target("thing", region="box:2,2,6,4")
    result = perturb.explain(image, segmenter, target, method="ablation-cam")
    assert result.facts["layer"] == "pool"
    assert result.execution.passes == "downstream"
    cells = avg_pool2d(to_tensor(image, "cpu")[None], 2)[0].double()
    region = torch.from_numpy(result.frozen.region.reshape(4, 2, 6, 2).all((1, 3)))  # the box covers whole cells
    assert 4 * int(region.sum()) == result.frozen.region.sum() > 0
    inside = cells[:, region].mean(1)
    drop = HEAD[0].double() * inside
    score = float(drop.sum())
    clean = perturb.explain(image, segmenter, target, method="ablation-cam").clean
    worth, plain = weights(clean, result.readings)
    assert not plain
    assert_allclose(worth, drop / abs(score), rtol=1e-5)
    assert layer_access(segmenter).activations(image, "pool").shape == (3, 4, 6)


def test_what_has_no_layers_is_answered_in_words():
    with pytest.raises(perturb.SegmenterError, match="'constant' is no torch network, so its layers cannot be reached"):
        layer_access(Constant())


class Halved(nn.Module):
    """Takes only sides that are multiples of 8, and says so after its first convolution."""

    def __init__(self):
        super().__init__()
        self.first, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 1)

    def forward(self, x):
        x = self.first(x)
        if x.shape[2] % 8 or x.shape[3] % 8:
            raise RuntimeError("sides must be multiples of 8")
        return self.head(x)


def test_a_summary_counts_no_pass_that_only_looks_for_a_size_that_fits():
    whole = perturb.TorchSegmenter(Halved(), classes=["a", "b"]).summary(picture(13, 18))
    assert [(part.name, part.calls, part.shapes) for part in whole.walk()] == [
        ("", 1, ((2, 16, 24),)),
        ("first", 1, ((4, 16, 24),)),
        ("head", 1, ((2, 16, 24),)),
    ]


def test_segmenters_have_nothing_to_say_but_what_an_adapter_says():
    plain = Constant()
    assert (plain.input_note, plain.options) == ("", ())
    assert (plain.card().classes, plain.card().abilities) == (("thing", "rest"), ("logits",))
    file = perturb.load_onnx(files.save(files.pixelwise()), scale="bytes", classes=["a", "b"])
    assert file.input_note == str(file.spec)
    assert file.card().input == file.input_note
    assert file.card().abilities == ("logits", "layers")


@pytest.mark.parametrize(
    "names", [("a", "b"), ("a, b", "c"), (" a", "b"), ("[a", "b"), ('["a"]', "b"), ("", "b"), ("a\nb", "c")]
)
def test_the_command_line_reads_back_the_names_that_a_file_is_loaded_with(names):
    segmenter = perturb.load_onnx(files.save(files.pixelwise()), scale="bytes", classes=list(names))
    result = perturb.explain(picture(6, 8), segmenter, perturb.Target("1", region="all"), size=4, stride=4)
    words = shlex.split(command_line(result))
    assert names_in(words[words.index("--classes") + 1]) == names
    assert words[words.index("--onnx") + 1] == "scale=bytes"
    assert np.isfinite(result.heatmap).all()
