"""Check that no tensor's size depends on the image's content. Otherwise a trial run on one image bounds no other's memory.

Two properties spread through the graph from its input: that a tensor's values depend on the content, and that its shape
does. `Shape` and `Size` turn the second into the first.
"""

from __future__ import annotations

from perturb.core.errors import SegmenterError
from perturb.segmenters.onnx.runtime import onnx

SIZED_BY = {
    "AffineGrid": (1,), "BlackmanWindow": (0,), "CenterCropPad": (1,), "Col2Im": (1, 2), "ConstantOfShape": (0,), "DFT": (1,),
    "Expand": (1,), "HammingWindow": (0,), "HannWindow": (0,), "ImageDecoder": (0,), "MaxUnpool": (2,),
    "MelWeightMatrix": (0, 1), "OneHot": (1,), "Pad": (1, 3), "Range": (0, 1, 2), "Resize": (1, 2, 3), "STFT": (1, 3),
    "Tile": (1,), "Upsample": (1,),
}  # fmt: skip
"""Operators whose output can have any size, given by the values of some inputs: the indices of these inputs."""
SHAPED_BY = {
    "Compress": (1,), "NonMaxSuppression": (0, 1, 2, 3, 4), "NonZero": (0,), "ReduceL1": (1,), "ReduceL2": (1,),
    "ReduceLogSum": (1,), "ReduceLogSumExp": (1,), "ReduceMax": (1,), "ReduceMean": (1,), "ReduceMin": (1,),
    "ReduceProd": (1,), "ReduceSum": (1,), "ReduceSumSquare": (1,), "Reshape": (1,), "SequenceAt": (1,),
    "SequenceErase": (1,), "Slice": (1, 2, 3, 4), "Split": (1,), "SplitToSequence": (1,), "Squeeze": (1,),
    "StringNormalizer": (0,), "StringSplit": (0,), "TopK": (1,), "Unique": (0,), "Unsqueeze": (1,),
}  # fmt: skip
"""Operators whose output is not larger than their inputs, but whose shape is given by the values of some of them."""
PLAIN = (
    "Abs", "Acos", "Acosh", "Add", "And", "ArgMax", "ArgMin", "Asin", "Asinh", "Atan", "Atanh", "Attention", "AveragePool",
    "BatchNormalization", "BitCast", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "Cast", "CastLike",
    "CausalConvWithState", "Ceil", "Celu", "Clip", "Concat", "ConcatFromSequence", "Constant", "Conv", "ConvInteger",
    "ConvTranspose", "Cos", "Cosh", "CumProd", "CumSum", "DeformConv", "DepthToSpace", "DequantizeLinear", "Det", "Div",
    "Dropout", "DynamicQuantizeLinear", "Einsum", "Elu", "Equal", "Erf", "Exp", "EyeLike", "Flatten", "Floor", "GRU",
    "Gather", "GatherElements", "GatherND", "Gelu", "Gemm", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "Greater",
    "GreaterOrEqual", "GridSample", "GroupNormalization", "HardSigmoid", "HardSwish", "Hardmax", "Identity",
    "InstanceNormalization", "IsInf", "IsNaN", "LRN", "LSTM", "LayerNormalization", "LeakyRelu", "Less", "LessOrEqual",
    "LinearAttention", "Log", "LogSoftmax", "LpNormalization", "LpPool", "MatMul", "MatMulInteger", "Max", "MaxPool",
    "MaxRoiPool", "Mean", "MeanVarianceNormalization", "Min", "Mish", "Mod", "Mul", "Neg", "NegativeLogLikelihoodLoss", "Not",
    "Optional", "OptionalGetElement", "OptionalHasElement", "Or", "PRelu", "Pow", "QLinearConv", "QLinearMatMul",
    "QuantizeLinear", "RMSNormalization", "RNN", "Reciprocal", "RegexFullMatch", "Relu", "ReverseSequence", "RoiAlign",
    "RotaryEmbedding", "Round", "Scatter", "ScatterElements", "ScatterND", "Selu", "SequenceConstruct", "SequenceEmpty",
    "SequenceInsert", "SequenceLength", "Shape", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Size", "Softmax",
    "SoftmaxCrossEntropyLoss", "Softplus", "Softsign", "SpaceToDepth", "Sqrt", "StringConcat", "Sub", "Sum", "SwiGLU",
    "Swish", "Tan", "Tanh", "TensorScatter", "TfIdfVectorizer", "ThresholdedRelu", "Transpose", "Trilu", "Where", "Xor",
)  # fmt: skip
"""Operators whose output shape follows from the shapes of their inputs and their attributes."""
_KNOWN = {*SIZED_BY, *SHAPED_BY, *PLAIN}


def check_sizes(graph: onnx.GraphProto, name: str, how: str) -> None:
    """Check that sizes may depend on the image's size, but not on its content.

    Args:
        graph: with its nodes in topological order, without control flow.
        name: name of the file in messages.
        how: how to export another file, for messages.

    Raises:
        SegmenterError: a size depends on the content, or an operator is not known here.
    """
    held = {tensor.name for tensor in graph.initializer}
    values = {value.name for value in graph.input} - held
    shapes: set[str] = set()
    for node in graph.node:
        if node.op_type not in _KNOWN:
            raise SegmenterError(
                f"'{name}' uses the operator '{node.op_type}', which is not known here; expected operators of ONNX up to 1.22. "
                f"{how}"
            )
        depends = {place: given in values or given in shapes for place, given in enumerate(node.input)}
        if any(depends.get(place, False) for place in SIZED_BY.get(node.op_type, ())):
            raise SegmenterError(
                f"In '{name}' the content of the image decides how large the result of '{node.op_type}' is, so its memory "
                f"has no bound; expected sizes that depend on the image's size alone. {how}"
            )
        shaped = any(given in shapes for given in node.input)
        measures = node.op_type in ("Shape", "Size")
        reshaped = any(depends.get(place, False) for place in SHAPED_BY.get(node.op_type, ()))
        if (shaped or reshaped) and not measures:
            shapes.update(node.output)
        if shaped or (not measures and any(given in values for given in node.input)):
            values.update(node.output)
