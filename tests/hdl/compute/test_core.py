"""A core that does not take part: nothing that comes to its pins gets into its buffers."""

from amaranth.sim import Simulator

from tests.sim.configurations import TINY
from triovit.hdl.compute.core import Core

WORD = 0x5A3C_1234


def test_a_core_that_stands_still_writes_nothing():
    dut, seen = Core(TINY), []

    async def settle(ctx):
        for _ in range(8):
            await ctx.tick()

    async def written(ctx, active) -> int:
        """Word 0 of O after a write that comes while the core takes part or not; it is read while it does."""
        ctx.set(dut.active, active)
        await settle(ctx)
        ctx.set(dut.write_o.enables, 1)
        await ctx.tick()
        ctx.set(dut.write_o.enables, 0)
        await settle(ctx)
        ctx.set(dut.active, 1)
        await settle(ctx)
        ctx.set(dut.o.enables, 1)
        await ctx.tick()
        ctx.set(dut.o.enables, 0)
        await settle(ctx)
        return ctx.get(dut.o_data.as_value()) & ((1 << 32) - 1)

    async def bench(ctx):
        ctx.set(dut.load.as_value(), WORD)
        seen.extend([await written(ctx, active) for active in (0, 1)])

    sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(bench)
    sim.run()
    assert seen == [0, WORD]
