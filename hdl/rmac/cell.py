"""One reconfigurable multiplier-accumulator."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from triovit.golden.integer import arithmetic
from triovit.hdl.aux.shapes import OPERAND, PSUM


class AccumulationMode(enum.Enum, shape=1):
    """Second operand of a cell's adder."""

    SELF = 0
    DOWN = 1


class RMACCell(wiring.Component):
    """R-MAC: a multiplier whose adder takes the psum from the cell above or its own.

    It has the shape of a DSP48 slice: a product register (M) with clock enable `en`, a psum register (P) with clock
    enable `psum_en`, and a Z multiplexer that feeds the adder from the cascade input (down-forward accumulation), from
    P (self-accumulation), or with zero (first product of a self-accumulation).

    Members
    -------
    a, b : In(signed(8))
        Operands.
    psum_in : In(signed(32))
        psum of the cell above; used in mode DOWN only.
    mode : In(AccumulationMode), first : In(1)
        Z multiplexer, sampled one enabled cycle after the operands (with their product). `first` is ignored in mode
        DOWN.
    en : In(1)
        The product register advances.
    psum_en : In(1)
        The psum register takes product + Z. Low, the psum is kept: this is how a self-accumulation survives cycles
        without operands. One control drives it for a whole array.
    psum_out : Out(signed(32))
        The psum register.

    Latency: `latency = 2` enabled cycles from `a`, `b` to `psum_out`, 1 from `psum_in`, `mode`, `first`; initiation
    interval 1. Registers have no reset.

    Numerics: the product of any two int8 is exact in 16 bits (-128 * -128 = 16384); psums are 32-bit two's complement
    and wrap, which the compiler's bounds exclude for every layer it accepts.

    Source: Trio-ViT (arXiv 2405.03882), R-MAC engine and its two modes of accumulation.
    """

    a: Signal
    b: Signal
    psum_in: Signal
    mode: enum.EnumView
    first: Signal
    en: Signal
    psum_en: Signal
    psum_out: Signal

    latency = 2

    def __init__(self):
        super().__init__(
            {
                "a": In(OPERAND),
                "b": In(OPERAND),
                "psum_in": In(PSUM),
                "mode": In(AccumulationMode),
                "first": In(1),
                "en": In(1),
                "psum_en": In(1),
                "psum_out": Out(PSUM),
            }
        )

    @staticmethod
    def model(mode: AccumulationMode, a, b, psum_in=0):
        """psum after each product. a, b: (beats,) int8. psum_in: (beats,) int32, for mode DOWN only.

        DOWN gives psum_in + a * b, SELF the running sum of a * b of one group. Returns int64; OverflowError when a psum
        leaves int32.
        """
        a = arithmetic.check_range(a, -128, 127, "operand a")
        b = arithmetic.check_range(b, -128, 127, "operand b")
        limits = arithmetic.signed_range(arithmetic.ACCUMULATOR_BITS)
        if mode is AccumulationMode.DOWN:
            psum = a * b + arithmetic.check_range(psum_in, *limits, "psum_in")
        else:
            psum = np.cumsum(a * b, axis=0)
        return arithmetic.check_range(psum, *limits, "psum")

    def elaborate(self, platform):
        m = Module()
        product = Signal(signed(16), reset_less=True)
        psum = Signal(PSUM, reset_less=True)
        own = Mux(self.first, 0, psum)
        with m.If(self.en):
            m.d.sync += product.eq(self.a * self.b)
        with m.If(self.psum_en):
            m.d.sync += psum.eq(product + Mux(self.mode == AccumulationMode.DOWN, self.psum_in, own))
        m.d.comb += self.psum_out.eq(psum)
        return m
