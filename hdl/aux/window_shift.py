"""Right shift with round half up, of which only the bits are made that can reach the result."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.golden.integer import arithmetic
from triovit.hdl.validation import check_integer


class WindowShift(wiring.Component):
    """zp + rshift(value, shift), right whenever it fits `bits` bits; else which side it lies on: the one rounding.

    Parameters
    ----------
    width : int
        Bits of the value, 4..62 (the model computes in int64).
    bits : int
        Bits of the result, 2..32; 8..32 with a zero point.
    max_shift : int
        Largest shift, 4..63.
    zero_point : bool
        Whether a zero point is added. Without one `i.zero_point` is not there.

    Members
    -------
    i : In, {value: signed(width), shift: range(max_shift + 1), late: {fraction: 1, zero_point: signed(8)}}
        `late` belongs to the value of the cycle before: it meets the value behind the register. fraction: low when the
        shift drops what it shifts out instead of rounding (as `floor`).
    o : Out, {total: signed(bits + 2), beyond: 1, negative: 1}
        Combinational behind the register. The result is `total` unless `beyond`, or `total` itself leaves `bits` bits;
        then clipping gives the end of the range of `bits` bits, the lower one if `negative`. (So `beyond` may be high
        for a result that rounding brings back to the lowest number.)

    Latency: `latency = 1`, initiation interval 1.

    Numerics: total = zp + floor(value / 2**shift + 1/2). The shifter works on the value with one zero appended below,
    so that the bit it leaves under the result is the rounding bit; zero point and rounding bit take one adder. A stage
    shifts by a digit of the shift, from the highest digit down, and keeps the bits that the digits below may still move
    into the window; of those above it tells only whether one differs from the sign. So a 48-bit value and an 8-bit
    result take 25, 13 and 10 multiplexers instead of 3 x 49, and an adder of 10 bits instead of 49.

    Raises: TypeError, ValueError for a parameter out of its range.

    Source: docs/numerics.md, Rounding and saturation; the papers leave the rounding of their shifts open.
    """

    i: data.View
    o: data.View

    latency = 1

    def __init__(self, width: int, bits: int, max_shift: int = arithmetic.MAX_SHIFT, *, zero_point: bool = True):
        self.width = check_integer("width", width, 4, 62)
        self.bits = check_integer("bits", bits, 2, 32)
        self.max_shift = check_integer("max_shift", max_shift, 4, 63)
        self.zero_point = zero_point
        if zero_point and bits < 8:
            raise ValueError(f"bits must be 8..32 with a zero point, which has 8 bits, not {bits}")
        late = data.StructLayout({"fraction": 1} | ({"zero_point": signed(8)} if zero_point else {}))
        shift = Shape.cast(range(max_shift + 1))
        super().__init__(
            {
                "i": In(data.StructLayout({"value": signed(width), "shift": shift, "late": late})),
                "o": Out(data.StructLayout({"total": signed(bits + 2), "beyond": 1, "negative": 1})),
            }
        )

    @staticmethod
    def model(value, shift, zero_point: np.ndarray | int = 0):
        """The result without its limits, int64: value: integers of `width` bits; shift: 0..max_shift."""
        return zero_point + arithmetic.rounding_shift(value, shift)

    def elaborate(self, platform):
        m = Module()
        # The window: the rounding bit, the result, and with a zero point one bit more, which it may bring back.
        window = self.bits + (2 if self.zero_point else 1)
        value, shift, late = self.i.value, self.i.shift, self.i.late
        sign = value[-1]
        kept = Signal(self.width + 1, name="value")
        m.d.comb += kept.eq(Cat(Const(0, 1), value))
        beyond = Const(0, 1)
        for low in reversed(range(2, len(shift), 2)):
            choices = min(4, (self.max_shift >> low) + 1)
            kept, over = self._stage(m, kept, sign, shift[low : low + 2], choices, low, window)
            beyond = beyond | over

        held = Signal(len(kept), reset_less=True)
        held_beyond = Signal(reset_less=True)
        held_sign = Signal(reset_less=True)
        held_shift = Signal(2, reset_less=True)
        m.d.sync += [held.eq(kept), held_beyond.eq(beyond), held_sign.eq(sign), held_shift.eq(shift[:2])]
        kept, over = self._stage(m, held, held_sign, held_shift, 4, 0, window)
        # Both carries enter one adder: 1 below the rounding bit makes it carry into the result.
        rounded = Signal(signed(self.bits + 3))
        above = Cat(kept[0] & late.fraction, late.zero_point if self.zero_point else Const(0, 2)).as_signed()
        m.d.comb += [
            rounded.eq(Cat(Const(1, 1), kept[1:]).as_signed() + above),
            self.o.total.eq(rounded[1:]),
            self.o.beyond.eq(held_beyond | over | (kept[-1] != held_sign)),
            self.o.negative.eq(Mux(self.o.beyond, held_sign, self.o.total[-1])),
        ]
        return m

    @staticmethod
    def _stage(m, value, sign, digit, choices: int, low: int, window: int):
        """`value` shifted by digit * 2**low, and whether a bit that ends up beyond the window differs from `sign`."""
        step = 1 << low
        keep = min(len(value), window + step - 1)
        shifted = Signal(keep, name=f"shifted_by_{step}")
        over = Signal(name=f"beyond_by_{step}")

        def bit(position: int):
            return value[position] if position < len(value) else sign

        with m.Switch(digit):
            for number in range(choices):
                with m.Case(number) if number + 1 < choices else m.Default():
                    m.d.comb += shifted.eq(Cat(bit(k + number * step) for k in range(keep)))
        flags = []
        for number in range(choices):
            first, after = keep + number * step, keep + (number + 1) * step if number + 1 < choices else len(value)
            rest = value[min(first, len(value)) : min(after, len(value))]
            if len(rest):
                flags.append((rest != sign.replicate(len(rest))) & (digit <= number))
        m.d.comb += over.eq(Cat(flags).any() if flags else 0)
        return shifted, over
