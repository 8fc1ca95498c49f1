"""Multipliers, adder tree and accumulator of one output channel."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.golden.integer import arithmetic
from triovit.hdl.aux.adder_tree import AdderTree
from triovit.hdl.aux.shapes import OPERAND, PSUM
from triovit.hdl.validation import check_integer


class MATLane(wiring.Component):
    """Inner product of a beat's features and weights, accumulated over the beats of a group.

    Parameters
    ----------
    multipliers : int, 2..32
        Length of the inner product (input channels per beat).

    Members
    -------
    features, weights : In(ArrayLayout(signed(8), multipliers))
        Operands.
    acc_first, acc_en : In(1)
        The accumulator starts anew / takes the tree's sum, `latency - 1` enabled cycles after the operands.
    en : In(1)
        Operand, product and tree registers advance. `acc_en` must be low whenever it is low.
    acc : Out(signed(32))
        Accumulator.

    Latency: `latency = 3 + ceil_log2(multipliers)` enabled cycles from the operands to `acc` (operand register,
    product, tree levels, accumulator); initiation interval 1. Datapath registers have no reset.

    Numerics: exact products and tree; the accumulator is 32-bit two's complement and wraps, which the compiler's
    bounds exclude.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: Trio-ViT (arXiv 2405.03882), MAT engine: multipliers, adder tree and accumulator over input channels.
    """

    features: data.View
    weights: data.View
    acc_first: Signal
    acc_en: Signal
    en: Signal
    acc: Signal

    def __init__(self, multipliers: int):
        self.multipliers = check_integer("multipliers", multipliers, 2, 32)
        self.tree = AdderTree(multipliers, 16)
        self.latency = 3 + self.tree.latency
        operands = data.ArrayLayout(OPERAND, multipliers)
        super().__init__(
            {
                "features": In(operands),
                "weights": In(operands),
                "acc_first": In(1),
                "acc_en": In(1),
                "en": In(1),
                "acc": Out(PSUM),
            }
        )

    @staticmethod
    def model(features, weights):
        """Accumulator of one group. features, weights: (beats, ..., multipliers) int8, broadcast together.

        Sums over beats and multipliers; returns int64 of the remaining shape. OverflowError when it leaves int32.
        """
        features = arithmetic.check_range(features, -128, 127, "features")
        weights = arithmetic.check_range(weights, -128, 127, "weights")
        total = np.sum(features * weights, axis=(0, -1), dtype=np.int64)
        return arithmetic.check_range(total, *arithmetic.signed_range(arithmetic.ACCUMULATOR_BITS), "accumulator")

    def elaborate(self, platform):
        m = Module()
        m.submodules.tree = tree = self.tree
        a = Signal(self.features.shape(), reset_less=True)
        b = Signal(self.weights.shape(), reset_less=True)
        products = Signal(tree.i.shape(), reset_less=True)
        total = Signal(PSUM, reset_less=True)
        with m.If(self.en):
            m.d.sync += [a.eq(self.features), b.eq(self.weights)]
            m.d.sync += [products[k].eq(a[k] * b[k]) for k in range(self.multipliers)]
        with m.If(self.acc_en):
            m.d.sync += total.eq(tree.o + Mux(self.acc_first, 0, total))
        m.d.comb += [tree.i.eq(products), tree.en.eq(self.en), self.acc.eq(total)]
        return m
