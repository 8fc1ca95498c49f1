import random

import pytest
from amaranth.sim import Simulator

from triovit.hdl.dma.port_fork import PortFork


@pytest.mark.parametrize("ports", [2, 4])
def test_every_port_gets_every_item_once(ports):
    """In order, at times of its own; with ports that are always ready an item per cycle."""
    dut, rng = PortFork(8, ports), random.Random(ports)
    sent, got, apart, fast = [], [[] for _ in range(ports)], 0, 0

    async def bench(ctx):
        nonlocal apart, fast
        item, offered = rng.randrange(256), False
        for cycle in range(600):
            offered = offered or cycle >= 500 or rng.random() < 0.7
            ctx.set(dut.i.valid, offered)
            ctx.set(dut.i.payload, item)
            for port in dut.o:
                ctx.set(port.ready, cycle >= 500 or rng.random() < 0.5)
            for port, items in zip(dut.o, got, strict=True):
                if ctx.get(port.valid) and ctx.get(port.ready):
                    items.append(ctx.get(port.payload))
            apart += len({len(items) for items in got}) > 1
            if offered and ctx.get(dut.i.ready):
                sent.append(item)
                fast += cycle >= 500
                item, offered = rng.randrange(256), False
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(bench)
    sim.run()
    assert all(items == sent for items in got) and apart > 50
    assert fast == 100
