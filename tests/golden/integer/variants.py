"""The random networks of tests/networks.py in the terms of other methods: M2-ViT's weights, P2-ViT's shifts, uniform
divisors. Activations keep their ranges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from triovit.golden.integer.apot import ApotFormat
from triovit.golden.integer.arithmetic import dyadic
from triovit.golden.integer.network import IntegerNetwork
from triovit.golden.integer.nodes import Attention, Convolution, Node
from triovit.golden.integer.records import PostParameters

APOT = ApotFormat()


def mixed(network: IntegerNetwork, seed: int, apot: ApotFormat = APOT) -> IntegerNetwork:
    """M2-ViT: half of the filters and K in additive powers of two, depthwise layers with 4-bit weights."""
    rng = np.random.default_rng(seed)

    def change(node: Node) -> Node:
        match node:
            case Convolution() if node.depthwise:
                weight = np.clip((node.weight.astype(np.int64) + 9) // 18, -7, 7).astype(np.int8)
                return replace(node, weight=weight, weight_bits=4, post=_louder(node.post, 18))
            case Convolution():
                filters = rng.permutation(np.arange(len(node.weight)) % 2 == 0)
                weight = np.where(filters[:, None, None, None], apot.nearest(node.weight), node.weight)
                kind = np.int8 if np.abs(weight).max() <= 127 else np.int16
                return replace(node, weight=weight.astype(kind), apot=apot, apot_filters=filters)
            case Attention():
                return replace(node, key_apot=apot)
        return node

    return replace(network, nodes=tuple(map(change, network.nodes))).validate()


def uniform_divisors(network: IntegerNetwork) -> IntegerNetwork:
    """Divisors of 8 uniform bits: about a step for 64, and dividends that a log2 code gave without its offset."""

    def change(node: Node) -> Node:
        if not isinstance(node, Attention):
            return node
        scale = tuple(
            PostParameters.create(node.heads, m1=m, n1=n) for m, n in [dyadic(1, 64), dyadic(1, 40)][: len(node.inputs)]
        )
        return replace(node, divisor="uniform", divisor_scale=scale, log2_offset=())

    return replace(network, nodes=tuple(map(change, network.nodes))).validate()


def shifting(network: IntegerNetwork) -> IntegerNetwork:
    """P2-ViT: the power of two in every multiplier goes into the shift, the rest of it away."""

    def change(node: Node) -> Node:
        if not isinstance(node, Attention):
            return replace(node, post=shifting_records(node.post))
        return replace(
            node,
            product=tuple(map(shifting_records, node.product)),
            key_sum=tuple(map(shifting_records, node.key_sum)),
            divide=tuple(map(shifting_records, node.divide)),
        )

    return replace(network, nodes=tuple(map(change, network.nodes))).validate()


def shifting_records(post: PostParameters) -> PostParameters:
    """Records whose multipliers M, M2 and R are 0 or 1."""
    n1 = post.n1 - _exponent(post.m1)
    added = np.maximum(n1 - (post.n1 - post.residual_shift - _exponent(post.residual_multiplier)), 0)
    return replace(
        post,
        m1=np.minimum(post.m1, 1),
        n1=np.maximum(n1, 0),
        m2=np.minimum(post.m2, 1),
        n2=np.maximum(post.n2 - _exponent(post.m2), 0),
        residual_multiplier=np.minimum(post.residual_multiplier, 1),
        residual_shift=np.where(post.residual_multiplier > 0, added, 0),
    )


def _exponent(multiplier: np.ndarray) -> np.ndarray:
    return np.array([max(int(m), 1).bit_length() - 1 for m in multiplier])


def _louder(post: PostParameters, factor: int) -> PostParameters:
    """Records for accumulators that are smaller by a factor."""
    pairs = [dyadic(int(m) * factor, 1 << int(n)) for m, n in zip(post.m1, post.n1, strict=True)]
    return replace(
        post,
        bias=post.bias // factor,
        m1=np.array([m for m, _ in pairs]),
        n1=np.array([n for _, n in pairs]),
    )
