"""A window shift with what its owners do: its zero point a cycle later, and the limits of its bits."""

from amaranth.hdl import Module, Mux, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.golden.integer import arithmetic
from triovit.hdl.aux.window_shift import WindowShift
from triovit.hdl.delay_line import delayed


class ClippedShift(wiring.Component):
    """i: {value, shift, fraction, zero_point}; o: the result, clipped to the shift's bits."""

    latency = WindowShift.latency

    def __init__(self, *arguments, **options):
        self.shifter = WindowShift(*arguments, **options)
        fields = {name: self.shifter.i.shape()[name].shape for name in ("value", "shift")}
        fields |= {"fraction": 1, "zero_point": signed(8)}
        super().__init__({"i": In(data.StructLayout(fields)), "o": Out(signed(self.shifter.bits))})

    def model(self, value, shift, fraction=1, zero_point=0):
        rounded = WindowShift.model(value, shift, zero_point) if fraction else zero_point + (value >> shift)
        return int(arithmetic.saturate(rounded, self.shifter.bits))

    def elaborate(self, platform):
        m = Module()
        m.submodules.shifter = shifter = self.shifter
        m.d.comb += [
            shifter.i.value.eq(self.i.value),
            shifter.i.shift.eq(self.i.shift),
            shifter.i.late.fraction.eq(delayed(m, self.i.fraction, 1, "fraction")[-1]),
        ]
        if shifter.zero_point:
            m.d.comb += shifter.i.late.zero_point.eq(delayed(m, self.i.zero_point, 1, "zero_point")[-1])
        total, bits = shifter.o.total, shifter.bits
        low, high = arithmetic.signed_range(bits)
        beyond = shifter.o.beyond | (total[bits - 1] != total[bits]) | (total[bits] != total[bits + 1])
        m.d.comb += self.o.eq(Mux(beyond, Mux(shifter.o.negative, low, high), total))
        return m
