"""Two 8x8 products with a shared operand: in one wide multiplier, and as its behavioural twin."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.golden.integer import arithmetic
from triovit.hdl.aux.shapes import OPERAND

PRODUCT = signed(16)
OFFSET = 18  # weight 2**18 of the upper operand: its product starts where the lower one, sign-extended, ends
WIDE, NARROW = 27, 18  # operand widths of a DSP48E2's multiplier
PORTS = {
    "i": In(data.StructLayout({"a1": OPERAND, "a0": OPERAND, "b": OPERAND})),
    "o": Out(data.StructLayout({"p1": PRODUCT, "p0": PRODUCT})),
    "en": In(1),
}


class MultiplierPair(wiring.Component):
    """Two signed 8x8 multipliers with a shared operand: the behavioural twin of `PackedMultiplier`.

    Members
    -------
    i : In, {a1, a0, b: signed(8)}
    o : Out, {p1, p0: signed(16)}; p1 = a1 * b, p0 = a0 * b
    en : In, 1. Registers advance only while it is high.

    Latency: 2 enabled cycles (operands, products), as an operand register and a multiplier have; initiation interval 1.
    Registers have no reset.

    Numerics: exact for all operands, -128 included.

    Raises: nothing, it has no parameters.

    Source: Trio-ViT, two 8-bit multiplications a DSP.
    """

    i: data.View
    o: data.View
    en: Signal

    latency = 2

    def __init__(self):
        super().__init__(PORTS)

    @staticmethod
    def model(a1, a0, b):
        """The two products as int64, broadcast; a1, a0, b: int8. OverflowError outside int8."""
        a1, a0, b = (arithmetic.check_range(v, -128, 127, n) for v, n in ((a1, "a1"), (a0, "a0"), (b, "b")))
        return a1 * b, a0 * b

    def elaborate(self, platform):
        m = Module()
        operands = Signal(self.i.shape(), reset_less=True)
        products = Signal(self.o.shape(), reset_less=True)
        with m.If(self.en):
            m.d.sync += [
                operands.eq(self.i),
                products.p1.eq(operands.a1 * operands.b),
                products.p0.eq(operands.a0 * operands.b),
            ]
        m.d.comb += self.o.eq(products)
        return m


class PackedMultiplier(wiring.Component):
    """The same two products in one signed 27x18 multiplier, the shape of a DSP48E2.

    (a1 * 2**18 + a0) * b = a1 * b * 2**18 + a0 * b. The lower product is the low half of the result. The upper half is
    a1 * b plus the sign extension of the lower product, that is minus one when a0 * b is negative, so its sign bit is
    added back: one 16-bit increment behind the product register.

    Members, latency, initiation interval and numerics are those of `MultiplierPair`; the registers are the
    pre-adder's and the product's. The increment is combinational at the output (p1 is not registered, p0 is).

    Raises: nothing, it has no parameters.

    Source: Trio-ViT, two 8-bit multiplications a DSP (the packing itself is ours).
    """

    i: data.View
    o: data.View
    en: Signal

    latency = 2

    def __init__(self):
        super().__init__(PORTS)

    @staticmethod
    def model(a1, a0, b):
        """The two products by the packed route, as int64, broadcast; a1, a0, b: int8. OverflowError outside int8."""
        a1, a0, b = (arithmetic.check_range(v, -128, 127, n) for v, n in ((a1, "a1"), (a0, "a0"), (b, "b")))
        wide = ((a1 << OFFSET) + a0) * b
        lower = (wide & 0xFFFF) - ((wide & 0x8000) << 1)
        return (wide >> OFFSET) + (wide >> (OFFSET - 1) & 1), lower

    def elaborate(self, platform):
        m = Module()
        packed = Signal(signed(WIDE), reset_less=True)
        shared = Signal(signed(NARROW), reset_less=True)
        product = Signal(signed(WIDE + NARROW), reset_less=True)
        with m.If(self.en):
            m.d.sync += [
                packed.eq((self.i.a1 << OFFSET) + self.i.a0),
                shared.eq(self.i.b),
                product.eq(packed * shared),
            ]
        m.d.comb += [
            self.o.p0.eq(product[: PRODUCT.width]),
            self.o.p1.eq(product[OFFSET:] + product[OFFSET - 1]),
        ]
        return m
