"""Leading-one detector and the log2 quantizer of ReLU attention's divisors."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.golden.integer import arithmetic
from triovit.hdl.validation import check_integer


class LeadingOneDetector(wiring.Component):
    """Index of the leading one and the bit below it, by halving a window around the leading one.

    Parameters
    ----------
    width : int
        Bits of the value, 3..32.

    Members
    -------
    i : In, unsigned(width)
    o : Out, {index: unsigned(bits of width - 1), below: 1, nonzero: 1}. `below` is bit index - 1 of the value (0 when
        index is 0). A value of zero gives zero in all three.

    Latency: 2 cycles, initiation interval 1; half of the windows before the first register.

    Raises: TypeError, ValueError for a width out of its range.

    Source: Trio-ViT, leading-one detector of the log2 quantization; docs/numerics.md, The log2 rule.
    """

    i: Signal
    o: data.View

    latency = 2

    def __init__(self, width: int):
        self.width = check_integer("width", width, 3, 32)
        self.levels = (width - 1).bit_length()
        super().__init__(
            {
                "i": In(unsigned(width)),
                "o": Out(data.StructLayout({"index": unsigned(self.levels), "below": 1, "nonzero": 1})),
            }
        )

    @staticmethod
    def model(value):
        """value: 0 .. 2**width - 1. Returns int64 index, `arithmetic.leading_one`."""
        return arithmetic.leading_one(value)

    def elaborate(self, platform):
        m = Module()
        # A window holds 2**k candidate bits and, as its bit 0, the bit below them.
        window = Signal((1 << self.levels) + 1, name=f"window_{self.levels}")
        m.d.comb += window.eq(Cat(0, self.i))
        index = []  # most significant bit first
        for level in reversed(range(self.levels)):
            half = 1 << level
            if level == self.levels // 2 - 1:
                held = Signal.like(window, name=f"window_{level}_held", reset_less=True)
                held_index = Signal(len(index), reset_less=True)
                m.d.sync += [held.eq(window), held_index.eq(Cat(*index))]
                window, index = held, list(held_index)
            upper = Signal(name=f"upper_{level}")
            narrower = Signal(half + 1, name=f"window_{level}")
            m.d.comb += [
                upper.eq(window[half + 1 :].any()),
                narrower.eq(Mux(upper, window[half:], window[: half + 1])),
            ]
            index.append(upper)
            window = narrower

        result = Signal(self.o.shape(), reset_less=True)
        m.d.sync += [
            result.index.eq(Cat(*reversed(index))),
            result.below.eq(window[0]),
            result.nonzero.eq(window[1]),
        ]
        m.d.comb += self.o.eq(result)
        return m


class Log2Quantizer(wiring.Component):
    """Divisor to its 4-bit log2 code: i + bit (i - 1) of the leading one's index i, plus an offset, clipped to 0..15.

    Parameters
    ----------
    width : int
        Bits of the signed value, 4..32; 32 for an accumulator.

    Members
    -------
    i : In, {value: signed(width), offset: signed(6)}
    o : Out, unsigned(4)

    Latency: 3 cycles, initiation interval 1.

    Numerics: rounds up from 1.5 * 2**i on, so 0110 0011b gives 7. A value of zero or below gives code 0.

    Raises: TypeError, ValueError for a width out of its range.

    Source: Trio-ViT, log2 quantization of the divisors; docs/numerics.md, The log2 rule.
    """

    i: data.View
    o: Signal

    latency = LeadingOneDetector.latency + 1

    def __init__(self, width: int = arithmetic.ACCUMULATOR_BITS):
        self.width = check_integer("width", width, 4, 32)
        super().__init__(
            {
                "i": In(data.StructLayout({"value": signed(width), "offset": signed(6)})),
                "o": Out(unsigned(4)),
            }
        )

    @staticmethod
    def model(value, offset=0):
        """value: int32; offset: -32..31. Returns int64 codes, `arithmetic.divisor_code`."""
        return arithmetic.divisor_code(value, offset)

    def elaborate(self, platform):
        m = Module()
        m.submodules.detector = detector = LeadingOneDetector(self.width - 1)
        offset = [Signal(signed(6), name=f"offset_{k}", reset_less=True) for k in range(LeadingOneDetector.latency)]
        exponent = Signal(signed(7))
        code = Signal(4, reset_less=True)
        found = detector.o
        m.d.comb += [
            detector.i.eq(Mux(self.i.value[-1], 0, self.i.value[:-1])),
            exponent.eq(found.index + found.below + offset[-1]),
            self.o.eq(code),
        ]
        m.d.sync += [
            Cat(*offset).eq(Cat(self.i.offset, *offset[:-1])),
            code.eq(
                Mux(
                    ~found.nonzero | exponent[-1],
                    0,
                    Mux(exponent > arithmetic.MAX_DIVISOR_CODE, arithmetic.MAX_DIVISOR_CODE, exponent),
                )
            ),
        ]
        return m
