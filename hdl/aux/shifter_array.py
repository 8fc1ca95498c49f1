"""Shifter array: the last rounding shift of a row, which in ReLU attention divides by a power of two."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.golden.integer import arithmetic
from triovit.hdl.aux.window_shift import WindowShift
from triovit.hdl.delay_line import delayed
from triovit.hdl.multiplier.multiply_add import P_BITS
from triovit.hdl.validation import check_integer

WORD_BITS = 16
SHIFTED = data.StructLayout(
    {"value": signed(P_BITS), "beyond": 1, "negative": 1, "shift": unsigned(6), "zero_point": signed(8)}
)
"""A lane's operands. beyond: the value lies beyond every range, below if `negative`, whatever its bits are."""


class Shifter(wiring.Component):
    """A lane of `ShifterArray`, which says what it does.

    Members
    -------
    i : In, SHIFTED
    low_byte, high_byte, mute : In(1)
    o : Out, signed(8)

    Latency: `latency = 2`, initiation interval 1. Registers have no reset.
    """

    i: data.View
    low_byte: Signal
    high_byte: Signal
    mute: Signal
    o: Signal

    latency = WindowShift.latency + 1

    def __init__(self):
        super().__init__({"i": In(SHIFTED), "low_byte": In(1), "high_byte": In(1), "mute": In(1), "o": Out(signed(8))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.shifter = shifter = WindowShift(P_BITS, 8)
        value = self.i.value
        late = {
            "zero_point": self.i.zero_point,
            "beyond": self.i.beyond,
            "negative": Mux(self.i.beyond, self.i.negative, value[-1]),
            "low": self.low_byte,
            "high": self.high_byte,
            # Of a word and its zero point the bits from its sign up; there is no more above.
            "word": value[WORD_BITS - 1 : WORD_BITS + 10] != value[-1].replicate(11),
            "mute": self.mute,
        }
        held = {name: delayed(m, signal, 1, name)[-1] for name, signal in late.items()}
        total = shifter.o.total
        outside = Signal()
        negative = Signal()
        result = Signal(signed(8), reset_less=True)
        leaves = shifter.o.beyond | (total[7:] != total[-1].replicate(3))
        m.d.comb += [
            shifter.i.value.eq(value),
            shifter.i.shift.eq(self.i.shift),
            shifter.i.late.fraction.eq(~held["high"]),
            shifter.i.late.zero_point.eq(held["zero_point"]),
            outside.eq(held["beyond"] | Mux(held["low"], held["word"], leaves)),
            negative.eq(Mux(held["beyond"] | held["low"], held["negative"], shifter.o.negative)),
            self.o.eq(result),
        ]
        top = Mux(held["low"], ~negative, negative)
        m.d.sync += result.eq(Mux(outside, Cat((~negative).replicate(7), top), total[:8]))
        with m.If(held["mute"]):
            m.d.sync += result.eq(0)
        return m


class ShifterArray(wiring.Component):
    """A row of values shifted right: o = sat8(zp + rshift(value, shift)), a shift for each lane.

    Parameters
    ----------
    lanes : int, 1..64

    Members
    -------
    i : In, {lane: lanes x SHIFTED, low_byte: 1, high_byte: 1, mute: 1}
        low_byte, high_byte: of the value, a number of 26 bits, clipped to 16 bits, that byte; the shift must be 0 or 8
        and the zero point 0 then. mute: the row is zeros. At most one of the three is high.
    o : Out, lanes x signed(8)

    Latency: `latency = 2`, initiation interval 1. Registers have no reset.

    Numerics: round half up, then the zero point, then saturation. A row of attention dividends shares its shift, the
    log2 code of its token's divisor.

    Raises: TypeError, ValueError for a lane count out of its range.

    Source: Trio-ViT, shifter array and re-quantization; docs/numerics.md, ReLU linear attention.
    """

    i: data.View
    o: data.View

    latency = Shifter.latency

    def __init__(self, lanes: int):
        self.lanes = check_integer("lanes", lanes, 1, 64)
        row = {"lane": data.ArrayLayout(SHIFTED, lanes), "low_byte": 1, "high_byte": 1, "mute": 1}
        super().__init__({"i": In(data.StructLayout(row)), "o": Out(data.ArrayLayout(signed(8), lanes))})

    @staticmethod
    def model(value, shift, zero_point=0):
        """Neither bytes of a word nor muted. value: (..., lanes) of 48 bits; shift: 0..47; zero_point: int8. int64."""
        value = arithmetic.check_range(value, *arithmetic.signed_range(P_BITS), "value")
        shift = arithmetic.check_range(shift, 0, arithmetic.MAX_SHIFT, "shift")
        return arithmetic.saturate(WindowShift.model(value, shift, np.asarray(zero_point)), 8)

    def elaborate(self, platform):
        m = Module()
        for k in range(self.lanes):
            m.submodules[f"lane_{k}"] = lane = Shifter()
            m.d.comb += [
                lane.i.eq(self.i.lane[k]),
                lane.low_byte.eq(self.i.low_byte),
                lane.high_byte.eq(self.i.high_byte),
                lane.mute.eq(self.i.mute),
                self.o[k].eq(lane.o),
            ]
        return m
