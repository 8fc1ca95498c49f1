"""Rules of single tensors: what each kind of reader allows, alone and together with others."""

import dataclasses

import numpy as np
import pytest

from tests.golden.quantization.schemes import convolution_layer
from triovit.golden.network.graph import LayerNormLayer, LinearAttentionLayer, PoolLayer
from triovit.golden.quantization.rules import TensorRule, tensor_rules
from triovit.golden.quantization.settings import Settings

PLAIN = {"migration": False, "shifting": "none", "head_scales": False}
CHANNELS = 12


def reader(kind, source="t", name="r", **fields):
    """A layer that reads a tensor of 12 channels."""
    shapes = {
        "pointwise": ((12, 12, 1, 1), 1),
        "dense": ((12, 12, 3, 3), 1),
        "depthwise": ((12, 1, 3, 3), 12),
        "grouped": ((12, 4, 1, 1), 3),
    }
    if kind in shapes:
        shape, groups = shapes[kind]
        return convolution_layer(np.ones(shape), np.zeros(shape[0]), name=name, source=source, groups=groups, **fields)
    common = {"name": name, "output": name, "block": name}
    match kind:
        case "pool":
            return PoolLayer(**common, input=source, channels=CHANNELS, pixels=4)
        case "norm":
            return LayerNormLayer(**common, input=source, gamma=np.ones(CHANNELS), beta=np.ones(CHANNELS), eps=1.0)
    return LinearAttentionLayer(**common, inputs=(source,), heads=3, dim=4)


def rule(*readers, producer="pointwise", **settings):
    last = dataclasses.replace(reader("attention", name="last"), inputs=tuple(layer.name for layer in readers))
    layers = [reader(producer, "s", "t"), *readers, last]
    found = tensor_rules(layers, Settings(**settings))
    assert set(found) == {layer.name for layer in layers[:-1]}
    return found["t"]


@pytest.mark.parametrize(
    ("kind", "expected", "plain"),
    [
        ("pointwise", TensorRule(1, 1), TensorRule(12, 1)),
        ("dense", TensorRule(1, 1), TensorRule(12, 1)),
        ("depthwise", TensorRule(1, 12), TensorRule(12, 1)),
        ("pool", TensorRule(1, 12), TensorRule(12, 1)),
        ("grouped", TensorRule(1, 3), TensorRule(12, 1)),  # a scale per group, which is a head
        ("norm", TensorRule(12, 1), TensorRule(12, 1)),
        ("attention", TensorRule(4, 3, True, True), TensorRule(4, 1, True, True)),
    ],
)
def test_a_single_reader(kind, expected, plain):
    assert rule(reader(kind)) == expected
    assert rule(reader(kind), **PLAIN) == plain
    symmetric = rule(reader(kind), symmetric=True, **PLAIN)
    assert symmetric == dataclasses.replace(plain, symmetric=True)


def test_the_strictest_reader_decides():
    assert rule(reader("depthwise"), reader("pointwise", name="b")) == TensorRule(12, 1)
    assert rule(reader("depthwise"), reader("pool", name="b")) == TensorRule(1, 12)
    assert rule(reader("attention"), reader("depthwise", name="b")) == TensorRule(4, 3, True)  # values below 0 are used
    assert rule(reader("pointwise"), reader("dense", name="b")) == TensorRule(1, 1)


def test_shifting_before_projections_only():
    assert rule(reader("pointwise"), shifting="projection") == TensorRule(12, 1)
    assert rule(reader("pointwise", projection=True), shifting="projection") == TensorRule(1, 1)
    both = reader("pointwise", projection=True), reader("pointwise", name="b")
    assert rule(*both, shifting="projection") == TensorRule(12, 1)
    assert rule(*both, shifting="all") == TensorRule(1, 1)


def test_attention_outputs_have_a_record_a_head():
    assert rule(reader("pointwise"), producer="attention") == TensorRule(12, 1)


def test_a_residual_sum_takes_any_encoding():
    adder = reader("pointwise", "u", "b", residual="t")
    assert rule(reader("depthwise"), adder) == TensorRule(1, 12)


def test_symmetric_leaves_shifting_its_zero_points():
    assert rule(reader("pointwise"), symmetric=True) == TensorRule(1, 1)
    assert rule(reader("depthwise"), symmetric=True) == TensorRule(1, 12, True)
