"""Dyadic requantizer: an accumulator times a ratio of scales M / 2**n, with a residual operand."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.golden.integer import arithmetic
from triovit.hdl.aux.window_shift import WindowShift
from triovit.hdl.delay_line import delayed
from triovit.hdl.isa.record import PRODUCT_BITS, RESIDUAL_BYTES
from triovit.hdl.multiplier.multiply_add import MultiplyAdd
from triovit.hdl.validation import check_integer

WIDE_BITS, NARROW_BITS = arithmetic.DIVIDEND_BITS, arithmetic.FIXED_POINT_BITS
REQUANTIZED = data.StructLayout({"value": signed(WIDE_BITS), "beyond": 1, "negative": 1})
"""A number that fits its bits, or beyond: then it lies above their range, or below it or at its end if `negative`."""


class DyadicRequantizer(wiring.Component):
    """rshift((acc + bias) * M + ((residual * R) << 8 s), n): a multiplier for each product, and one rounding.

    Parameters
    ----------
    accumulator_bits : int, 24..32
        Bits of acc, of bias and of their sum.

    Members
    -------
    i : In, {acc, bias: signed(accumulator_bits), multiplier: unsigned(16), shift: unsigned(6), narrow: 1,
        residual: signed(8), residual_multiplier: unsigned(24), residual_shift: unsigned(2), use_residual: 1}
        narrow: the result has 16 bits instead of 24. residual_shift: in bytes.
    o : Out, REQUANTIZED
        A result that leaves its bits is told and not clipped, for what follows is narrower and saturates anyway: only a
        narrow one above its range is clipped, to 32767. `negative` counts only with `beyond`.

    Latency: `latency = 5`, initiation interval 1. Registers have no reset.

    Numerics: (acc + bias) in accumulator_bits bits and the sum of the products in 48 bits, both proven by the
    compiler's bounds; round half up. Legal shifts n are 0..47.

    Raises: TypeError, ValueError for a parameter out of its range.

    Source: Trio-ViT, re-quantization (dyadic b / 2**c); widths and rounding: docs/numerics.md, Requantization.
    """

    i: data.View
    o: data.View

    latency = 3 + WindowShift.latency + 1

    def __init__(self, accumulator_bits: int = arithmetic.ACCUMULATOR_BITS):
        self.accumulator_bits = check_integer("accumulator_bits", accumulator_bits, 24, 32)
        bits = arithmetic.MULTIPLIER_BITS + 1
        self.first = MultiplyAdd(accumulator_bits, bits, pre_add=True, addend="c")
        # What RAMs put out goes straight into the multiplier.
        self.second = MultiplyAdd(arithmetic.RESIDUAL_BITS + 1, 8, operand_registers=0, result_register=False)
        super().__init__(
            {
                "i": In(
                    data.StructLayout(
                        {
                            "acc": signed(accumulator_bits),
                            "bias": signed(accumulator_bits),
                            "multiplier": unsigned(arithmetic.MULTIPLIER_BITS),
                            "shift": unsigned(6),
                            "narrow": 1,
                            "residual": signed(8),
                            "residual_multiplier": unsigned(arithmetic.RESIDUAL_BITS),
                            "residual_shift": range(RESIDUAL_BYTES + 1),
                            "use_residual": 1,
                        }
                    )
                ),
                "o": Out(REQUANTIZED),
            }
        )

    @staticmethod
    def model(acc, multiplier, shift, bits, *, bias=0, residual=0, residual_multiplier=0, residual_shift=0):
        """The result clipped to `bits` bits, int64. acc + bias: int32; the others as `i`, residual 0 if not used."""
        total = arithmetic.dyadic_product(
            acc + bias, multiplier, residual, residual_multiplier, 8 * residual_shift, bits=PRODUCT_BITS
        )
        return arithmetic.saturate(arithmetic.rounding_shift(total, shift), bits)

    def elaborate(self, platform):
        m = Module()
        m.submodules.first, m.submodules.second = first, second = self.first, self.second
        m.submodules.shifter = shifter = WindowShift(PRODUCT_BITS, WIDE_BITS, zero_point=False)
        i = self.i
        shift = delayed(m, i.shift, first.latency, "shift")[-1]
        narrow = delayed(m, i.narrow, first.latency + shifter.latency, "narrow")[-1]
        byte_shift = delayed(m, i.residual_shift, second.latency, "residual_shift")[-1]
        use_residual = delayed(m, i.use_residual, second.latency, "use_residual")[-1]
        m.d.comb += [
            second.a.eq(i.residual_multiplier),
            second.b.eq(i.residual),
            first.a.eq(i.acc),
            first.d.eq(i.bias),
            first.b.eq(i.multiplier),
            first.clear_c.eq(~use_residual),
            shifter.i.value.eq(first.o),
            shifter.i.shift.eq(shift),
            shifter.i.late.fraction.eq(1),
        ]
        with m.Switch(byte_shift):
            for number in range(RESIDUAL_BYTES + 1):
                with m.Case(number):
                    term = Cat(Const(0, 8 * number), second.o[: 8 + arithmetic.RESIDUAL_BITS])
                    m.d.comb += first.c.eq(term.as_signed())

        value = Signal(signed(WIDE_BITS), reset_less=True)
        beyond = Signal(reset_less=True)
        negative = Signal(reset_less=True)
        total, upper = shifter.o.total, shifter.o.total[NARROW_BITS - 1 :]
        leaves_wide = Signal()
        leaves_narrow = Signal()
        m.d.comb += [
            leaves_wide.eq(shifter.o.beyond | (total[WIDE_BITS - 1] != total[WIDE_BITS])),
            leaves_narrow.eq(shifter.o.beyond | (upper != total[-1].replicate(len(upper)))),
        ]
        m.d.sync += [
            value.eq(total),
            beyond.eq(leaves_wide | (narrow & leaves_narrow)),
            negative.eq(shifter.o.negative),
        ]
        with m.If(narrow & leaves_narrow & ~shifter.o.negative):
            m.d.sync += value.eq((1 << (NARROW_BITS - 1)) - 1)
        m.d.comb += [self.o.value.eq(value), self.o.beyond.eq(beyond), self.o.negative.eq(negative)]
        return m
