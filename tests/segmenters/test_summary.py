"""What a network is made of, against trees, shapes and weights worked out by hand."""

from dataclasses import replace

import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

import perturb
from perturb.segmenters.layers import layer_access
from perturb.segmenters.summary import GROUP, KindCount, by_kind, why_not
from perturb.segmenters.torch_layers import find_module
from tests import onnx_files as files
from tests.analytic import Constant, picture
from tests.segmenters.onnx.test_layers import Net, exported


class Odd(nn.Module):
    """A module used twice, one that stands in two places, one that is never used, tied weights, and a dictionary."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.again = nn.Conv2d(4, 4, 1, bias=False)
        self.twin = nn.Conv2d(4, 4, 1, bias=False)
        self.twin.weight = self.again.weight
        self.same = self.first[2]
        self.unused = nn.Linear(5, 2)
        self.both = Both()

    def forward(self, pictures):
        x = self.again(self.again(nn.functional.pad(self.first(pictures), (1, 1))))
        two = self.both(self.same(self.twin(x)))
        return nn.functional.interpolate(two["half"][:, :2], pictures.shape[-2:])


class Both(nn.Module):
    """Gives two maps under names."""

    def forward(self, x):
        return {"half": x, "quarter": x[:, :, ::2, ::2]}


@pytest.fixture(scope="module")
def odd():
    return perturb.TorchSegmenter(Odd(), classes=["a", "b"]).summary(picture(20, 30))


def test_the_tree_its_shapes_and_its_weights(odd):
    assert [part.name for part in odd.walk()] == [
        "", "first", "first.0", "first.1", "first.2", "again", "twin", "same", "unused", "both",
    ]  # fmt: skip
    parts = {part.name: part for part in odd.walk()}
    assert (odd.kind, odd.shapes, odd.calls) == ("Odd", ((2, 20, 30),), 1)
    assert parts["first"].shapes == parts["first.0"].shapes == ((4, 10, 15),)
    assert (parts["first"].own, parts["first"].parameters) == (0, 3 * 4 * 9 + 4 + 4 + 4)
    assert parts["first.1"].parameters == 8, "the running means of the normalisation are not trained"
    assert (parts["again"].calls, parts["again"].shapes) == (2, ((4, 10, 17),))
    assert (parts["again"].parameters, parts["twin"].parameters) == (16, 0), (
        "shared weights count where they stand first"
    )
    assert (parts["same"].same_as, parts["same"].calls) == ("first.2", 2)
    assert set(parts["first.2"].shapes) == {(4, 10, 15), (4, 10, 17)}
    assert (parts["unused"].calls, parts["unused"].shapes, parts["unused"].parameters) == (0, (), 12)
    assert parts["both"].shapes == ((4, 10, 17), (4, 5, 9))
    assert odd.parameters == sum(weights.numel() for weights in Odd().parameters())


def test_a_part_says_by_which_name_methods_of_layers_know_it(odd):
    usable = {part.name for part in odd.walk() if part.layer}
    assert usable == {"first", "first.0", "first.1", "twin"}, "what gives one map, once"
    image, segmenter = picture(20, 30), perturb.TorchSegmenter(Odd(), classes=["a", "b"])
    for name in usable:
        perturb.explain(image, segmenter, perturb.Target("a", region="all"), method="ablation-cam", layer=name)


def test_kinds_are_counted_once_where_they_stand_in_two_places(odd):
    assert by_kind(odd) == (
        KindCount("Conv2d", 3, 3 * 4 * 9 + 4 + 16),
        KindCount("Linear", 1, 12),
        KindCount("BatchNorm2d", 1, 8),
        KindCount("Both", 1, 0),
        KindCount("ReLU", 1, 0),
    )


def test_a_graph_is_read_node_by_node():
    whole = exported(Net().eval()).summary(picture(20, 30))
    assert [(part.kind, part.shapes[0], part.parameters) for part in whole.parts] == [
        ("Conv", (4, 10, 15), 3 * 4 * 9 + 4),
        ("Relu", (4, 10, 15), 0),
        ("Conv", (6, 10, 15), 4 * 6 * 9 + 6),
        ("Relu", (6, 10, 15), 0),
        ("Conv", (6, 10, 15), 4 * 6 + 6),
        ("Add", (6, 10, 15), 0),
        ("Conv", (3, 10, 15), 6 * 3 + 3),
        ("Resize", (3, 20, 30), 0),
    ]
    assert [part.layer for part in whole.parts][:2] == ["first_0.out", "first.relu"]
    assert whole.parts[-1].layer == "", "the scores themselves"
    assert whole.parameters == sum(weights.numel() for weights in Net().parameters())
    assert len({part.name for part in whole.walk()}) == 9


def conv(node, source, target, scopes=None):
    made = helper.make_node("Conv", [source, "w"], [target], name=node, kernel_shape=[1, 1])
    if scopes is not None:
        made.metadata_props.append(onnx.StringStringEntryProto(key="pkg.torch.onnx.name_scopes", value=scopes))
    return made


@pytest.mark.parametrize(
    ("names", "tree"),
    [
        (("/stem/conv/Conv", "/stem/conv/Conv_1", "/head/Conv"), ["stem", "stem.conv", "stem.conv.Conv",
                                                                  "stem.conv.Conv_1", "head"]),
        (("same", "same!", ""), ["same", "same.1", "Conv"]),
        (("a/b", "a", "/"), ["a", "a.1", "Conv"]),
        (("/" * 500 + "x/" * 500 + "y", "../..", "\u202e"), None),
    ],
)  # fmt: skip
def test_the_names_of_nodes_make_the_tree_whatever_they_are(names, tree):
    nodes = [conv(name, given, made) for name, given, made in zip(names, ["picture", "p", "q"], "pqr", strict=True)]
    last = helper.make_node("Slice", ["r", "from", "to", "axis"], ["scores"], name="last")
    held = [files.weights("w", torch.rand(3, 3, 1, 1).numpy())]
    held += [
        onnx.numpy_helper.from_array(torch.tensor([v]).numpy(), n) for n, v in (("from", 0), ("to", 2), ("axis", 1))
    ]
    segmenter = perturb.load_onnx(files.save(files.model([*nodes, last], held)), scale="unit", classes=["a", "b"],
                                  kind="logits")  # fmt: skip
    whole = segmenter.summary(picture(8, 9))
    found = [part.name for part in whole.walk()]
    assert len(found) == len(set(found))
    assert whole.parameters == 9, "one tensor of weights, used three times; the ends of the slice are no weights"
    if tree is not None:
        assert found[1:-1] == tree


def test_the_modules_that_an_exporter_notes_make_the_tree():
    nodes = [
        conv("node_1", "picture", "p", "['', 'stem', 'stem.0', 'stem.0.conv', 'conv2d']"),
        conv("node_2", "p", "q", "['', 'stem', 'stem.1', 'conv2d_1']"),
        conv("node_3", "q", "r", "['', 'stem', 'stem.1', 'conv2d_2']"),
        conv("node_4", "r", "scores", "not a list ["),
    ]
    made = files.model(
        nodes,
        [files.weights("w", torch.rand(3, 3, 1, 1).numpy())],
        outputs=[helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 3, "H", "W"])],
    )
    segmenter = perturb.load_onnx(files.save(made), scale="unit", classes=list("abc"))
    found = [(part.name, part.kind) for part in segmenter.summary(picture(8, 9)).walk()]
    assert found == [
        ("", "ONNX graph"),
        ("stem", GROUP),
        ("stem.0", GROUP),
        ("stem.0.conv", "Conv"),
        ("stem.1", GROUP),
        ("stem.1.node_2", "Conv"),
        ("stem.1.node_3", "Conv"),
        ("node_4", "Conv"),
    ]


def test_what_has_no_parts_is_answered_in_words():
    with pytest.raises(perturb.SegmenterError, match="'constant' is no torch network, so its layers cannot be reached"):
        layer_access(Constant())


def test_a_part_that_is_no_layer_says_why(odd):
    parts = {part.name: part for part in odd.walk()}
    assert {name: why_not(part).split(":")[0].split(",")[0] for name, part in parts.items()} == {
        "": "It is not a layer",
        "first": "",
        "first.0": "",
        "first.1": "",
        "first.2": "It is used 2 times for one image",
        "again": "It is used 2 times for one image",
        "twin": "",
        "same": "It is the same module as first.2",
        "unused": "It is not run by itself for this image",
        "both": "It is not a layer",
    }
    assert why_not(replace(parts["both"], shapes=((4, 1, 1), (4,)))) == (
        "Its output is not a map with channels, rows and columns."
    )


class Several(nn.Module):
    """A layer that gives maps and a number in nested tuples and lists."""

    def __init__(self):
        super().__init__()
        self.split, self.vector = Split(), Vector()

    def forward(self, x):
        (first, *_), _ = self.split(x)
        return first + self.vector(x)


class Split(nn.Module):
    def forward(self, x):
        return [x[:, :2], (x[:, :1, ::2], 7)], {"none": None}


class Vector(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))[:, :2, None, None]


def test_shapes_are_found_in_whatever_a_part_gives():
    segmenter = perturb.TorchSegmenter(Several(), classes=["a", "b"])
    parts = {part.name: part for part in segmenter.summary(picture(20, 30)).walk()}
    assert parts["split"].shapes == ((2, 20, 30), (1, 10, 30))
    for name, sentence in (("split", "gives no map: got a tuple"), ("vector", r"gives no map: got \(1, 2, 1, 1\)")):
        with pytest.raises(perturb.SettingError, match=sentence):
            segmenter.observe(picture(20, 30), name)


def test_a_module_is_found_by_its_name_alone():
    segmenter = perturb.TorchSegmenter(Odd(), classes=["a", "b"])
    assert find_module(segmenter, "first.0") is segmenter.module.first[0]
    for name, hint in (("agin", r"Did you mean 'again'\?"), ("", r"first, again, twin, same, unused, both\.$")):
        with pytest.raises(perturb.SettingError, match=hint):
            find_module(segmenter, name)
    for name, sentence in (("again", "is used 2 times in one pass"), ("unused", "is not used in one pass")):
        with pytest.raises(perturb.SettingError, match=sentence):
            segmenter.observe(picture(20, 30), name)
    with pytest.raises(perturb.SegmenterError, match="'constant' is no torch network"):
        find_module(Constant(), "first")
