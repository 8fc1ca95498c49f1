"""Hardware families: what a network's products and requantization need from the engines that run it.

"trio": 8-bit products and dyadic requantization, both with multipliers (Trio-ViT). "m2": some products are with
additive powers of two and belong on a shifter-adder-tree (M2-ViT). "p2": every requantization is a shift (P2-ViT,
eq. 6). "m2+p2": both. The family is read off the parameters, not off the method that made them.
"""

from __future__ import annotations

from collections.abc import Iterator

from triovit.golden.integer.network import Attention, Convolution, IntegerNetwork, Node, PostParameters

MULTIPLIERS = ("m1", "m2", "residual_multiplier")


def family(network: IntegerNetwork) -> str:
    """ "trio", "m2", "p2" or "m2+p2".

    "m2" when any filter, or K of any attention, is in additive powers of two. "p2" when the multipliers M, M2 and R of
    all records are 0 or 1. 4-bit uniform weights are 8-bit weights too and make no family.
    """
    parts = []
    if any(_additive(node) for node in network.nodes):
        parts.append("m2")
    if all(_shifts_only(post) for node in network.nodes for post in _records(node)):
        parts.append("p2")
    return "+".join(parts) or "trio"


def first_reason(network: IntegerNetwork) -> str:
    """Why a network is of its family, in words: the first node with additive powers of two, shifts; "" for "trio"."""
    reasons = []
    additive = next(filter(None, map(_additive, network.nodes)), "")
    if additive:
        reasons.append(additive)
    if "p2" in family(network):
        reasons.append("power-of-two requantization in every record")
    return " and ".join(reasons)


def _additive(node: Node) -> str:
    """What a node has in additive powers of two, in words; "" for nothing."""
    match node:
        case Convolution() if node.apot_filters.any():
            count = int(node.apot_filters.sum())
            return f"{node.name} has {count} of {len(node.weight)} filters in additive powers of two"
        case Attention() if node.key_apot is not None:
            return f"{node.name} has K in additive powers of two"
    return ""


def _records(node: Node) -> Iterator[PostParameters]:
    if isinstance(node, Attention):
        for group in (node.product, node.key_sum, node.divide, node.divisor_scale):
            yield from group
    else:
        yield node.post


def _shifts_only(post: PostParameters) -> bool:
    return all((getattr(post, name) <= 1).all() for name in MULTIPLIERS)
