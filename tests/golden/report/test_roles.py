"""The tensors that migration and shifting are about."""

from tests.networks import small_network
from triovit.golden.integer.nodes import Convolution
from triovit.golden.report.roles import depthwise_inputs, projection_inputs


def test_inputs():
    network = small_network(1)
    migrated, shifted = depthwise_inputs(network), projection_inputs(network)
    readers = {node.input: node for node in network.nodes if isinstance(node, Convolution)}
    assert migrated == ["stem", "mb1.expand", "mb2.expand", "att.qkv", "mb3.expand"]
    assert shifted == ["ds.depthwise", "mb1.depthwise", "mb2.depthwise", "mb3.depthwise"]
    assert all(readers[name].kind == "pointwise" for name in shifted)
