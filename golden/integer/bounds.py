"""Proof that no accumulator and no intermediate can overflow, from the actual weights (docs/numerics.md, Widths)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from triovit.golden.integer.arithmetic import ACCUMULATOR_BITS, PRODUCT_BITS
from triovit.golden.integer.network import (
    Attention,
    Convolution,
    IntegerNetwork,
    LayerNorm,
    NetworkError,
    Pool,
    PostParameters,
)


@dataclass(frozen=True)
class Bound:
    """Largest magnitudes for any int8 input: the accumulator with its bias (`bits` that needs), its product with the
    multiplier and the residual term, and the residual term alone."""

    node: str
    operation: str
    bound: int
    product_bound: int
    residual_bound: int = 0

    @property
    def bits(self) -> int:
        return self.bound.bit_length() + 1


def accumulator_bounds(network: IntegerNetwork) -> list[Bound]:
    """One bound for each accumulation of the network, in execution order."""
    shapes, bounds = network.shapes(), []

    def add(name: str, operation: str, magnitude, post: PostParameters | None, residual: bool = False):
        total = np.broadcast_to(np.asarray(magnitude, dtype=np.int64), (post.channels if post else 1,))
        if post:
            total = total + np.abs(post.bias)  # holds for the psum alone too, to which the bias is added at the end
        product = [int(t) * int(m) for t, m in zip(total, post.m1 if post else np.ones(1, dtype=np.int64), strict=True)]
        added = [0]
        if residual:
            added = [
                (128 * int(r)) << int(s) for r, s in zip(post.residual_multiplier, post.residual_shift, strict=True)
            ]
            product = [p + a for p, a in zip(product, added, strict=True)]
        bounds.append(Bound(name, operation, int(total.max()), max(product), max(added)))

    for node in network.nodes:
        match node:
            case Convolution():
                weights = np.abs(node.weight.astype(np.int64)).sum(axis=(1, 2, 3))
                add(node.name, "convolution", weights * 128, node.post, node.residual is not None)
            case Pool():
                _, height, width = shapes[node.input]
                add(node.name, "pool", 128 * height * width, node.post)
            case LayerNorm():
                add(node.name, "layer norm", np.abs(node.weight.astype(np.int64)) << 15, node.post)
            case Attention():
                _, height, width = shapes[node.inputs[0]]
                key = 127 if node.key_apot is None else int(node.key_apot.nearest(np.arange(128)).max())
                divisor_scale = node.divisor_scale or (None,) * len(node.inputs)
                for branch in range(len(node.inputs)):
                    add(node.name, f"K^T V {branch}", key * 128 * height * width, node.product[branch])
                    add(node.name, f"sum of K {branch}", key * height * width, node.key_sum[branch])
                    add(node.name, f"divisor {branch}", 127 * 128 * node.dim, divisor_scale[branch])
                    add(node.name, f"dividend {branch}", 127 * 128 * node.dim, node.divide[branch])
    return bounds


def check_bounds(network: IntegerNetwork) -> None:
    """Raises NetworkError with the layer and the bound when an accumulator or a product could overflow."""
    for bound in accumulator_bounds(network):
        if bound.bits > ACCUMULATOR_BITS:
            raise NetworkError(
                f"{bound.node} ({bound.operation}): the accumulator can reach {bound.bound}, "
                f"more than {ACCUMULATOR_BITS} bits hold"
            )
        if bound.product_bound.bit_length() + 1 > PRODUCT_BITS:
            raise NetworkError(
                f"{bound.node} ({bound.operation}): accumulator times multiplier can reach "
                f"{bound.product_bound}, more than {PRODUCT_BITS} bits hold"
            )
        if bound.residual_bound > 1 << (PRODUCT_BITS - 2):
            raise NetworkError(
                f"{bound.node} ({bound.operation}): the residual term can reach {bound.residual_bound}, "
                f"more than 2**{PRODUCT_BITS - 2}"
            )
