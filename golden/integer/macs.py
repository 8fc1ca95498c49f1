"""Multiply-accumulates and kinds of an integer network's nodes, for reports."""

from __future__ import annotations

from triovit.golden.integer.network import Attention, Convolution, IntegerNetwork, LayerNorm, Node, Pool


def operation(node: Node) -> str:
    """Kind of a node in a word or two: "conv 3x3", "depthwise 5x5", "pointwise", "group", "attention", "pool", ..."""
    match node:
        case Convolution() if node.depthwise:
            return f"depthwise {node.kernel}x{node.kernel}"
        case Convolution() if node.kernel > 1:
            return f"conv {node.kernel}x{node.kernel}"
        case Convolution():
            return "group" if node.groups > 1 else "pointwise"
        case Attention():
            return "attention"
        case Pool():
            return "pool"
        case LayerNorm():
            return "layer norm"
    raise TypeError(f"unknown node type {type(node).__name__}")


def node_macs(network: IntegerNetwork) -> dict[str, int]:
    """MACs by node: convolutions, and both products of attention with the ones column (divisor and sum of K)."""
    shapes, macs = network.shapes(), {}
    for node in network.nodes:
        match node:
            case Convolution():
                _, height, width = shapes[node.name]
                macs[node.name] = node.weight.size * height * width
            case Attention():
                _, height, width = shapes[node.name]
                macs[node.name] = 2 * len(node.inputs) * node.heads * node.dim * (node.dim + 1) * height * width
            case _:
                macs[node.name] = 0
    return macs
