"""Hardware families: what a network's products and requantization need from the engines that run it.

"trio": 8-bit products and dyadic requantization, both with multipliers (Trio-ViT). "m2": some products are with
additive powers of two and belong on a shifter-adder-tree (M2-ViT). "p2": every requantization is a shift (P2-ViT,
eq. 6). "m2+p2": both. The family is read off the parameters, not off the method that made them.
"""

from __future__ import annotations

from triovit.golden.integer.network import IntegerNetwork


def family(network: IntegerNetwork) -> str:
    """ "trio", "m2", "p2" or "m2+p2".

    "m2" when any filter, or K of any attention, is in additive powers of two. "p2" when the multipliers M, M2 and R of
    all records are 0 or 1. 4-bit uniform weights are 8-bit weights too and make no family.
    """
    parts = []
    if any(node.additive for node in network.nodes):
        parts.append("m2")
    if all(post.shifts_only for node in network.nodes for post in node.records()):
        parts.append("p2")
    return "+".join(parts) or "trio"


def first_reason(network: IntegerNetwork) -> str:
    """Why a network is of its family, in words: the first node with additive powers of two, shifts; "" for "trio"."""
    reasons = [node.additive for node in network.nodes if node.additive][:1]
    if "p2" in family(network):
        reasons.append("power-of-two requantization in every record")
    return " and ".join(reasons)
