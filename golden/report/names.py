"""How layers are told: short names, and roles of tensors."""

from __future__ import annotations

from triovit.golden.integer.network import IntegerNetwork
from triovit.golden.integer.nodes import Convolution

SILENT = ("backbone", "op_list", "main")  # parts of a name that tell nothing about the place in the network


def short_names(network: IntegerNetwork) -> dict[str, str]:
    """A short name of every tensor; the full ones should two short ones be equal.

    `backbone.stages.2.op_list.1.context_module.main.qkv` becomes `stages.2.1.context.qkv`.
    """
    names = list(network.shapes())
    short = [".".join(part.removesuffix("_module") for part in name.split(".") if part not in SILENT) for name in names]
    return dict(zip(names, short if len(set(short)) == len(short) else names, strict=True))


def depthwise_inputs(network: IntegerNetwork) -> list[str]:
    """Tensors that depthwise layers read, which channel-wise migration gives a scale a channel (Trio-ViT)."""
    return _inputs(network, lambda node: node.depthwise)


def projection_inputs(network: IntegerNetwork) -> list[str]:
    """Tensors between a depthwise and a pointwise layer, PW2's inputs, which filter-wise shifting gives a zero point a
    channel (Trio-ViT)."""
    depthwise = {node.name for node in network.nodes if node.kind == "depthwise"}
    return _inputs(network, lambda node: node.kind == "pointwise" and node.input in depthwise)


def _inputs(network: IntegerNetwork, reads) -> list[str]:
    return list(dict.fromkeys(node.input for node in network.nodes if isinstance(node, Convolution) and reads(node)))
