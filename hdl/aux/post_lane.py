"""One lane of the post-processing pipeline."""

from __future__ import annotations

from itertools import pairwise

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.golden.integer import arithmetic
from triovit.hdl.aux.hardswish import HardswishGate
from triovit.hdl.aux.requantizer import PowerOfTwoRequantizer
from triovit.hdl.aux.rounding_shift import RoundingShift, saturate
from triovit.hdl.isa.layouts import RECORD_LAYOUT
from triovit.hdl.isa.names import PostMode

ROW_CONTROL = {
    "code": unsigned(4),
    "mode": PostMode,
    "fraction_bits": unsigned(4),
    "use_residual": unsigned(1),
    "high_byte": unsigned(1),
}
"""What all lanes of a row share."""

_PRODUCT_BITS = arithmetic.ACCUMULATOR_BITS + arithmetic.MULTIPLIER_BITS


class PostLane(wiring.Component):
    """One lane of `PostProcessing`, whose docstring states the numerics.

    All modes share the first multiplier and the last rounding shift, zero point and saturation. A second rounding shift
    makes the hardswish operand and the dividend.

    Members
    -------
    i : In, {acc: signed(32), parameters: RECORD_LAYOUT, residual: signed(8), code: 4, mode: PostMode,
        fraction_bits: 4, use_residual: 1, high_byte: 1}
    o : Out, signed(8); 0 in mode LOG2
    biased : Out, signed(32), acc + bias after one enabled cycle, for the log2 quantizer
    en : In, 1. Registers advance only while it is high.

    Latency: 10 enabled cycles, initiation interval 1.

    Source: Trio-ViT, re-quantization behind the engines; docs/numerics.md, Requantization to ReLU linear attention.
    """

    i: data.View
    o: Signal
    biased: Signal
    en: Signal

    latency = 8 + PowerOfTwoRequantizer.latency

    def __init__(self):
        lane = {"acc": signed(32), "parameters": RECORD_LAYOUT, "residual": signed(8), **ROW_CONTROL}
        super().__init__(
            {"i": In(data.StructLayout(lane)), "o": Out(signed(8)), "biased": Out(signed(32)), "en": In(1)}
        )

    def elaborate(self, platform):
        m = Module()
        parameters, mode = self.i.parameters, self.i.mode
        stage = self._build_stages(m)

        # 1: bias; operands of the first multiplier and of the residual's
        biased = Signal(signed(32), reset_less=True)
        m1 = Signal(16, reset_less=True)
        residual = Signal(signed(8), reset_less=True)
        residual_multiplier = Signal(16, reset_less=True)
        residual_shift = [Signal(6, name=f"residual_shift_{k}", reset_less=True) for k in (1, 2)]
        # 2, 3: products; the residual's term, the rounded product
        product = [Signal(signed(_PRODUCT_BITS), name=f"product_{k}", reset_less=True) for k in (2, 3)]
        scaled = Signal(signed(24), reset_less=True)
        term = Signal(signed(arithmetic.PRODUCT_BITS), reset_less=True)
        m.submodules.rounding = rounding = RoundingShift(_PRODUCT_BITS, arithmetic.MAX_SHIFT)
        # 4..7: the value to be rounded in all modes but hardswish; the residual's term is 0 beside a dividend
        direct = [Signal(signed(arithmetic.PRODUCT_BITS), name=f"direct_{k}", reset_less=True) for k in range(4, 8)]
        # 4: hardswish operand; 6: its product with the gate; 7: second product
        x = Signal(signed(arithmetic.FIXED_POINT_BITS), reset_less=True)
        m.submodules.gate = gate = HardswishGate()
        gated = Signal(signed(_PRODUCT_BITS), reset_less=True)
        # 8, 9: last rounding, zero point, 16-bit saturation; 10: the byte
        m.submodules.last = last = PowerOfTwoRequantizer(16, width=arithmetic.PRODUCT_BITS)
        result = Signal(signed(8), reset_less=True)

        with m.If(self.en):
            m.d.sync += [
                biased.eq(self.i.acc + parameters.bias),
                m1.eq(parameters.m1),
                residual.eq(Mux(self.i.use_residual & (mode == PostMode.LINEAR), self.i.residual, 0)),
                residual_multiplier.eq(parameters.residual_multiplier),
                residual_shift[0].eq(parameters.residual_shift),
                product[0].eq(biased * m1),
                scaled.eq(residual * residual_multiplier),
                residual_shift[1].eq(residual_shift[0]),
                product[1].eq(product[0]),
                term.eq(self._build_left_shift(m, scaled, residual_shift[1])),
                direct[0].eq(Mux(stage[3].divide, saturate(rounding.o, arithmetic.DIVIDEND_BITS), product[1]) + term),
                x.eq(saturate(rounding.o, arithmetic.FIXED_POINT_BITS)),
                gated.eq(gate.o * stage[6].m2),
                result.eq(
                    Mux(
                        stage[9].wide,
                        Mux(stage[9].high_byte, last.o[8:], last.o[:8]).as_signed(),
                        Mux(stage[9].mute, 0, saturate(last.o, 8)[:8].as_signed()),
                    )
                ),
            ]
            m.d.sync += [new.eq(old) for old, new in pairwise(direct)]

        m.d.comb += [
            rounding.i.value.eq(product[0]),
            rounding.i.shift.eq(stage[2].first_shift),
            gate.i.x.eq(x),
            gate.i.fraction_bits.eq(stage[4].fraction_bits),
            last.i.acc.eq(Mux(stage[7].hardswish, gated, direct[-1])),
            last.i.shift.eq(stage[7].last_shift),
            last.i.zero_point.eq(stage[7].zero_point),
            self.o.eq(result),
            self.biased.eq(biased),
        ]
        m.d.comb += [kernel.en.eq(self.en) for kernel in (rounding, gate, last)]
        return m

    def _build_stages(self, m: Module) -> list:
        """What later stages need of the parameters and the mode; entry k belongs to the item k enabled cycles old."""
        later = data.StructLayout(
            {
                "first_shift": 6,
                "fraction_bits": 4,
                "m2": 16,
                "last_shift": 6,
                "zero_point": signed(8),
                "hardswish": 1,
                "divide": 1,
                "wide": 1,
                "mute": 1,
                "high_byte": 1,
            }
        )
        stage = [Signal(later, name=f"stage_{k}", reset_less=True) for k in range(10)]
        now, parameters, mode = stage[0], self.i.parameters, self.i.mode
        m.d.comb += [
            now.first_shift.eq(parameters.n1),
            now.fraction_bits.eq(self.i.fraction_bits),
            now.m2.eq(parameters.m2),
            now.last_shift.eq(Mux(now.hardswish, parameters.n2, Mux(now.divide, self.i.code, parameters.n1))),
            now.zero_point.eq(parameters.zero_point),
            now.hardswish.eq(mode == PostMode.HARDSWISH),
            now.divide.eq(mode == PostMode.DIVIDE),
            now.wide.eq(mode == PostMode.WIDE),
            now.mute.eq(mode == PostMode.LOG2),
            now.high_byte.eq(self.i.high_byte),
        ]
        with m.If(self.en):
            m.d.sync += [new.eq(old) for old, new in pairwise(stage)]
        return stage

    @staticmethod
    def _build_left_shift(m: Module, value, amount):
        """value << amount, cut to the product's width: the operator alone would make a far wider intermediate."""
        width = arithmetic.PRODUCT_BITS
        fine = Signal(signed(len(value) + 31), name="fine_shift")
        m.d.comb += fine.eq(value << amount[:5])
        return Mux(amount[5], Cat(Const(0, 32), fine[: width - 32]), fine[:width]).as_signed()
