"""A multiplier of two DSP blocks, with an adder."""

from __future__ import annotations

import numpy as np
from amaranth.hdl import Cat, Const, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.delay_line import delayed
from triovit.hdl.multiplier.multiply_add import CASCADE_SHIFT, P_BITS, MultiplyAdd
from triovit.hdl.validation import check_integer

B_BITS = 16


class WideMultiplier(wiring.Component):
    """o = a * b + c with an a that is too wide for one multiplier: its low 17 bits in one, the rest in another.

    Parameters
    ----------
    a_bits : int, 19..40

    Members
    -------
    i : In, {a: signed(a_bits), b: unsigned(16), c: signed(8), use_c: 1}
        c counts only with use_c.
    o : Out, signed(48)

    Latency: `latency = 4`, initiation interval 1. Registers have no reset.

    Numerics: exact where the sum fits 48 bits.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: ours; the cascade of Xilinx UG579, which shifts by 17 bits.
    """

    i: data.View
    o: Signal

    latency = 4

    def __init__(self, a_bits: int):
        self.a_bits = check_integer("a_bits", a_bits, CASCADE_SHIFT + 2, 40)
        # The low operand is unsigned, which takes a bit more.
        self.low = MultiplyAdd(CASCADE_SHIFT + 1, B_BITS + 1, addend="c")
        # One register more: the low product's sum comes first.
        self.high = MultiplyAdd(a_bits - CASCADE_SHIFT, B_BITS + 1, addend="cascade", operand_registers=2)
        operands = {"a": signed(a_bits), "b": B_BITS, "c": signed(8), "use_c": 1}
        super().__init__({"i": In(data.StructLayout(operands)), "o": Out(signed(P_BITS))})

    @staticmethod
    def model(a, b, c=0):
        """a * b + c as int64."""
        return np.asarray(a, dtype=np.int64) * b + c

    def elaborate(self, platform):
        m = Module()
        m.submodules.low, m.submodules.high = low, high = self.low, self.high
        ending = Signal(CASCADE_SHIFT, reset_less=True)
        m.d.sync += ending.eq(low.o[:CASCADE_SHIFT])
        b = Cat(self.i.b, Const(0, 1)).as_signed()
        m.d.comb += [
            low.a.eq(self.i.a[:CASCADE_SHIFT]),
            low.b.eq(b),
            low.c.eq(delayed(m, self.i.c, low.latency - low.addend_latency, "c")[-1]),
            low.clear_c.eq(~delayed(m, self.i.use_c, low.latency - low.addend_latency, "use_c")[-1]),
            high.a.eq(self.i.a[CASCADE_SHIFT:].as_signed()),
            high.b.eq(b),
            high.cascade_in.eq(low.cascade_out),
            self.o.eq(Cat(ending, high.o).as_signed()),
        ]
        return m
