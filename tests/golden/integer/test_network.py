"""Every rule of the integer network: a legal one passes, and each broken rule is named in one line."""

from dataclasses import replace

import numpy as np
import pytest

from tests.networks import efficientvit_like, small_network, unusual_network
from triovit.golden.integer.apot import ApotFormat
from triovit.golden.integer.errors import NetworkError
from triovit.golden.integer.network import INPUT, IntegerNetwork
from triovit.golden.integer.nodes import Attention, Convolution, LayerNorm, Pool
from triovit.golden.integer.records import PostParameters

ONE = {"m1": 1}


def records(channels, **values):
    return PostParameters.create(channels, **{**ONE, **values})


def conv(name="a", source=INPUT, *, out=4, inputs=3, kernel=1, **values):
    values.setdefault("post", records(out))
    values.setdefault("weight", np.ones((out, inputs // (values.get("groups") or 1), kernel, kernel), dtype=np.int8))
    return Convolution(name, source, **values)


def attend(**values):
    defaults = {
        "inputs": ("q",),
        "heads": 2,
        "dim": 2,
        "product": (records(2),),
        "key_sum": (records(2),),
        "divide": (records(2),),
        "log2_offset": (0,),
    }
    return Attention("att", **{**defaults, **values})


def network(*nodes, shape=(3, 4, 4)):
    return IntegerNetwork("net", shape, nodes)


def one_weight(value, dtype=np.int8):
    """Weights of four filters over three channels: ones, but for one of the second filter."""
    weight = np.ones((4, 3, 1, 1), dtype=dtype)
    weight[1, 2] = value
    return weight


def filters(*flags):
    return np.array(flags, dtype=bool)


def pads(*values):
    return np.array(values, dtype=np.int64)


@pytest.mark.parametrize(
    "make", [lambda: small_network(1), lambda: unusual_network(2), lambda: efficientvit_like("b0", 32, 3)]
)
def test_legal_networks_pass(make):
    built = make()
    assert built.validate() is built


def test_shapes_name_every_tensor_in_execution_order():
    built = network(
        conv("q", out=12),
        attend(),
        Pool("pool", "att", records(4)),
        LayerNorm("norm", "pool", np.ones(4, dtype=np.int8), 1, records(4)),
        shape=(3, 2, 3),
    )
    assert built.shapes() == {
        INPUT: (3, 2, 3),
        "q": (12, 2, 3),
        "att.kv0": (2, 2, 2),
        "att.sum0": (2, 2),
        "att.code0": (2, 6),
        "att": (4, 2, 3),
        "pool": (4, 1, 1),
        "norm": (4, 1, 1),
    }
    assert list(built.shapes()) == [INPUT, "q", "att.kv0", "att.sum0", "att.code0", "att", "pool", "norm"]
    assert built.output == "norm"
    assert built.node("att").heads == 2
    with pytest.raises(KeyError, match="no node 'x'"):
        built.node("x")


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "size"),
    [(3, 2, 1, (3, 4)), (3, 1, 0, (3, 5)), (1, 2, 0, (3, 4)), (5, 1, 2, (5, 7))],
)
def test_convolution_shape(kernel, stride, padding, size):
    node = conv(kernel=kernel, stride=stride, padding=padding, pad_value=pads(0, 0, 0))
    assert network(node, shape=(3, 5, 7)).shapes()["a"] == (4, *size)


WRONG = {
    "no nodes": ((), "has no nodes"),
    "name twice": ((conv(), conv()), "tensor name a is used twice"),
    "name of the input": ((conv(INPUT),), "tensor name input is used twice"),
    "name of an intermediate": ((conv("q", out=12), conv("att.kv0"), attend()), "tensor name att.kv0 is used twice"),
    "unknown input": ((conv(source="x"),), "a: input x is not computed before it"),
    "unknown residual": ((conv(out=3, residual="x"),), "a: input x is not computed before it"),
    "intermediate as input": (
        (conv("q", out=12), attend(), conv(source="att.kv0", inputs=2)),
        "att.kv0 is no int8 feature map",
    ),
    "wide as input": (
        (conv(post=records(4, activation="wide")), conv("b", "a", inputs=4)),
        "b: input a is no int8 feature map",
    ),
    "wide as residual": (
        (conv(post=records(4, activation="wide")), conv("b", residual="a")),
        "b: input a is no int8 feature map",
    ),
    "weight shape": (
        (conv(weight=np.ones((4, 3, 1, 2), dtype=np.int8)),),
        r"weight must have shape \(Cout, Cin/groups, k, k\)",
    ),
    "channels": ((conv(inputs=5),), "does not fit 3 channels"),
    "groups": ((conv(weight=np.ones((4, 1, 1, 1), dtype=np.int8), groups=3),), "with 3 groups does not fit 3 channels"),
    "no groups": ((conv(weight=np.ones((4, 3, 1, 1), dtype=np.int8), groups=0),), "groups at least 1, not 0, 0"),
    "weight -128": ((conv(weight=np.full((4, 3, 1, 1), -128, dtype=np.int8)),), r"weights must lie in \[-127, 127\]"),
    "weight bits": ((conv(weight_bits=6),), "weight_bits must be 4 or 8, not 6"),
    "4-bit weight": ((conv(weight_bits=4, weight=one_weight(-8)),), r"weights must lie in \[-7, 7\] for 4 bits, .* -8"),
    "int16 weight": ((conv(weight=one_weight(1, np.int16)),), "int8, or int16 with APoT filters, not int16"),
    "int32 APoT": (
        (conv(weight=one_weight(1, np.int32), apot=ApotFormat(), apot_filters=filters(1, 1, 1, 1)),),
        "or int16 with APoT filters, not int32",
    ),
    "int16 without filters": (
        (conv(weight=one_weight(1, np.int16), apot=ApotFormat(), apot_filters=filters(0, 0, 0, 0)),),
        "or int16 with APoT filters, not int16",
    ),
    "filters without a format": ((conv(apot_filters=filters(0, 0, 0, 0)),), "apot_filters need the format apot"),
    "filter count": (
        (conv(apot=ApotFormat(), apot_filters=filters(1, 0, 1)),),
        r"apot_filters must be \(4,\) bool or empty, not \(3,\) bool",
    ),
    "filter flags": (
        (conv(apot=ApotFormat(), apot_filters=np.ones(4, dtype=np.int8)),),
        r"apot_filters must be \(4,\) bool or empty, not \(4,\) int8",
    ),
    "between two levels": (
        (conv(weight=one_weight(7), apot=ApotFormat(), apot_filters=filters(0, 1, 0, 0)),),
        r"weights of APoT filters must be levels of ApotFormat\(exponent_bits=3, low=0\), not 7",
    ),
    "beyond the levels": (
        (conv(weight=one_weight(160, np.int16), apot=ApotFormat(), apot_filters=filters(0, 1, 0, 0)),),
        "must be levels of .*, not 160",
    ),
    "uniform beside APoT": (
        (conv(weight=one_weight(128, np.int16), apot=ApotFormat(), apot_filters=filters(1, 0, 0, 0)),),
        r"weights must lie in \[-127, 127\] for 8 bits, not 128",
    ),
    "float weight": ((conv(weight=np.ones((4, 3, 1, 1))),), "weight must be int8, or int16 with .*, not float64"),
    "no weights": ((conv(weight=np.ones((0, 3, 1, 1), dtype=np.int8), post=records(0)),), r"weight must have shape"),
    "float pad value": ((conv(pad_value=np.zeros(3)),), "pad_value must be integers, not float64"),
    "stride": ((conv(stride=3),), "stride must be 1 or 2, not 3"),
    "padding": ((conv(padding=-1),), "padding must be at least 0"),
    "padding of a point": ((conv(padding=1, pad_value=pads(0, 0, 0)),), "padding must be less than the kernel, 1, no"),
    "padding beyond the kernel": (
        (conv(kernel=3, padding=3, pad_value=pads(0, 0, 0)),),
        "padding must be less than the kernel, 3, not 3",
    ),
    "pad shape": ((conv(kernel=3, padding=1, pad_value=pads(0, 0)),), r"pad_value must have shape \(3,\)"),
    "pad value": ((conv(kernel=3, padding=1, pad_value=pads(0, 128, 0)),), "pad_value must be int8"),
    "pad value below": ((conv(kernel=3, padding=1, pad_value=pads(0, -129, 0)),), "pad_value must be int8"),
    "kernel": ((conv(kernel=5),), "a 5 x 5 kernel does not fit a 4 x 4 map"),
    "residual shape": ((conv(residual=INPUT),), r"residual input has shape \(3, 4, 4\), not \(4, 4, 4\)"),
    "residual activation": (
        (conv(out=3, residual=INPUT, post=records(3, activation="hardswish")),),
        "residual needs a linear",
    ),
    "activation": (
        (conv(post=records(4, activation="relu")),),
        "activation must be one of linear, hardswish, wide, not 'relu'",
    ),
    "fraction bits": ((conv(post=records(4, fraction_bits=14)),), "fraction_bits must be 0..13, not 14"),
    "record count": ((conv(post=records(5)),), r"bias must have shape \(4,\), not \(5,\)"),
    "float record": ((conv(post=replace(records(4), m2=np.ones(4))),), "m2 must be integers, not float64"),
    "m1": ((conv(post=records(4, m1=65536)),), r"m1 must lie in \[0, 65535\]"),
    "negative m2": ((conv(post=records(4, m2=-1)),), r"m2 must lie in \[0, 65535\]"),
    "n1": ((conv(post=records(4, n1=48)),), r"n1 must lie in \[0, 47\]"),
    "n2": ((conv(post=records(4, n2=48)),), r"n2 must lie in \[0, 47\]"),
    "residual shift": ((conv(post=records(4, residual_shift=48)),), r"residual_shift must lie in \[0, 47\]"),
    "residual multiplier": (
        (conv(post=records(4, residual_multiplier=65536)),),
        r"residual_multiplier must lie in \[0, 65535\]",
    ),
    "zero point": ((conv(post=records(4, zero_point=128)),), r"zero_point must lie in \[-128, 127\]"),
    "bias": ((conv(post=records(4, bias=1 << 31)),), "bias must lie in"),
    "attention without inputs": ((conv("q", out=12), attend(inputs=())), "att: needs at least one input"),
    "attention channels": ((conv("q", out=8), attend()), "input q must have 12 channels"),
    "branches of two sizes": (
        (conv("q", out=12), conv("r", out=12, stride=2), attend(inputs=("q", "r"))),
        "input r must have 12",
    ),
    "branch records": ((conv("q", out=12), attend(key_sum=())), "1 branches need as many records, not 0"),
    "head records": ((conv("q", out=12), attend(divide=(records(3),))), r"bias must have shape \(2,\)"),
    "attention activation": (
        (conv("q", out=12), attend(product=(records(2, activation="wide"),))),
        "must be linear, not wide",
    ),
    "offset": (
        (conv("q", out=12), attend(log2_offset=(32,))),
        r"log2_offset must be one of -32..31 a branch, not \(32,\)",
    ),
    "offset count": ((conv("q", out=12), attend(log2_offset=(0, 0))), "log2_offset must be one of"),
    "divisor": (
        (conv("q", out=12), attend(divisor="softmax")),
        "divisor must be one of log2, uniform, not 'softmax'",
    ),
    "divisor scale of log2": (
        (conv("q", out=12), attend(divisor_scale=(records(2),))),
        "divisor_scale belongs to divisor 'uniform', not to 'log2'",
    ),
    "no divisor scale": (
        (conv("q", out=12), attend(divisor="uniform", log2_offset=())),
        "1 branches need as many records, not 0",
    ),
    "heads of divisor scale": (
        (conv("q", out=12), attend(divisor="uniform", log2_offset=(), divisor_scale=(records(3),))),
        r"bias must have shape \(2,\)",
    ),
    "bias of divisor scale": (
        (conv("q", out=12), attend(divisor="uniform", log2_offset=(), divisor_scale=(records(2, bias=[0, 1]),))),
        "divisor_scale must have bias 0 and zero_point 0",
    ),
    "zero point of divisor scale": (
        (conv("q", out=12), attend(divisor="uniform", log2_offset=(), divisor_scale=(records(2, zero_point=-1),))),
        "divisor_scale must have bias 0 and zero_point 0",
    ),
    "offset of uniform": (
        (conv("q", out=12), attend(divisor="uniform", divisor_scale=(records(2),))),
        r"log2_offset must be empty with divisor 'uniform', not \(0,\)",
    ),
    "no log2 offset": ((conv("q", out=12), attend(log2_offset=())), r"log2_offset must be one of .*, not \(\)"),
    "pool records": ((Pool("p", INPUT, records(4)),), r"bias must have shape \(3,\)"),
    "norm of a map": ((LayerNorm("n", INPUT, np.ones(3, dtype=np.int8), 0, records(3)),), r"needs a \(3, 1, 1\) input"),
    "norm weights": (
        (Pool("p", INPUT, records(3)), LayerNorm("n", "p", np.ones(2, dtype=np.int8), 0, records(3))),
        "weights",
    ),
    "norm weight -128": (
        (Pool("p", INPUT, records(3)), LayerNorm("n", "p", np.full(3, -128), 0, records(3))),
        "-127, 127",
    ),
    "epsilon": (
        (Pool("p", INPUT, records(3)), LayerNorm("n", "p", np.ones(3, dtype=np.int8), 1 << 32, records(3))),
        "32-bit epsilon",
    ),
}


@pytest.mark.parametrize(
    "node",
    [
        conv(weight_bits=4, weight=one_weight(-7)),
        conv(weight_bits=4, weight=one_weight(7)),
        conv(weight=one_weight(-127)),
        conv(weight=one_weight(-127), apot=ApotFormat()),
        conv(weight=one_weight(-127), apot=ApotFormat(), apot_filters=filters(1, 0, 1, 1)),
        conv(weight=one_weight(-128), apot=ApotFormat(), apot_filters=filters(0, 1, 0, 0)),
        conv(weight=one_weight(128, np.int16), apot=ApotFormat(), apot_filters=filters(1, 1, 1, 1)),
        conv(weight=one_weight(66), weight_bits=4, apot=ApotFormat(), apot_filters=filters(0, 1, 0, 0)),
    ],
)
def test_weights_of_both_kinds(node):
    network(node).validate()


def test_extremes_pass():
    network(conv(kernel=3, padding=2, pad_value=pads(-128, 0, 127))).validate()
    network(conv("q", out=12), attend(log2_offset=(-32,))).validate()
    network(conv("q", out=12), attend(log2_offset=(31,))).validate()


def test_both_divisors_pass():
    network(conv("q", out=12), attend()).validate()
    built = network(conv("q", out=12), attend(divisor="uniform", log2_offset=(), divisor_scale=(records(2),)))
    assert built.validate().shapes()["att.code0"] == (2, 16)


@pytest.mark.parametrize("case", WRONG)
def test_each_broken_rule_is_named(case):
    nodes, message = WRONG[case]
    with pytest.raises(NetworkError, match=message) as caught:
        network(*nodes).validate()
    assert "\n" not in str(caught.value)


def test_layer_norm_is_limited_by_the_channel_counter():
    def normed(channels):
        return network(
            Pool("p", INPUT, records(channels)),
            LayerNorm("n", "p", np.ones(channels, dtype=np.int8), 0, records(channels)),
            shape=(channels, 1, 1),
        )

    normed(4095).validate()
    with pytest.raises(NetworkError, match="at most 4095 channels"):
        normed(4096).validate()


@pytest.mark.parametrize("shape", [(3, 0, 4), (3, 4), (3, -1, 4)])
def test_input_shape(shape):
    with pytest.raises(NetworkError, match="input_shape must be three positive sizes"):
        network(conv(), shape=shape).validate()


def test_classes_name_every_output():
    replace(network(conv()), classes=()).validate()
    outputs = 4
    replace(network(conv()), classes=tuple(map(str, range(outputs)))).validate()
    for wrong in (outputs - 1, outputs + 1):
        with pytest.raises(NetworkError, match=f"classes must name all {outputs} outputs, not {wrong}$"):
            replace(network(conv()), classes=tuple(map(str, range(wrong)))).validate()


def test_records_and_metadata():
    post = PostParameters.create(3, bias=[1, 2, 3], m1=7, activation="hardswish", fraction_bits=5)
    assert post.channels == 3
    assert post.bias.tolist() == [1, 2, 3]
    assert post.m1.tolist() == [7, 7, 7]
    assert post.n2.tolist() == [0, 0, 0]
    assert list(post.arrays()) == list(PostParameters.ARRAYS)
    built = network(conv()).with_metadata(a=1).with_metadata(b=2)
    assert built.metadata == {"a": 1, "b": 2}
