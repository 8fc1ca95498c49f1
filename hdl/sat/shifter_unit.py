"""Product of an activation and an APoT weight without a multiplier."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.golden.integer import arithmetic
from triovit.golden.integer.apot import ApotFormat
from triovit.hdl.shapes import OPERAND


def code_layout(format: ApotFormat) -> data.StructLayout:
    """Bits of an APoT code as `ApotFormat` numbers them: sign, e1, e2 from bit 0 up. TypeError for another type."""
    if not isinstance(format, ApotFormat):
        raise TypeError(f"format must be an ApotFormat, not {format!r}")
    field = unsigned(format.exponent_bits)
    return data.StructLayout({"sign": 1, "e1": field, "e2": field})


class ShifterUnit(wiring.Component):
    """Two shifters and one adder: activation * s * (2**p1 + 2**p2).

    Parameters
    ----------
    format : ApotFormat
        Widths and exponent window of the weight code.

    Members
    -------
    i : In, {activation: signed(8), code: {sign: 1, e1, e2: unsigned(format.exponent_bits)}}
    o : Out, signed(format.product_bits)
    en : In, 1. Registers advance only while it is high.

    Latency: 2 enabled cycles (sign and shifters, adder); initiation interval 1. Registers have no reset.

    Numerics: exact for all activations and all codes, also those the encoder never gives (e1 < e2, a negative zero).
    The sign goes to the activation, where negation is 9 bits wide and not `product_bits`.

    Raises: TypeError when format is no ApotFormat.

    Source: M2-ViT, shifter unit of the accelerator section; docs/numerics.md, APoT weights.
    """

    i: data.View
    o: Signal
    en: Signal

    latency = 2

    def __init__(self, format: ApotFormat):
        self.format = format
        super().__init__(
            {
                "i": In(data.StructLayout({"activation": OPERAND, "code": code_layout(format)})),
                "o": Out(signed(format.product_bits)),
                "en": In(1),
            }
        )

    def model(self, activation, code):
        """Products as int64; activation: int8, code: 0 .. 2**width - 1, broadcast against each other."""
        return arithmetic.check_range(activation, -128, 127, "activation") * self.format.decode(code)

    def elaborate(self, platform):
        m = Module()
        code = self.i.code
        operand = Signal(signed(9))
        terms = [Signal(signed(self.format.product_bits), name=f"term{k}", reset_less=True) for k in (1, 2)]
        total = Signal(signed(self.format.product_bits), reset_less=True)
        m.d.comb += [
            operand.eq(Mux(code.sign, -self.i.activation, self.i.activation)),
            self.o.eq(total),
        ]
        with m.If(self.en):
            for term, field in zip(terms, (code.e1, code.e2), strict=True):
                # `low` and the field's offset of one are wiring; the shifter itself has exponent_bits of control.
                shifted = (operand << field) << self.format.low
                m.d.sync += term.eq(Mux(field == 0, 0, shifted >> 1))
            m.d.sync += total.eq(terms[0] + terms[1])
        return m
