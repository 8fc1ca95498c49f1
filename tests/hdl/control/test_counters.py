import random

import pytest
from amaranth.sim import Simulator

from triovit.hdl.control.counters import Counters
from triovit.hdl.isa.engines import ENGINES, counters

COUNTERS = counters(ENGINES["trio"])


@pytest.mark.parametrize("ports", [1, 4])
def test_counts(ports):
    dut, generator = Counters(COUNTERS, ports), random.Random(1)
    counts, cycles, before = [0] * len(COUNTERS), 0, [0] * len(COUNTERS)

    async def bench(ctx):
        nonlocal counts, cycles, before
        for _ in range(400):
            events = [generator.randint(0, ports) for _ in COUNTERS]
            count, clear = generator.random() < 0.8, generator.random() < 0.01
            for port, value in zip((*dut.events, dut.count, dut.clear), (*events, count, clear), strict=True):
                ctx.set(port, value)
            await ctx.tick()
            cycles = 0 if clear else cycles + count
            # An event shows a cycle after the cycle itself.
            counts = [0 if clear else n + event for n, event in zip(counts, before, strict=True)]
            before = [event if count and not clear else 0 for event in events]
            assert ctx.get(dut.cycles) == cycles
            assert [ctx.get(port) for port in dut.counts] == counts

    sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(bench)
    sim.run()
    assert dut.latency == 2  # which the model has
