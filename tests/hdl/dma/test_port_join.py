import random

import pytest
from amaranth.sim import Simulator

from triovit.hdl.dma.port_join import PortJoin


@pytest.mark.parametrize("depth", [1, 4])
@pytest.mark.parametrize("ports", [2, 4])
def test_items_of_all_ports_come_together(ports, depth):
    """The n-th items of all ports leave at once, in order; a port is at most `depth` ahead of the slowest."""
    dut, rng = PortJoin(8, ports, depth), random.Random(ports)
    sent, got, ahead = [[] for _ in range(ports)], [], 0

    async def bench(ctx):
        nonlocal ahead
        for cycle in range(800):
            items = [rng.randrange(256) for _ in range(ports)]
            for number, (port, item) in enumerate(zip(dut.i, items, strict=True)):
                # Each port is the slow one for a while.
                share = 0.1 if cycle // 100 % ports == number else 0.9
                ctx.set(port.valid, rng.random() < share)
                ctx.set(port.payload, item)
            ctx.set(dut.o.ready, rng.random() < 0.8)
            if ctx.get(dut.o.valid) and ctx.get(dut.o.ready):
                got.append([ctx.get(dut.o.payload[port]) for port in range(ports)])
            for port, items_of, item in zip(dut.i, sent, items, strict=True):
                if ctx.get(port.valid) and ctx.get(port.ready):
                    items_of.append(item)
            waiting = [len(items_of) - len(got) for items_of in sent]
            assert min(waiting) >= 0 and max(waiting) <= depth
            ahead = max(ahead, max(waiting) - min(waiting))
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(bench)
    sim.run()
    assert len(got) > 50 and ahead == depth
    assert got == [list(items) for items in zip(*(items_of[: len(got)] for items_of in sent), strict=True)]


@pytest.mark.parametrize("ports", [2, 4])
def test_an_item_per_cycle(ports):
    dut, came = PortJoin(8, ports, 4), []

    async def bench(ctx):
        ctx.set(dut.o.ready, 1)
        for cycle in range(20):
            for port in dut.i:
                ctx.set(port.valid, 1)
                ctx.set(port.payload, cycle)
                assert ctx.get(port.ready)
            if ctx.get(dut.o.valid):
                came.append((cycle, ctx.get(dut.o.payload[ports - 1])))
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(bench)
    sim.run()
    assert dut.latency == 1 and came == [(cycle + 1, cycle) for cycle in range(19)]
    assert PortJoin(8, 1, 4).latency == 0
