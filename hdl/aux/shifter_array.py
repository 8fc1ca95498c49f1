"""Shifter array: the division of ReLU attention by a power of two."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.golden.integer import arithmetic
from triovit.hdl.aux.requantizer import PowerOfTwoRequantizer
from triovit.hdl.validation import check_integer


class ShifterArray(wiring.Component):
    """A row of dividends divided by 2**code: o = sat8(zp + rshift(d, code)).

    Parameters
    ----------
    lanes : int
        Dividends in a row, 1..64. All of a row belong to one token and share its divisor.

    Members
    -------
    i : In, {dividend: lanes x signed(24), code: unsigned(4), zero_point: lanes x signed(8)}
    o : Out, lanes x signed(8)
    en : In, 1. Registers advance only while it is high.

    Latency: 2 enabled cycles, initiation interval 1.

    Numerics: round half up, then the zero point, then saturation. 24 bits are 8 of output, 15 of shift and a sign.

    Raises: TypeError, ValueError for a lane count out of its range.

    Source: Trio-ViT, shifter array; docs/numerics.md, ReLU linear attention.
    """

    i: data.View
    o: data.View
    en: Signal

    latency = PowerOfTwoRequantizer.latency

    def __init__(self, lanes: int):
        self.lanes = check_integer("lanes", lanes, 1, 64)
        super().__init__(
            {
                "i": In(
                    data.StructLayout(
                        {
                            "dividend": data.ArrayLayout(signed(arithmetic.DIVIDEND_BITS), lanes),
                            "code": unsigned(4),
                            "zero_point": data.ArrayLayout(signed(8), lanes),
                        }
                    )
                ),
                "o": Out(data.ArrayLayout(signed(8), lanes)),
                "en": In(1),
            }
        )

    @staticmethod
    def model(dividend, code, zero_point=0):
        """dividend: (..., lanes) int24; code: (...) 0..15; zero_point: (lanes,) int8. Returns int64 (..., lanes)."""
        dividend = arithmetic.check_range(dividend, *arithmetic.signed_range(arithmetic.DIVIDEND_BITS), "dividend")
        code = arithmetic.check_range(code, 0, arithmetic.MAX_DIVISOR_CODE, "divisor code")
        return arithmetic.requantize_power_of_two(dividend, code[..., None], zero_point, 8)

    def elaborate(self, platform):
        m = Module()
        for k in range(self.lanes):
            lane = PowerOfTwoRequantizer(8, width=arithmetic.DIVIDEND_BITS, max_shift=arithmetic.MAX_DIVISOR_CODE)
            m.submodules[f"lane_{k}"] = lane
            m.d.comb += [
                lane.i.acc.eq(self.i.dividend[k]),
                lane.i.shift.eq(self.i.code),
                lane.i.zero_point.eq(self.i.zero_point[k]),
                lane.en.eq(self.en),
                self.o[k].eq(lane.o),
            ]
        return m
