"""Hardswish between two requantizations."""

from __future__ import annotations

from itertools import pairwise

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.golden.integer import arithmetic
from triovit.hdl.aux.requantizer import DyadicRequantizer, PowerOfTwoRequantizer

GATE_BITS = (6 << arithmetic.MAX_FRACTION_BITS).bit_length()  # 0 .. 6 * 2**f


class HardswishGate(wiring.Component):
    """x -> x * clamp(x + 3 * 2**f, 0, 6 * 2**f): six times hardswish of a fixed-point number.

    Members
    -------
    i : In, {x: signed(16), fraction_bits: unsigned(4)}
    o : Out, signed(32), with 2 * f fraction bits
    en : In, 1. Registers advance only while it is high.

    Latency: 2 enabled cycles (clamp, multiply), initiation interval 1.

    Numerics: exact. `fraction_bits` f must lie in 0..13, where the upper clamp fits 16 bits unsigned; f = 14 and 15
    give no meaningful result.

    Source: EfficientViT's activation x * relu6(x + 3) / 6; integer form in docs/numerics.md, Hardswish.
    """

    i: data.View
    o: Signal
    en: Signal

    latency = 2

    def __init__(self):
        super().__init__(
            {
                "i": In(data.StructLayout({"x": signed(arithmetic.FIXED_POINT_BITS), "fraction_bits": unsigned(4)})),
                "o": Out(signed(arithmetic.FIXED_POINT_BITS + GATE_BITS)),
                "en": In(1),
            }
        )

    @staticmethod
    def model(x, fraction_bits):
        """x: int16; fraction_bits: 0..13. Returns int64, `arithmetic.hardswish_product`."""
        return arithmetic.hardswish_product(x, fraction_bits)

    def elaborate(self, platform):
        m = Module()
        three = Signal(GATE_BITS)  # 3.0 with f fraction bits
        moved = Signal(signed(GATE_BITS + 2))
        six = Signal(GATE_BITS)
        x = Signal(signed(arithmetic.FIXED_POINT_BITS), reset_less=True)
        gate = Signal(GATE_BITS, reset_less=True)
        product = Signal(signed(arithmetic.FIXED_POINT_BITS + GATE_BITS), reset_less=True)
        m.d.comb += [
            three.eq(3 << self.i.fraction_bits),
            six.eq(three << 1),
            moved.eq(self.i.x + three),
            self.o.eq(product),
        ]
        with m.If(self.en):
            m.d.sync += [
                x.eq(self.i.x),
                # x > 3 is x + 3 > 6, but need not wait for the sum
                gate.eq(Mux(moved[-1], 0, Mux(self.i.x > three, six, moved))),
                product.eq(x * gate),
            ]
        return m


class Hardswish(wiring.Component):
    """acc -> 16-bit fixed point (m1, n1) -> hardswish product -> int8 (m2, n2, zero point).

    Members
    -------
    i : In, {acc: signed(32), m1: unsigned(16), n1: unsigned(6), fraction_bits: unsigned(4), m2: unsigned(16),
        n2: unsigned(6), zero_point: signed(8)}
    o : Out, signed(8)
    en : In, 1. Registers advance only while it is high.

    Latency: 9 enabled cycles, initiation interval 1: requantization 4, gate 2, second product 1, second rounding 2.

    Numerics: x = sat16(rshift(acc * m1, n1)) with `fraction_bits` f in 0..13, u = clamp(x + 3 * 2**f, 0, 6 * 2**f),
    o = sat8(zp + rshift(x * u * m2, n2)); n1 and n2 in 0..47. The pair (m2, n2) carries the 1/6, the output scale and
    the channel's migration factor.

    Source: Trio-ViT quantizes the hardswish input to more than 8 bits; integer form in docs/numerics.md, Hardswish.
    """

    i: data.View
    o: Signal
    en: Signal

    latency = DyadicRequantizer.latency + HardswishGate.latency + 1 + PowerOfTwoRequantizer.latency

    def __init__(self):
        super().__init__(
            {
                "i": In(
                    data.StructLayout(
                        {
                            "acc": signed(arithmetic.ACCUMULATOR_BITS),
                            "m1": unsigned(arithmetic.MULTIPLIER_BITS),
                            "n1": unsigned(6),
                            "fraction_bits": unsigned(4),
                            "m2": unsigned(arithmetic.MULTIPLIER_BITS),
                            "n2": unsigned(6),
                            "zero_point": signed(8),
                        }
                    )
                ),
                "o": Out(signed(8)),
                "en": In(1),
            }
        )

    @staticmethod
    def model(acc, m1, n1, fraction_bits, m2, n2, zero_point=0):
        """acc: int32; pairs as `i`. Returns int64, `arithmetic.hardswish_requantize`."""
        return arithmetic.hardswish_requantize(acc, m1, n1, fraction_bits, m2, n2, zero_point)

    def elaborate(self, platform):
        m = Module()
        width = arithmetic.FIXED_POINT_BITS + GATE_BITS + arithmetic.MULTIPLIER_BITS
        m.submodules.fixed_point = fixed_point = DyadicRequantizer(arithmetic.FIXED_POINT_BITS)
        m.submodules.gate = gate = HardswishGate()
        m.submodules.last = last = PowerOfTwoRequantizer(8, width=width)

        # what the later stages need of an item's parameters; stage[k] belongs to the item k enabled cycles old
        stages = DyadicRequantizer.latency + HardswishGate.latency + 1
        later = data.StructLayout(
            {"fraction_bits": unsigned(4), "m2": unsigned(16), "n2": unsigned(6), "zero_point": signed(8)}
        )
        stage = [Signal(later, name=f"stage_{k}", reset_less=True) for k in range(stages + 1)]
        m.d.comb += [stage[0][name].eq(self.i[name]) for name, _ in later]
        product = Signal(signed(width), reset_less=True)
        with m.If(self.en):
            m.d.sync += [new.eq(old) for old, new in pairwise(stage)]
            m.d.sync += product.eq(gate.o * stage[-2].m2)

        m.d.comb += [
            fixed_point.i.acc.eq(self.i.acc),
            fixed_point.i.multiplier.eq(self.i.m1),
            fixed_point.i.shift.eq(self.i.n1),
            fixed_point.i.zero_point.eq(0),
            gate.i.x.eq(fixed_point.o),
            gate.i.fraction_bits.eq(stage[DyadicRequantizer.latency].fraction_bits),
            last.i.acc.eq(product),
            last.i.shift.eq(stage[-1].n2),
            last.i.zero_point.eq(stage[-1].zero_point),
            self.o.eq(last.o),
        ]
        m.d.comb += [kernel.en.eq(self.en) for kernel in (fixed_point, gate, last)]
        return m
