"""A stream stage for the tests of the bench, with faults that its input `fault` turns on."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

OPERANDS = data.StructLayout({"a": signed(8), "b": data.ArrayLayout(signed(5), 2)})
FAULTS = {"value": 1, "late": 2, "withdrawn": 3, "unstable": 4, "dropped": 5, "repeated": 6}


class SumStage(wiring.Component):
    """a + b[0] - b[1], one cycle after acceptance."""

    i: In(stream.Signature(OPERANDS))
    o: Out(stream.Signature(signed(10)))
    fault: In(3)

    def elaborate(self, platform):
        m = Module()
        operands, count, valid, held = self.i.payload, Signal(8), Signal(), Signal()
        total, fault = Signal(signed(10)), {name: self.fault == value for name, value in FAULTS.items()}
        m.d.sync += count.eq(count + 1)
        odd = count[:6] == 63
        m.d.comb += [
            self.i.ready.eq(~valid | (self.o.ready & self.o.valid)),
            self.o.payload.eq(total ^ ((fault["unstable"] & odd) | (fault["value"] & (total == -1)))),
            self.o.valid.eq(valid & ~(fault["withdrawn"] & odd) & ~(fault["late"] & held)),
        ]
        with m.If(self.i.ready):
            m.d.sync += [
                valid.eq(Mux(fault["repeated"] & valid & odd, 1, self.i.valid & ~(fault["dropped"] & odd))),
                total.eq(Mux(fault["repeated"] & valid & odd, total, operands.a + operands.b[0] - operands.b[1])),
                held.eq(odd),
            ]
        with m.Else():
            m.d.sync += held.eq(0)
        return m
