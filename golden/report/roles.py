"""Roles of tensors: what migration and shifting are about."""

from __future__ import annotations

from triovit.golden.integer.network import IntegerNetwork
from triovit.golden.integer.nodes import Convolution


def depthwise_inputs(network: IntegerNetwork) -> list[str]:
    """Tensors that depthwise layers read, which channel-wise migration gives a scale per channel (Trio-ViT)."""
    return _inputs(network, lambda node: node.depthwise)


def projection_inputs(network: IntegerNetwork) -> list[str]:
    """Tensors between a depthwise and a pointwise layer (PW2's inputs): shifting gives them a zero point per
    channel (Trio-ViT)."""
    depthwise = {node.name for node in network.nodes if node.kind == "depthwise"}
    return _inputs(network, lambda node: node.kind == "pointwise" and node.input in depthwise)


def _inputs(network: IntegerNetwork, reads) -> list[str]:
    return list(dict.fromkeys(node.input for node in network.nodes if isinstance(node, Convolution) and reads(node)))
