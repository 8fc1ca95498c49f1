"""cocotb: StreamPipeline around a kernel that only delays, exact values and cycles."""

import random

import cocotb
from amaranth.hdl import Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tests.hdl.aux.kernels import PATTERNS, check_stream
from triovit.sim.bench import bench_parameters, random_value

PAIR = data.StructLayout({"a": signed(5), "b": data.ArrayLayout(3, 2)})


class Delay(wiring.Component):
    """The plainest kernel: o is i, `latency` enabled cycles ago."""

    def __init__(self, latency):
        self.latency = latency
        super().__init__({"i": In(PAIR), "o": Out(PAIR), "en": In(1)})

    def model(self, value):
        return value

    def elaborate(self, platform):
        m = Module()
        value = self.i
        for k in range(self.latency):
            register = Signal(PAIR, name=f"register_{k}", reset_less=True)
            with m.If(self.en):
                m.d.sync += register.eq(value)
            value = register
        m.d.comb += self.o.eq(value)
        return m


@cocotb.test()
@cocotb.parametrize(source=PATTERNS, sink=PATTERNS)
async def values_and_cycles(dut, source, sink):
    draw = random.Random(7)
    items = [random_value(PAIR, draw) for _ in range(500)]
    await check_stream(dut, Delay(bench_parameters()["latency"]), items, items, source, sink)
