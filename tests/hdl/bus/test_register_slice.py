"""The register slice against a queue of two places, cycle by cycle."""

import random

import pytest
from amaranth.hdl import unsigned
from amaranth.sim import Simulator

from triovit.hdl.bus.register_slice import RegisterSlice


@pytest.mark.parametrize("offered", [1.0, 0.5])
@pytest.mark.parametrize("ready", [1.0, 0.5])
def test_against_a_model(offered, ready):
    """Ready while the second place is free, whatever the inputs do; an item is out a cycle after it came in."""
    dut, generator = RegisterSlice(unsigned(8)), random.Random(f"{offered} {ready}")
    places, got, sent, cycles = [], [], [], {}

    async def bench(ctx):
        for cycle in range(300):
            value = generator.randrange(256)
            valid, taking = generator.random() < offered, generator.random() < ready
            accepting, showing = len(places) < 2, list(places)
            for inputs in ((0, 0), (1, 1), (valid, taking)):
                ctx.set(dut.i.valid, inputs[0])
                ctx.set(dut.o.ready, inputs[1])
                ctx.set(dut.i.payload, value)
                assert (ctx.get(dut.i.ready), ctx.get(dut.o.valid)) == (accepting, bool(showing))
                if showing:
                    assert ctx.get(dut.o.payload) == showing[0]
            if showing and taking:
                got.append(places.pop(0))
            if valid and accepting:
                places.append(value)
                sent.append(value)
                cycles[len(sent) - 1] = cycle
            await ctx.tick()
        if offered == ready == 1.0:
            assert len(sent) == 300 and len(got) == 300 - RegisterSlice.latency  # one per cycle

    sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(bench)
    sim.run()
    assert got == sent[: len(got)] and len(got) > 60
