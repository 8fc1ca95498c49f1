"""Proof that an accumulator and its products cannot overflow, from the actual weights (docs/numerics.md, Widths)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from triovit.golden.integer.arithmetic import ACCUMULATOR_BITS, PRODUCT_BITS
from triovit.golden.integer.errors import NetworkError
from triovit.golden.integer.records import PostParameters


@dataclass(frozen=True)
class Bound:
    """Largest magnitudes of one accumulation for any int8 input: the accumulator with its bias (`bits` that needs),
    its product with the multiplier and the residual term, and the residual term alone.

    node: its name. operation: which of the node's accumulations, in words.
    """

    node: str
    operation: str
    bound: int
    product_bound: int
    residual_bound: int = 0

    @staticmethod
    def of(node: str, operation: str, magnitude, post: PostParameters | None = None, residual: bool = False) -> Bound:
        """The bound of an accumulation that the records `post` follow.

        magnitude: largest sum of products without bias, a number or (channels,). post: None when nothing multiplies
        the sum. residual: whether the records add a residual operand.
        """
        total = np.broadcast_to(np.asarray(magnitude, dtype=np.int64), (post.channels if post else 1,))
        if post:
            total = total + np.abs(post.bias)  # holds for the psum alone too, to which the bias is added at the end
        product = [int(t) * int(m) for t, m in zip(total, post.m1 if post else np.ones(1, dtype=np.int64), strict=True)]
        added = [0]
        if post and residual:
            added = [
                (128 * int(r)) << int(s) for r, s in zip(post.residual_multiplier, post.residual_shift, strict=True)
            ]
            product = [p + a for p, a in zip(product, added, strict=True)]
        return Bound(node, operation, int(total.max()), max(product), max(added))

    @property
    def bits(self) -> int:
        """Bits of a two's-complement accumulator that reaches the bound."""
        return self.bound.bit_length() + 1

    def check(self) -> None:
        """Raise NetworkError with the layer and the bound when the accumulator or a product could overflow."""
        if self.bits > ACCUMULATOR_BITS:
            raise NetworkError(
                f"{self.node} ({self.operation}): the accumulator can reach {self.bound}, "
                f"more than {ACCUMULATOR_BITS} bits hold"
            )
        if self.product_bound.bit_length() + 1 > PRODUCT_BITS:
            raise NetworkError(
                f"{self.node} ({self.operation}): accumulator times multiplier can reach "
                f"{self.product_bound}, more than {PRODUCT_BITS} bits hold"
            )
        if self.residual_bound > 1 << (PRODUCT_BITS - 2):
            raise NetworkError(
                f"{self.node} ({self.operation}): the residual term can reach {self.residual_bound}, "
                f"more than 2**{PRODUCT_BITS - 2}"
            )
