"""Requantizers: accumulator to a few bits, with a dyadic or a power-of-two scale ratio."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.golden.integer import arithmetic
from triovit.hdl.aux.rounding_shift import RoundingShift, saturate
from triovit.hdl.validation import check_integer


class PowerOfTwoRequantizer(wiring.Component):
    """y = sat(zp + rshift(acc, n)): rounding shift, zero point, saturation; no multiplier.

    It is also the last step of every other requantization here, behind whatever made the wide value.

    Parameters
    ----------
    bits : int
        Bits of the output, 2..32.
    width : int
        Bits of the value, 2..62; 32 for an accumulator.
    max_shift : int
        Largest shift, 1..63; 47 for an accumulator.

    Members
    -------
    i : In, {acc: signed(width), shift: unsigned(bits of max_shift), zero_point: signed(8)}
    o : Out, signed(bits)
    en : In, 1. Registers advance only while it is high.

    Latency: 2 enabled cycles, initiation interval 1.

    Numerics: round half up, then the zero point, then saturation to `bits` bits; nothing overflows before.

    Raises: TypeError, ValueError for a parameter out of its range.

    Source: P2-ViT eq. 6 (power-of-two scale ratios); docs/numerics.md, Requantization.
    """

    i: data.View
    o: Signal
    en: Signal

    latency = 2

    def __init__(
        self, bits: int = 8, *, width: int = arithmetic.ACCUMULATOR_BITS, max_shift: int = arithmetic.MAX_SHIFT
    ):
        self.bits = check_integer("bits", bits, 2, 32)
        self.width = check_integer("width", width, 2, 62)
        self.max_shift = check_integer("max_shift", max_shift, 1, 63)
        super().__init__(
            {
                "i": In(
                    data.StructLayout(
                        {
                            "acc": signed(width),
                            "shift": unsigned(max_shift.bit_length()),
                            "zero_point": signed(8),
                        }
                    )
                ),
                "o": Out(signed(bits)),
                "en": In(1),
            }
        )

    def model(self, acc, shift, zero_point=0):
        """acc: int32; shift: 0..47; zero_point: int8. Returns int64, `arithmetic.requantize_power_of_two`."""
        return arithmetic.requantize_power_of_two(acc, shift, zero_point, self.bits)

    def elaborate(self, platform):
        m = Module()
        m.submodules.rounding = rounding = RoundingShift(self.width, self.max_shift)
        zero_point = Signal(signed(8), reset_less=True)
        total = Signal(signed(max(self.width, 8) + 1))
        result = Signal(signed(self.bits), reset_less=True)
        m.d.comb += [
            rounding.i.value.eq(self.i.acc),
            rounding.i.shift.eq(self.i.shift),
            rounding.en.eq(self.en),
            total.eq(rounding.o + zero_point),
            self.o.eq(result),
        ]
        with m.If(self.en):
            m.d.sync += [
                zero_point.eq(self.i.zero_point),
                result.eq(saturate(total, self.bits)),
            ]
        return m


class DyadicRequantizer(wiring.Component):
    """y = sat(zp + rshift(acc * M, n)): the scale ratio S_in * S_weight / S_out as M / 2**n.

    Parameters
    ----------
    bits : int
        Bits of the output, 2..32; 8 for activations, 16 before hardswish, 24 for a dividend.

    Members
    -------
    i : In, {acc: signed(32), multiplier: unsigned(16), shift: unsigned(6), zero_point: signed(8)}
    o : Out, signed(bits)
    en : In, 1. Registers advance only while it is high.

    Latency: 4 enabled cycles, initiation interval 1. The multiplier has a register before and one behind it.

    Numerics: exact 48-bit product, round half up, then the zero point, then saturation. Legal shifts are 0..47.

    Raises: TypeError, ValueError for a parameter out of its range.

    Source: Trio-ViT section on re-quantization (dyadic b / 2**c); widths and rounding:
    docs/numerics.md, Requantization.
    """

    i: data.View
    o: Signal
    en: Signal

    latency = 4

    def __init__(self, bits: int = 8):
        self.bits = check_integer("bits", bits, 2, 32)
        super().__init__(
            {
                "i": In(
                    data.StructLayout(
                        {
                            "acc": signed(arithmetic.ACCUMULATOR_BITS),
                            "multiplier": unsigned(arithmetic.MULTIPLIER_BITS),
                            "shift": unsigned(6),
                            "zero_point": signed(8),
                        }
                    )
                ),
                "o": Out(signed(bits)),
                "en": In(1),
            }
        )

    def model(self, acc, multiplier, shift, zero_point=0):
        """acc: int32; multiplier: uint16; shift: 0..47; zero_point: int8. Returns int64, `arithmetic.requantize`."""
        return arithmetic.requantize(acc, multiplier, shift, zero_point, self.bits)

    def elaborate(self, platform):
        m = Module()
        width = arithmetic.ACCUMULATOR_BITS + arithmetic.MULTIPLIER_BITS
        m.submodules.last = last = PowerOfTwoRequantizer(self.bits, width=width)
        operands = Signal(self.i.shape(), reset_less=True)
        product = Signal(signed(width), reset_less=True)
        shift = Signal.like(operands.shift, reset_less=True)
        zero_point = Signal.like(operands.zero_point, reset_less=True)
        with m.If(self.en):
            m.d.sync += [
                operands.eq(self.i),
                product.eq(operands.acc * operands.multiplier),
                shift.eq(operands.shift),
                zero_point.eq(operands.zero_point),
            ]
        m.d.comb += [
            last.i.acc.eq(product),
            last.i.shift.eq(shift),
            last.i.zero_point.eq(zero_point),
            last.en.eq(self.en),
            self.o.eq(last.o),
        ]
        return m
