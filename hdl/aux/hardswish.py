"""Hardswish between two requantizations."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.golden.integer import arithmetic
from triovit.hdl.aux.requantizer import REQUANTIZED
from triovit.hdl.delay_line import delayed
from triovit.hdl.multiplier.multiply_add import MultiplyAdd

X_BITS = arithmetic.FIXED_POINT_BITS
GATE_BITS = (6 << arithmetic.MAX_FRACTION_BITS).bit_length()  # 0 .. 6 * 2**f
THRESHOLD = data.StructLayout({"active": 1, "three": GATE_BITS, "lead": X_BITS - 2, "above": X_BITS - 1})
"""3.0 as a row's lanes share it: 3 * 2**f, its lower bit f alone, and all bits above its two; zeros if not active."""


def threshold(active, fraction_bits):
    """(field, value) of THRESHOLD's fields: what 3.0 is with so many fraction bits, 0..13; nothing unless `active`."""
    lead = Cat(active & (fraction_bits == k) for k in range(X_BITS - 2))
    upper = Cat(lead[k - 1] if k else 0 for k in range(X_BITS - 1))
    above = [active & (fraction_bits + 1 < k) for k in range(X_BITS - 1)]
    return {"active": active, "three": lead | upper, "lead": lead, "above": Cat(above)}


class HardswishGate(wiring.Component):
    """x -> x * clamp(x + 3 * 2**f, 0, 6 * 2**f): six times hardswish of a fixed-point number; or x itself.

    Members
    -------
    i : In, {x: REQUANTIZED, threshold: THRESHOLD}
        With an active threshold x is a narrow result (16 bits); else it passes.
    o : Out, signed(32), with 2 * f fraction bits

    Latency: `latency = 2` (gate, product), initiation interval 1. Registers have no reset.

    Numerics: exact. x beyond its range counts as 32767 or as anything below -3.0. The clamp is done on x, between -3.0
    and 3.0, in front of the addition, which the multiplier's pre-adder does; both limits take one comparison, of
    |x| with 3.0: bit f and f + 1 are set, or one above.

    Raises: nothing.

    Source: EfficientViT's activation x * relu6(x + 3) / 6; integer form in docs/numerics.md, Hardswish.
    """

    i: data.View
    o: Signal

    latency = 2

    def __init__(self):
        self.multiplier = MultiplyAdd(GATE_BITS + 1, X_BITS, pre_add=True, addend="c", result_register=False)
        super().__init__(
            {
                "i": In(data.StructLayout({"x": REQUANTIZED, "threshold": THRESHOLD})),
                "o": Out(signed(X_BITS + GATE_BITS)),
            }
        )

    @staticmethod
    def model(x, fraction_bits):
        """x: int16; fraction_bits: 0..13. Returns int64, `arithmetic.hardswish_product`."""
        return arithmetic.hardswish_product(x, fraction_bits)

    def elaborate(self, platform):
        m = Module()
        m.submodules.multiplier = multiplier = self.multiplier
        x, limit = self.i.x, self.i.threshold
        operand = Signal(signed(X_BITS))
        magnitude = Signal(X_BITS - 1)  # of a negative x one less
        outside = Signal()
        above = Signal()
        m.d.comb += [
            operand.eq(x.value),
            magnitude.eq(operand[:-1] ^ operand[-1].replicate(X_BITS - 1)),
            outside.eq(((magnitude & limit.above) | (magnitude[:-1] & magnitude[1:] & limit.lead)).any()),
            above.eq(outside & ~operand[-1]),
            multiplier.a.eq(Mux(above, limit.three.as_signed(), operand)),
            multiplier.d.eq(limit.three),
            multiplier.b.eq(operand),
            multiplier.clear_a.eq(~limit.active | (outside & operand[-1]) | (x.beyond & x.negative)),
            multiplier.c.eq(delayed(m, x.value, 1, "value")[-1]),
            multiplier.clear_c.eq(delayed(m, limit.active, 1, "active")[-1]),
            self.o.eq(multiplier.o),
        ]
        return m
