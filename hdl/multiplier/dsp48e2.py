"""The packed multiplier of Xilinx UltraScale+: hand-written Verilog in the design, its twin in Amaranth's simulator."""

from __future__ import annotations

from pathlib import Path

from amaranth.hdl import C, Cat, ClockSignal, Instance, Module, Mux, Signal, signed
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.multiplier.pair import LATENCY, Addend
from triovit.hdl.shapes import OPERAND
from triovit.hdl.technology import technology_of

PACKED_SOURCE = Path(__file__).with_name("dsp48e2.v")
PACKED_MODULE = "triovit_packed_multiplier"  # the module in it
OFFSET = 18  # the upper operand counts 2**18: its products start where the lower ones, sign-extended, end
WIDE, NARROW, P = 27, 18, 48  # widths of a DSP48E2: pre-adder and multiplier, multiplier, accumulator


class PackedMultiplier(wiring.Component):
    """p = z + (a[1] * 2**18 + a[0]) * b with z = 0, the p of a neighbour, or p: one DSP48E2 and nothing else.

    Parameters
    ----------
    cascaded : bool
        Whether `cascade_in` is the `cascade_out` of a neighbour; else it is not connected and `addend` never CASCADE.

    Members
    -------
    a : In(ArrayLayout(signed(8), 2)), b : In(signed(8))
        Operands; a[0] goes to port A, a[1] to D, b to B.
    en : In(4)
        Clock enables of the stages A/D/B1, AD/B2, M and P.
    addend : In(Addend)
        Z multiplexer (OPMODE), sampled in every cycle, two cycles after the operands.
    cascade_in : In(48), cascade_out : Out(48)
        PCIN and PCOUT.
    p : Out(48)

    Latency: `latency = 4` cycles from the operands to `p`, initiation interval 1. Registers have no reset.

    Numerics: exact; a[1] * 2**18 + a[0] of any int8 fits the 27 bits of the pre-adder, the product 45 bits, and p wraps
    at 48. What the two halves of p mean is said in `hdl.multiplier.packed`.

    Raises: nothing.

    Source: ours; Xilinx UG579 describes the DSP48E2. The Verilog is in `dsp48e2.v`.
    """

    a: data.View
    b: Signal
    en: Signal
    addend: enum.EnumView
    cascade_in: Signal
    cascade_out: Signal
    p: Signal

    latency = LATENCY
    VERILOG_FILES = {PACKED_MODULE: PACKED_SOURCE}  # for `hdl.emit.verilog`

    def __init__(self, cascaded: bool = True):
        self.cascaded = cascaded
        super().__init__(
            {
                "a": In(data.ArrayLayout(OPERAND, 2)),
                "b": In(OPERAND),
                "en": In(LATENCY),
                "addend": In(Addend),
                "cascade_in": In(P),
                "cascade_out": Out(P),
                "p": Out(P),
            }
        )

    def elaborate(self, platform):
        return self.twin() if technology_of(platform).simulated else self._instance()

    def _instance(self) -> Module:
        m = Module()
        m.submodules.multiplier = Instance(
            PACKED_MODULE,
            p_CASCADED=int(self.cascaded),
            i_clk=ClockSignal(),
            i_a0=self.a[0],
            i_a1=self.a[1],
            i_b=self.b,
            i_en=self.en,
            i_addend=self.addend,
            i_cascade_in=self.cascade_in,
            o_cascade_out=self.cascade_out,
            o_p=self.p,
        )
        return m

    def twin(self) -> Module:
        """The same registers in Amaranth."""
        m = Module()
        upper = Signal(signed(WIDE), reset_less=True)
        lower = Signal(signed(WIDE), reset_less=True)
        packed = Signal(signed(WIDE), reset_less=True)
        shared1 = Signal(signed(NARROW), reset_less=True)
        shared2 = Signal(signed(NARROW), reset_less=True)
        product = Signal(signed(WIDE + NARROW), reset_less=True)
        z = Signal(Addend, reset_less=True)
        total = Signal(signed(P), reset_less=True)
        cascade = self.cascade_in.as_signed() if self.cascaded else 0
        with m.If(self.en[0]):
            m.d.sync += [upper.eq(Cat(C(0, OFFSET), self.a[1]).as_signed()), lower.eq(self.a[0]), shared1.eq(self.b)]
        with m.If(self.en[1]):
            m.d.sync += [packed.eq(upper + lower), shared2.eq(shared1)]
        with m.If(self.en[2]):
            m.d.sync += product.eq(packed * shared2)
        m.d.sync += z.eq(self.addend)
        with m.If(self.en[3]):
            m.d.sync += total.eq(product + Mux(z == Addend.ZERO, 0, Mux(z == Addend.CASCADE, cascade, total)))
        m.d.comb += [self.p.eq(total), self.cascade_out.eq(total)]
        return m
