"""Small ONNX files, made in memory: honest segmenters, and hostile ones."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = [helper.make_opsetid("", 18)]


def weights(name, values):
    return numpy_helper.from_array(np.asarray(values, dtype=np.float32), name)


def model(nodes, held=(), inputs=None, outputs=None, *, opsets=None, metadata=None):
    """A file from nodes; by default (N, 3, H, W) to (N, 2, H, W), any size."""
    inputs = inputs or [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["N", 3, "H", "W"])]
    outputs = outputs or [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 2, "H", "W"])]
    graph = helper.make_graph(list(nodes), "net", inputs, outputs, list(held))
    made = helper.make_model(graph, opset_imports=opsets or OPSET, ir_version=9)
    for key, value in (metadata or {}).items():
        made.metadata_props.add(key=key, value=value)
    return made


def pixelwise(kind="logits", *, kernel=None, size=("H", "W"), **options):
    """Each pixel on its own: logit k = Σ kernel[k] · colour. By default dark against bright, as in `analytic`."""
    kernel = np.array([[10 / 3] * 3, [-10 / 3] * 3]) if kernel is None else np.asarray(kernel)
    bias = np.array([0.0, 10.0]) if len(kernel) == 2 else np.zeros(len(kernel))
    ends = {"logits": "Identity", "softmax": "Softmax", "sigmoid": "Sigmoid"}
    last = helper.make_node(ends[kind], ["z"], ["scores"], **({"axis": 1} if kind == "softmax" else {}))
    return model(
        [helper.make_node("Conv", ["picture", "w", "b"], ["z"], kernel_shape=[1, 1]), last],
        [weights("w", kernel[:, :, None, None]), weights("b", bias)],
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["N", 3, *size])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", len(kernel), *size])],
        **options,
    )


def save(made):
    return made.SerializeToString()


def simple(op, **attributes):
    """One operator from the picture to the scores."""
    return model([helper.make_node(op, ["picture"], ["scores"], **attributes)])


def looping():
    """`while True: pass`, as a graph."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["goes_on"]), helper.make_node("Identity", ["x"], ["y"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("goes_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
        ],
    )
    yes = numpy_helper.from_array(np.array(True), "yes")
    return model([helper.make_node("Loop", ["", "yes", "picture"], ["scores"], body=body)], [yes])


def external(location="../../etc/passwd"):
    made = pixelwise()
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return made


def swelling(rows=100_000, columns=100_000):
    """A tiny file that asks for a tensor of 10 thousand million values on the way."""
    shape = numpy_helper.from_array(np.array([1, 1, rows, columns], dtype=np.int64), "shape")
    return model(
        [
            helper.make_node("ConstantOfShape", ["shape"], ["huge"]),
            helper.make_node("ReduceMax", ["huge"], ["one"], keepdims=1),
            helper.make_node("Conv", ["picture", "w"], ["z"], kernel_shape=[1, 1]),
            helper.make_node("Add", ["z", "one"], ["scores"]),
        ],
        [shape, weights("w", np.zeros((2, 3, 1, 1)))],
    )


def hidden_swelling(side=100_000):
    """The same, but the shape is worked out from the picture, so that it shows only when the graph runs."""
    many = numpy_helper.from_array(np.array([side], dtype=np.int64), "many")
    return model(
        [
            helper.make_node("ReduceMax", ["picture"], ["top"], keepdims=0),
            helper.make_node("Ceil", ["top"], ["whole"]),
            helper.make_node("Cast", ["whole"], ["count"], to=TensorProto.INT64),
            helper.make_node("Mul", ["count", "many"], ["side"]),
            helper.make_node("Concat", ["side", "side"], ["shape"], axis=0),
            helper.make_node("ConstantOfShape", ["shape"], ["huge"]),
            helper.make_node("ReduceMax", ["huge"], ["one"], keepdims=0),
            helper.make_node("Conv", ["picture", "w"], ["z"], kernel_shape=[1, 1]),
            helper.make_node("Add", ["z", "one"], ["scores"]),
        ],
        [many, weights("w", np.zeros((2, 3, 1, 1)))],
    )


def bright_division(**options):
    """INT32_MIN / -1 where the picture has a bright pixel: a fault of the processor that ends a process."""
    numbers = {"low": -(2**31), "two": 2, "one": 1}
    held = [numpy_helper.from_array(np.array(value, dtype=np.int32), name) for name, value in numbers.items()]
    return model(
        [
            helper.make_node("ReduceMax", ["picture"], ["top"], keepdims=0),
            helper.make_node("Ceil", ["top"], ["whole"]),
            helper.make_node("Cast", ["whole"], ["bright"], to=TensorProto.INT32),
            helper.make_node("Min", ["bright", "one"], ["is_bright"]),  # 0 or 1
            helper.make_node("Mul", ["is_bright", "two"], ["twice"]),
            helper.make_node("Sub", ["one", "twice"], ["divisor"]),  # 1 or -1
            helper.make_node("Div", ["low", "divisor"], ["quotient"]),
            helper.make_node("Cast", ["quotient"], ["number"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["number", "nothing"], ["zero"]),
            helper.make_node("Conv", ["picture", "w"], ["z"], kernel_shape=[1, 1]),
            helper.make_node("Add", ["z", "zero"], ["scores"]),
        ],
        [*held, weights("nothing", 0.0), weights("w", np.zeros((2, 3, 1, 1)))],
        **options,
    )


def slow(times=400, **options):
    """So many convolutions, each of a hundred thousand multiplications a pixel."""
    nodes = [helper.make_node("Conv", ["picture", "first"], ["x0"], kernel_shape=[1, 1])]
    nodes += [
        helper.make_node("Conv", [f"x{i}", "wide"], [f"x{i + 1}"], kernel_shape=[9, 9], pads=[4] * 4)
        for i in range(times)
    ]
    nodes.append(helper.make_node("Conv", [f"x{times}", "last"], ["scores"], kernel_shape=[1, 1]))
    rng = np.random.default_rng(0)
    return model(
        nodes,
        [
            weights("first", rng.random((32, 3, 1, 1))),
            weights("wide", rng.random((32, 32, 9, 9)) / 2592),
            weights("last", rng.random((2, 32, 1, 1))),
        ],
        **options,
    )


__all__ = [
    "bright_division",
    "external",
    "hidden_swelling",
    "looping",
    "model",
    "onnx",
    "pixelwise",
    "save",
    "simple",
    "slow",
    "swelling",
    "weights",
]
