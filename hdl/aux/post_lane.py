"""One lane of the post-processing pipeline, up to its last shift."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.golden.integer import arithmetic
from triovit.hdl.aux.hardswish import THRESHOLD, HardswishGate
from triovit.hdl.aux.requantizer import DyadicRequantizer
from triovit.hdl.aux.shifter_array import SHIFTED
from triovit.hdl.delay_line import delayed
from triovit.hdl.isa.layouts import RECORD_LAYOUT
from triovit.hdl.multiplier.wide_multiplier import WideMultiplier

ROW_CONTROL = data.StructLayout({"hardswish": 1, "wide": 1, "use_residual": 1, "last_shift": unsigned(6)})
"""What all lanes of a row share, with the row. last_shift: in all modes but hardswish, where the record has it."""


class PostLane(wiring.Component):
    """A lane of `PostProcessing`, whose docstring states the numerics: dyadic requantizer, hardswish gate, multiplier.

    In every mode but hardswish the requantizer's result passes the gate and is multiplied by 1; in mode WIDE the zero
    point is added there, to a number that is shifted by a byte or not at all.

    Parameters: accumulator_bits: of `DyadicRequantizer`.

    Members
    -------
    i : In, {acc: signed(accumulator_bits), parameters: RECORD_LAYOUT, residual: signed(8), control: ROW_CONTROL}
    threshold : In(THRESHOLD), of the row of `threshold_delay` cycles ago
    o : Out, SHIFTED, for the shifter array

    Latency: `latency = 11`, initiation interval 1. Registers have no reset.

    Source: Trio-ViT, re-quantization behind the engines; docs/numerics.md, Requantization to ReLU linear attention.
    """

    i: data.View
    threshold: data.View
    o: data.View

    threshold_delay = DyadicRequantizer.latency
    latency = DyadicRequantizer.latency + HardswishGate.latency + WideMultiplier.latency

    def __init__(self, accumulator_bits: int = arithmetic.ACCUMULATOR_BITS):
        self.requantizer = DyadicRequantizer(accumulator_bits)
        self.gate = HardswishGate()
        self.multiplier = WideMultiplier(self.gate.o.shape().width)
        lane = {
            "acc": signed(accumulator_bits),
            "parameters": RECORD_LAYOUT,
            "residual": signed(8),
            "control": ROW_CONTROL,
        }
        super().__init__({"i": In(data.StructLayout(lane)), "threshold": In(THRESHOLD), "o": Out(SHIFTED)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.requantizer, m.submodules.gate = requantizer, gate = self.requantizer, self.gate
        m.submodules.multiplier = multiplier = self.multiplier
        record, control = self.i.parameters, self.i.control
        first, gated = requantizer.latency, requantizer.latency + gate.latency  # stages of their results

        m.d.comb += [
            requantizer.i.acc.eq(self.i.acc),
            requantizer.i.bias.eq(record.bias),
            requantizer.i.multiplier.eq(record.m1),
            requantizer.i.shift.eq(record.n1),
            requantizer.i.narrow.eq(control.hardswish),
            requantizer.i.residual.eq(self.i.residual),
            requantizer.i.residual_multiplier.eq(record.residual_multiplier),
            requantizer.i.residual_shift.eq(record.residual_shift),
            requantizer.i.use_residual.eq(control.use_residual),
            gate.i.x.eq(requantizer.o),
            gate.i.threshold.eq(self.threshold),
        ]
        hardswish = delayed(m, control.hardswish, gated - 1, "hardswish")
        wide = delayed(m, control.wide, self.latency - 1, "wide")
        zero_point = delayed(m, record.zero_point, self.latency - 1, "zero_point")
        m2 = Signal(arithmetic.MULTIPLIER_BITS, reset_less=True)
        last_zero_point = Signal(signed(8), reset_less=True)
        m.d.sync += [m2.eq(delayed(m, record.m2, gated - 1, "m2")[-1]), last_zero_point.eq(zero_point[-1])]
        with m.If(~hardswish[-1]):
            m.d.sync += m2.eq(1)
        with m.If(wide[-1]):
            m.d.sync += last_zero_point.eq(0)
        # A dividend or a sum of which already the requantizer says that it lies beyond; hardswish has used that.
        beyond = Signal(reset_less=True)
        m.d.sync += beyond.eq(requantizer.o.beyond & ~hardswish[first])
        ending = self.latency - first
        m.d.comb += [
            multiplier.i.a.eq(gate.o),
            multiplier.i.b.eq(m2),
            multiplier.i.c.eq(zero_point[gated]),
            multiplier.i.use_c.eq(wide[gated]),
            self.o.value.eq(multiplier.o),
            self.o.beyond.eq(delayed(m, beyond, ending - 1, "beyond")[-1]),
            self.o.negative.eq(delayed(m, requantizer.o.negative, ending, "negative")[-1]),
            self.o.shift.eq(
                delayed(m, Mux(control.hardswish, record.n2[:6], control.last_shift), self.latency, "shift")[-1]
            ),
            self.o.zero_point.eq(last_zero_point),
        ]
        return m
