"""The one rounding and the one saturation of the datapath."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.golden.integer import arithmetic
from triovit.hdl.validation import check_integer


def saturate(value: Signal, bits: int):
    """The signed signal `value` clipped to the range of `bits` bits, combinational: `arithmetic.saturate` as gates.

    The result has the width of `value`, to be cut by an assignment: cutting is free, whereas a narrow result would have
    to be sign-extended where it meets a wider one. A value fits when all bits from the new sign bit up are equal.
    `value` is used several times, so it must be a Signal and not an expression, which would be built once a use.
    """
    if not isinstance(value, Signal) or not value.shape().signed:
        raise TypeError(f"value must be a signed Signal, not {value!r}")
    if bits >= len(value):
        return value
    low, high = (Const(limit, value.shape()) for limit in arithmetic.signed_range(bits))
    upper = value[bits - 1 :]
    return Mux(upper.all() | ~upper.any(), value, Mux(value[-1], low, high))


class RoundingShift(wiring.Component):
    """Right shift with round half up: the only place where the datapath rounds.

    Parameters
    ----------
    width : int
        Bits of the value, 2..62 (the model computes in int64).
    max_shift : int
        Largest shift, 1..63.

    Members
    -------
    i : In, {value: signed(width), shift: range(max_shift + 1)}
    o : Out, signed(width)
    en : In, 1. Registers advance only while it is high.

    Latency: 1 enabled cycle, initiation interval 1.

    Numerics: o = floor(value / 2**shift + 1/2). The shifter works on the value with one zero appended below, so the bit
    it leaves under the result is the rounding bit. Adding that bit cannot overflow: with shift 0 it is zero, and with a
    larger shift the result has lost at least one bit. Codes of `shift` above `max_shift` that its width admits follow
    the same formula.

    Raises: TypeError, ValueError for a parameter out of its range.

    Source: docs/numerics.md, Rounding and saturation; the papers leave the rounding of their shifts open.
    """

    i: data.View
    o: Signal
    en: Signal

    latency = 1

    def __init__(self, width: int, max_shift: int):
        self.width = check_integer("width", width, 2, 62)
        self.max_shift = check_integer("max_shift", max_shift, 1, 63)
        super().__init__(
            {
                "i": In(data.StructLayout({"value": signed(width), "shift": Shape.cast(range(max_shift + 1))})),
                "o": Out(signed(width)),
                "en": In(1),
            }
        )

    @staticmethod
    def model(value, shift):
        """value: integers of `width` bits; shift: 0..max_shift. Returns int64, `arithmetic.rounding_shift`."""
        return arithmetic.rounding_shift(value, shift)

    def elaborate(self, platform):
        m = Module()
        shifted = Signal(signed(self.width + 1))
        result = Signal(signed(self.width), reset_less=True)
        m.d.comb += [
            shifted.eq(Cat(0, self.i.value).as_signed() >> self.i.shift),
            self.o.eq(result),
        ]
        with m.If(self.en):
            m.d.sync += result.eq(shifted[1:] + shifted[0])
        return m
