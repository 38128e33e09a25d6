"""Mutated ONNX files: their bytes, and their graphs, operators, shapes, weights and words."""

import functools

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

import perturb
from perturb.images.image import image_from_pixels
from perturb.segmenters.onnx.spec import read_spec
from tests import onnx_files as files
from tests.fuzz.mutations import EDGES, blind, generator, sentence

OPERATORS = (
    "Add", "ArgMax", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Conv", "ConvTranspose", "Div", "Expand",
    "Flatten", "Gather", "Gemm", "GlobalAveragePool", "Identity", "InstanceNormalization", "LayerNormalization", "MatMul",
    "MaxPool", "Mul", "Pad", "PRelu", "ReduceMean", "Relu", "Reshape", "Resize", "Shape", "Sigmoid", "Slice", "Softmax",
    "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze", "Where",
)  # fmt: skip


def _encoder_decoder(**options):
    """Down and up again, with a skip connection: the operators that segmenters have."""
    rng, node = np.random.default_rng(1), helper.make_node
    held = [
        files.weights("w1", rng.normal(size=(4, 3, 3, 3))),
        files.weights("w2", rng.normal(size=(8, 4, 3, 3))),
        files.weights("w3", rng.normal(size=(8, 4, 2, 2))),
        files.weights("w4", rng.normal(size=(3, 8, 1, 1))),
        *(
            files.weights(name, values)
            for name, values in (("g", [1] * 4), ("b", [0] * 4), ("m", [0] * 4), ("v", [1] * 4))
        ),
        numpy_helper.from_array(np.array([1, 1, 2, 2], dtype=np.float32), "scales"),
    ]
    return files.model(
        [
            node("Conv", ["picture", "w1"], ["c1"], pads=[1, 1, 1, 1]),
            node("BatchNormalization", ["c1", "g", "b", "m", "v"], ["n1"]),
            node("Relu", ["n1"], ["r1"]),
            node("MaxPool", ["r1"], ["p1"], kernel_shape=[2, 2], strides=[2, 2]),
            node("Conv", ["p1", "w2"], ["c2"], pads=[1, 1, 1, 1]),
            node("ConvTranspose", ["c2", "w3"], ["u1"], strides=[2, 2]),
            node("Concat", ["u1", "r1"], ["j1"], axis=1),
            node("Conv", ["j1", "w4"], ["z"]),
            node("AveragePool", ["z"], ["small"], kernel_shape=[2, 2], strides=[2, 2]),
            node("Resize", ["small", "", "scales"], ["back"], mode="linear"),
            node("Add", ["z", "back"], ["sum"]),
            node("Softmax", ["sum"], ["scores"], axis=1),
        ],
        held,
        outputs=[helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 3, "H", "W"])],
        **options,
    )


def _channels_last():
    node, value = helper.make_node, helper.make_tensor_value_info
    return files.model(
        [
            node("Cast", ["picture"], ["floats"], to=TensorProto.FLOAT),
            node("Transpose", ["floats"], ["first"], perm=[0, 3, 1, 2]),
            node("Conv", ["first", "w"], ["z"]),
            node("Transpose", ["z"], ["last"], perm=[0, 2, 3, 1]),
            node("Shape", ["last"], ["shape"]),
            node("Reshape", ["last", "shape"], ["scores"]),
        ],
        [files.weights("w", np.random.default_rng(2).normal(size=(3, 3, 1, 1)))],
        [value("picture", TensorProto.UINT8, [1, 16, 24, 3])],
        [value("scores", TensorProto.FLOAT, [1, 16, 24, 3])],
    )


@functools.cache
def sources():
    """Sound files, as bytes."""
    made = (
        files.pixelwise(),
        files.pixelwise("softmax", size=(16, 24)),
        files.pixelwise("sigmoid", kernel=[[1, -2, 0.5]], metadata={"classes": "crack", "scale": "bytes"}),
        _encoder_decoder(metadata={"classes": '["road", "car", "sky"]', "scale": "unit", "mean": "128", "std": "256"}),
        _encoder_decoder(),
        _channels_last(),
    )
    return [files.save(one) for one in made]


def _number(rng):
    return int(rng.choice(EDGES)) if rng.random() < 0.4 else int(rng.integers(-3, 9))


def _shape(model, rng):
    graph = model.graph
    value = rng.choice([*graph.input, *graph.output])
    dims = value.type.tensor_type.shape.dim
    if rng.random() < 0.2 or not dims:
        value.type.tensor_type.elem_type = int(rng.integers(-1, 25))
    elif rng.random() < 0.2:
        dims.add().dim_value = _number(rng)
    elif rng.random() < 0.2:
        del dims[-1]
    else:
        dims[int(rng.integers(len(dims)))].dim_value = _number(rng)


def _wiring(model, rng):
    names = [name for node in model.graph.node for name in (*node.input, *node.output)] + ["", "picture", "nowhere"]
    node = rng.choice(list(model.graph.node))
    side = node.input if node.input and rng.random() < 0.7 else node.output
    if side:
        side[int(rng.integers(len(side)))] = str(rng.choice(names))


def _operator(model, rng):
    rng.choice(list(model.graph.node)).op_type = str(rng.choice(OPERATORS))


def _nodes(model, rng):
    nodes = list(model.graph.node)
    what = rng.random()
    if what < 0.4:
        nodes = [nodes[index] for index in rng.permutation(len(nodes))]
    elif what < 0.7:
        nodes.append(nodes[int(rng.integers(len(nodes)))])
    else:
        del nodes[int(rng.integers(len(nodes)))]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def _attribute(model, rng):
    nodes = [node for node in model.graph.node if node.attribute]
    if not nodes:
        return _operator(model, rng)
    node = rng.choice(nodes)
    attribute = node.attribute[int(rng.integers(len(node.attribute)))]
    what = rng.random()
    if what < 0.15:
        node.attribute.remove(attribute)
    elif what < 0.3:
        attribute.name = str(rng.choice(["axis", "pads", "group", "dilations", "auto_pad", "perm", "mode", "odd"]))
    elif attribute.ints and what < 0.4:
        attribute.ints.append(_number(rng))
    elif attribute.ints:
        attribute.ints[int(rng.integers(len(attribute.ints)))] = _number(rng)
    elif what < 0.5:
        attribute.type = int(rng.integers(15))
    else:
        attribute.i = _number(rng)
    return None


def _weights(model, rng):
    if not model.graph.initializer:
        return _operator(model, rng)
    tensor = rng.choice(list(model.graph.initializer))
    what = rng.random()
    if what < 0.25 and tensor.dims:
        tensor.dims[int(rng.integers(len(tensor.dims)))] = _number(rng)
    elif what < 0.4:
        tensor.dims.append(int(rng.integers(3)))
    elif what < 0.55:
        tensor.data_type = int(rng.integers(25))
    elif what < 0.7:
        tensor.raw_data = tensor.raw_data[: int(rng.integers(len(tensor.raw_data) + 1))]
    else:  # a sound tensor of another shape or with other values
        shape = [int(side) for side in rng.integers(0, 6, size=len(tensor.dims))] if what < 0.85 else list(tensor.dims)
        values = np.full(shape, rng.choice([np.nan, np.inf, 1e38, 0, -1, 3]), dtype=np.float32)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return None


def _words(model, rng):
    del model.metadata_props[:]
    odd = (
        "[" * 5000,
        '["a", "a"]',
        "[1, null]",
        "{}",
        "\0",
        ",,,",
        "a," * 3000,
        '["' + "x" * 10_000 + '"]',
        "nan",
        "1e400",
    )
    for key in ("classes", "scale", "mean", "std", "order"):
        if rng.random() < 0.6:
            model.metadata_props.add(key=key, value=str(rng.choice(odd)))


def _versions(model, rng):
    what = rng.random()
    if what < 0.4:
        model.opset_import[0].version = _number(rng) if rng.random() < 0.4 else int(rng.integers(1, 26))
    elif what < 0.6:
        model.opset_import.add(domain=str(rng.choice(["", "ai.onnx.ml", "com.microsoft"])), version=1)
    elif what < 0.8:
        model.ir_version = int(rng.integers(1, 20))
    else:
        rng.choice(list(model.graph.node)).domain = str(rng.choice(["ai.onnx", "ai.onnx.ml", "com.microsoft", "x"]))


AWARE = (_shape, _wiring, _operator, _nodes, _attribute, _weights, _words, _versions)


def mutant(seed):
    """The mutated file by this number: some of them in their bytes, the others in one or two parts of the graph."""
    rng, made = generator("networks", seed), sources()
    data = made[seed % len(made)]
    if rng.random() < 0.15:
        return blind(data, rng)
    model = onnx.ModelProto.FromString(data)
    for _ in range(int(rng.integers(1, 3))):
        AWARE[int(rng.integers(len(AWARE)))](model, rng)
    return model.SerializeToString()


def check(seed):
    """Load one, run it, and look into it: each step gives what it promises, or says in words why not. The outcome, in a word."""
    data = mutant(seed)
    batch = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(seed))
    image = image_from_pixels(batch[0].permute(1, 2, 0).numpy(), name="random")
    try:
        graph = read_spec(data)
        told = {field: str(getattr(graph.spec, field)) for field in graph.unknown}
        segmenter = perturb.load_onnx(data, **told)
        segmenter.load()
    except perturb.PerturbError as error:
        sentence(error)
        return "refused"
    try:
        logits = segmenter(batch)
        assert tuple(logits.shape) == (2, len(segmenter.classes), 16, 24)
        assert all(layer.name for layer in segmenter.layers(image))
    except perturb.PerturbError as error:
        sentence(error)
        return "cannot_run"
    return "read"
