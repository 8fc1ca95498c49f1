"""Weights of a report: every weight is counted at its level, under its filter's scheme."""

import dataclasses
import math

import numpy as np
import pytest

from tests.networks import small_network
from triovit.golden.integer.apot import ApotFormat
from triovit.golden.integer.nodes import Convolution, LayerNorm
from triovit.golden.report.weights import WeightScheme, layer_weights


@pytest.fixture(scope="module")
def network():
    """One layer with 4 bits, one with three APoT filters, one with nothing but APoT filters."""
    network, apot, rng = small_network(2), ApotFormat(), np.random.default_rng(3)
    nodes = {node.name: node for node in network.nodes}
    depthwise = nodes["ds.depthwise"]
    nodes["ds.depthwise"] = dataclasses.replace(
        depthwise, weight=rng.integers(-7, 8, depthwise.weight.shape).astype(np.int8), weight_bits=4
    )
    for name, marked in (("ds.point", 3), ("widen", 16)):
        node = nodes[name]
        filters = np.arange(len(node.weight)) < marked
        weight = node.weight.astype(np.int16)
        weight[filters] = apot.nearest(weight[filters])
        weight[0, 0] = 128
        nodes[name] = dataclasses.replace(node, weight=weight, apot=apot, apot_filters=filters)
    return dataclasses.replace(network, nodes=tuple(nodes.values())).validate()


def test_every_weight_is_counted(network):
    found = {layer.name: layer for layer in layer_weights(network)}
    assert list(found) == [node.name for node in network.nodes if isinstance(node, (Convolution, LayerNorm))]
    for node in network.nodes:
        if node.name in found:
            layer = found[node.name]
            assert layer.size == node.weight.size
            assert sum(layer.filters.values()) == (1 if isinstance(node, LayerNorm) else len(node.weight))
            assert layer.zeros == pytest.approx((node.weight == 0).mean())


def test_schemes(network):
    found = {layer.name: layer for layer in layer_weights(network)}
    additive = WeightScheme(apot=ApotFormat())
    assert found["stem"].filters == {WeightScheme(8): 8}
    assert found["ds.depthwise"].filters == {WeightScheme(4): 8}
    assert found["ds.point"].filters == {WeightScheme(8): 5, additive: 3}
    assert found["widen"].filters == {additive: 16}
    for name, scheme in (("ds.depthwise", WeightScheme(4)), ("ds.point", additive), ("ds.point", WeightScheme(8))):
        node, counts = network.node(name), found[name].counts[scheme]
        marked = node.apot_filters if node.apot_filters.size else np.zeros(len(node.weight), dtype=bool)
        weight = node.weight[marked if scheme.apot else ~marked]
        assert [int((weight == level).sum()) for level in scheme.levels] == counts.tolist()
        assert found[name].used(scheme) == len(np.unique(weight))


def test_shares_and_entropy(network):
    layer = {layer.name: layer for layer in layer_weights(network)}["ds.point"]
    weight = network.node("ds.point").weight
    ends = (np.abs(weight[:3]) == 128).sum() + (np.abs(weight[3:]) == 127).sum()
    assert ends and layer.ends == ends / weight.size
    depthwise = {layer.name: layer for layer in layer_weights(network)}["ds.depthwise"]
    low, high = ((network.node("ds.depthwise").weight == end).sum() for end in (-7, 7))
    assert low != high and depthwise.ends == (low + high) / 72
    _, counts = np.unique(weight[3:], return_counts=True)
    shares = (counts / counts.sum()).tolist()
    assert layer.entropy(WeightScheme(8)) == pytest.approx(-sum(share * math.log2(share) for share in shares))


def test_levels_and_labels():
    assert WeightScheme(4).levels.tolist() == list(range(-7, 8))
    assert (WeightScheme(8).levels[0], len(WeightScheme(8).levels)) == (-127, 255)
    assert WeightScheme(apot=ApotFormat()).levels.tolist() == ApotFormat().levels.tolist()
    labels = [WeightScheme(8).label, WeightScheme(apot=ApotFormat()).label]
    assert labels == ["uniform 8 bits", "APoT 7 bits, exponents 0 to 6"]
    assert WeightScheme(8) != WeightScheme(apot=ApotFormat())
