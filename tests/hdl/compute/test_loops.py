"""LoopCounters and NestAddress against plain loops."""

import itertools
import random

import pytest
from amaranth.hdl import Elaboratable, Module
from amaranth.sim import Simulator

from triovit.hdl.compute.loops import LoopCounters, NestAddress


class Nest(Elaboratable):
    """Both together, as the sequencer has them."""

    def __init__(self, levels, width):
        self.counters, self.address = LoopCounters(levels, width), NestAddress(levels, 16)

    def elaborate(self, platform):
        m = Module()
        m.submodules.counters, m.submodules.address = counters, address = self.counters, self.address
        m.d.comb += [
            address.ends.eq(counters.ends), address.load.eq(counters.load), address.advance.eq(counters.advance),
        ]  # fmt: skip
        return m


@pytest.mark.parametrize("levels,width", [(2, 3), (3, 2), (6, 4), (8, 2)])
def test_plain_loops(levels, width):
    rng = random.Random(levels)
    dut = Nest(levels, width)
    counters, address = dut.counters, dut.address

    async def bench(ctx):
        for _ in range(12):
            counts = [rng.choice((1, 1, 2, 3)) for _ in range(levels)]
            counts[rng.randrange(levels)] = rng.choice((1, (1 << width) - 1))
            strides = [rng.getrandbits(16) for _ in range(levels)]
            base = rng.getrandbits(16)
            ctx.set(counters.counts, counts)
            ctx.set(address.strides, strides)
            ctx.set(address.base, base)
            ctx.set(counters.load, 1)
            if rng.random() < 0.5:  # nothing happens without `advance`
                seen = ctx.get(counters.ends), ctx.get(counters.starts), ctx.get(address.address)
                ctx.set(counters.advance, 0)
                await ctx.tick()
                assert seen == (ctx.get(counters.ends), ctx.get(counters.starts), ctx.get(address.address))
            ctx.set(counters.advance, 1)
            await ctx.tick()
            ctx.set(counters.load, 0)
            ctx.set(counters.advance, 0)
            # What is given with `load` does not matter afterwards.
            ctx.set(counters.counts, [1] * levels)
            ctx.set(address.strides, [0] * levels)
            for outer_first in itertools.product(*(range(count) for count in reversed(counts))):
                index = outer_first[::-1]
                while True:
                    assert ctx.get(address.address) == (base + sum(map(int.__mul__, index, strides))) % (1 << 16)
                    ends = [i == count - 1 for i, count in zip(index, counts, strict=True)]
                    assert ctx.get(counters.ends) == sum(end << k for k, end in enumerate(ends))
                    assert ctx.get(counters.starts) == sum((i == 0) << k for k, i in enumerate(index))
                    assert ctx.get(counters.last) == all(ends)
                    advance = rng.random() < 0.8
                    ctx.set(counters.advance, advance)
                    await ctx.tick()
                    ctx.set(counters.advance, 0)
                    if advance:
                        break

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()
