"""Two multiply-accumulators with a shared operand, each with a multiplier of its own."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from triovit.golden.integer import arithmetic
from triovit.hdl.shapes import OPERAND
from triovit.hdl.validation import check_integer

PRODUCT = signed(16)
SUM = signed(20)
"""A sum of a pair before it reaches an accumulator: up to 31 products of any two int8."""
SUMS = 2 * SUM.width
"""Bits of a pair's sums in its own form."""
LATENCY = 4


class Addend(enum.Enum, shape=2):
    """What a product is added to; the values are the Z multiplexer of a DSP48E2 (OPMODE[5:4])."""

    ZERO = 0
    CASCADE = 1
    OWN = 2


def ports(cascade: int) -> dict:
    """Members of a pair whose cascade is so many bits wide."""
    return {
        "a": In(data.ArrayLayout(OPERAND, 2)),
        "b": In(OPERAND),
        "en": In(LATENCY),
        "addend": In(Addend),
        "cascade_in": In(cascade),
        "cascade_out": Out(cascade),
        "sums": Out(SUMS),
    }


Number = tuple[Value, Value | int]
"""A number and the small correction that has to be added to it."""


def check_terms(own: int, chain: int) -> None:
    """Refuse more products than sums can hold; the parameters are those of `MultiplierPair`."""
    check_integer("own", own, 1, 31)
    check_integer("chain", chain, 1, 31)


class MultiplierPair(wiring.Component):
    """sum k = a[k] * b + {0, the sum k of the pair before, the own sum k}, for k = 0 and 1.

    Parameters
    ----------
    own : int, 1..31
        Most products that a sum gets over cycles (OWN); 1 when `addend` is never OWN.
    chain : int, 1..31
        Pairs of the cascade that it is part of, each of which adds one product to a sum (CASCADE).
    cascaded : bool
        Whether `cascade_in` comes from another pair; else it is ignored, and `addend` is never CASCADE.

    Members
    -------
    a : In(ArrayLayout(signed(8), 2)), b : In(signed(8))
        Operands.
    en : In(4)
        Clock enables of the four stages of registers: operands twice, products, sums. Operands that come in cycle t
        reach the stages at the ends of the cycles t, t + 1, t + 2 and t + 3.
    addend : In(Addend)
        What the product is added to, sampled in every cycle, two cycles after the operands.
    cascade_in : In, cascade_out : Out
        From and to the neighbours, in a form of the pair's own.
    sums : Out(SUMS)
        Both sums in a form of the pair's own; `unpack` gives the numbers.

    Latency: `latency = 4` cycles from operands to `sums` and `cascade_out`, initiation interval 1; with all enables
    high, operands of the next pair of a cascade come one cycle later. Registers have no reset.

    Numerics: exact, sums of 20 bits hold 31 products of any two int8 (31 * 2**14 < 2**19).

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: Trio-ViT (arXiv 2405.03882), R-MAC and MAT.
    """

    a: data.View
    b: Signal
    en: Signal
    addend: enum.EnumView
    cascade_in: Signal
    cascade_out: Signal
    sums: Signal

    latency = LATENCY

    def __init__(self, own: int, chain: int, cascaded: bool = True):
        check_terms(own, chain)
        self.cascaded = cascaded
        super().__init__(ports(2 * SUM.width))

    @staticmethod
    def model(a, b):
        """Sums of products over the first axis. a: (terms, ..., 2), b: (terms, ...), int8. Returns int64 (..., 2).

        OverflowError when an operand leaves int8 or a sum 20 bits.
        """
        a = arithmetic.check_range(a, -128, 127, "a")
        b = arithmetic.check_range(b, -128, 127, "b")
        sums = np.sum(a * b[..., np.newaxis], axis=0, dtype=np.int64)
        return arithmetic.check_range(sums, *arithmetic.signed_range(SUM.width), "sum of a pair")

    @staticmethod
    def unpack(sums: Value, terms: int) -> tuple[Number, Number]:
        """Sum 0 and sum 1 of up to `terms` products: `own` of them, or `chain`."""
        low, high = sums[: SUM.width].as_signed(), sums[SUM.width :].as_signed()
        return (low, 0), (high, 0)

    def elaborate(self, platform):
        m = Module()
        operands = [
            Signal(data.StructLayout({"a": self.a.shape(), "b": OPERAND}), name=f"operands{stage}", reset_less=True)
            for stage in range(2)
        ]
        products = [Signal(PRODUCT, name=f"product{k}", reset_less=True) for k in range(2)]
        sums = [Signal(SUM, name=f"sum{k}", reset_less=True) for k in range(2)]
        addend = Signal(Addend, reset_less=True)
        m.d.sync += addend.eq(self.addend)
        with m.If(self.en[0]):
            m.d.sync += [operands[0].a.eq(self.a), operands[0].b.eq(self.b)]
        with m.If(self.en[1]):
            m.d.sync += operands[1].eq(operands[0])
        with m.If(self.en[2]):
            m.d.sync += [product.eq(operands[1].a[k] * operands[1].b) for k, product in enumerate(products)]
        with m.If(self.en[3]):
            for k, (product, total) in enumerate(zip(products, sums, strict=True)):
                cascade = self.cascade_in.word_select(k, SUM.width).as_signed()
                own = Mux(addend == Addend.OWN, total, 0)
                before = Mux(addend == Addend.CASCADE, cascade, own) if self.cascaded else own
                m.d.sync += total.eq(product + before)
        m.d.comb += [self.sums.eq(Cat(*sums)), self.cascade_out.eq(self.sums)]
        return m
