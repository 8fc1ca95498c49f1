"""Timer against the time of its last start."""

import random

import pytest
from amaranth.sim import Simulator

from triovit.hdl.compute.timer import Timer


@pytest.mark.parametrize("most", [1, 2, 9])
def test_free_after_its_cycles(most):
    rng, dut = random.Random(most), Timer(most)

    async def bench(ctx):
        free_from = 0
        for now in range(600):
            assert ctx.get(dut.free) == (now >= free_from)
            start, cycles = rng.random() < 0.2, rng.choice((0, 1, most, rng.randint(0, most)))
            ctx.set(dut.start, start)
            ctx.set(dut.cycles, cycles)
            if start:
                free_from = now + max(1, cycles)
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def test_refused():
    for most in (0, 4097):
        with pytest.raises(ValueError, match="most"):
            Timer(most)
