"""Names of layers, and the tensors that migration and shifting are about."""

import dataclasses

from tests.networks import small_network
from triovit.golden.integer.nodes import Convolution
from triovit.golden.network.efficientvit.model import EfficientViT
from triovit.golden.network.seeded import initialize
from triovit.golden.quantization.calibration.images import random_images
from triovit.golden.quantization.quantize import quantize
from triovit.golden.report.names import depthwise_inputs, projection_inputs, short_names


def test_short_names():
    network = quantize(initialize(EfficientViT("b0", 7, 32), 1), random_images(1, 1, 32), name="x")
    names = short_names(network)
    assert list(names) == list(network.shapes())
    assert names["backbone.stages.2.op_list.1.context_module.main.qkv"] == "stages.2.1.context.qkv"
    assert names["backbone.stages.2.op_list.1.context_module.main.attention.kv0"] == "stages.2.1.context.attention.kv0"
    assert len(set(names.values())) == len(names)


def test_full_names_where_short_ones_are_equal():
    network = small_network(1)
    first, second = network.nodes[:2]
    renamed = (dataclasses.replace(first, name="a.main.b"), dataclasses.replace(second, name="a.b", input="a.main.b"))
    names = short_names(dataclasses.replace(network, nodes=renamed))
    assert names == {name: name for name in ("input", "a.main.b", "a.b")}


def test_inputs():
    network = small_network(1)
    migrated, shifted = depthwise_inputs(network), projection_inputs(network)
    readers = {node.input: node for node in network.nodes if isinstance(node, Convolution)}
    assert migrated == ["stem", "mb1.expand", "mb2.expand", "att.qkv", "mb3.expand"]
    assert shifted == ["ds.depthwise", "mb1.depthwise", "mb2.depthwise", "mb3.depthwise"]
    assert all(readers[name].kind == "pointwise" for name in shifted)
