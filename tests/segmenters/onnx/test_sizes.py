"""Sizes that depend on the image's content, for every standard operator."""

import onnx
import pytest
from onnx import TensorProto, helper

from perturb.core.errors import SegmenterError
from perturb.segmenters.onnx.checks import CONTROL_FLOW, RANDOM
from perturb.segmenters.onnx.sizes import PLAIN, SHAPED_BY, SIZED_BY, check_sizes

node = helper.make_node


def check(*nodes):
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "H", "W"])
    check_sizes(helper.make_graph(list(nodes), "net", [image], []), "net", "")


def test_every_standard_operator_is_classified_once():
    standard = {schema.name for schema in onnx.defs.get_all_schemas() if not schema.domain}
    classes = [set(SIZED_BY), set(SHAPED_BY), set(PLAIN), set(CONTROL_FLOW), set(RANDOM)]
    assert sum(map(len, classes)) == len(set.union(*classes)), "none has two classes"
    assert standard <= set.union(*classes)
    assert len(PLAIN) == len(set(PLAIN))


@pytest.mark.parametrize(("operator", "place"), [(op, place) for op, places in SIZED_BY.items() for place in places])
def test_a_size_from_the_content_is_refused_wherever_an_operator_takes_sizes(operator, place):
    inputs = [f"constant{index}" for index in range(place)]
    with pytest.raises(SegmenterError, match=f"how large the result of '{operator}' is"):
        check(node("ReduceMax", ["image"], ["top"]), node(operator, [*inputs, "top"], ["out"]))
    check(
        node("Shape", ["image"], ["shape"]), node(operator, [*inputs, "shape"], ["out"])
    )  # of the image's size: allowed


@pytest.mark.parametrize(("operator", "place"), [(op, place) for op, places in SHAPED_BY.items() for place in places])
@pytest.mark.parametrize("measure", ["Shape", "Size"])
def test_a_shape_from_the_content_is_allowed_until_it_becomes_a_size(operator, place, measure):
    inputs = [f"constant{index}" for index in range(place)]
    first = node(operator, [*inputs, "image"], ["some"])
    check(first, node("Relu", ["some"], ["out"]))
    with pytest.raises(SegmenterError, match="how large the result of 'ConstantOfShape' is"):
        check(
            first,
            node("Relu", ["some"], ["same"]),
            node(measure, ["same"], ["count"]),
            node("Add", ["count", "one"], ["more"]),
            node("ConstantOfShape", ["more"], ["out"]),
        )


def test_what_is_counted_by_a_sum_is_a_size_too():
    with pytest.raises(SegmenterError, match="how large the result of 'HannWindow' is"):
        check(
            node("NonZero", ["image"], ["bright"]),
            node("Shape", ["bright"], ["shape"]),
            node("ReduceSum", ["shape"], ["count"]),
            node("HannWindow", ["count"], ["window"]),
        )


def test_the_size_of_the_image_may_decide():
    check(
        node("Conv", ["image", "w"], ["features"]),
        node("Shape", ["features"], ["shape"]),
        node("Slice", ["shape", "from", "to"], ["sides"]),
        node("ConstantOfShape", ["sides"], ["zeros"]),
        node("Resize", ["features", "", "", "shape"], ["large"]),
    )


def test_an_operator_that_is_not_known_is_refused():
    with pytest.raises(SegmenterError, match="uses the operator 'Grow', which is not known here"):
        check(node("Grow", ["image"], ["out"]))
