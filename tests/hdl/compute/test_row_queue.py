"""RowQueue against a list."""

import random

import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from tests.sim.configurations import TINY, WIDE, WIDEST
from triovit.hdl.compute.row_queue import RowQueue, queue_depth


def test_depths():
    assert [queue_depth(config) for config in (TINY, WIDE, WIDEST)] == [32, 32, 64]


@pytest.mark.parametrize("config", (TINY, WIDEST), ids=lambda config: config.name)
def test_first_in_first_out(config):
    rng, dut, reset = random.Random(3), RowQueue(config), Signal()
    depth, block = queue_depth(config), config.block

    async def bench(ctx):
        rows, shown = [], None
        for cycle in range(800):
            if cycle == 500:  # emptied
                ctx.set(reset, 1)
                ctx.set(dut.i.valid, 0)
                ctx.set(dut.take, 0)
                await ctx.tick()
                ctx.set(reset, 0)
                rows = []
            likely = 0.9 if cycle // 100 % 2 else 0.2  # fill and drain
            comes = len(rows) < depth and rng.random() < 1 - likely / 2
            takes = bool(rows) and rng.random() < likely
            row = [rng.randint(-(1 << 26), (1 << 26) - 1) for _ in range(block)]
            ctx.set(dut.i.valid, comes)
            ctx.set(dut.i.acc, row)
            ctx.set(dut.take, takes)
            if takes:
                shown = rows.pop(0)
            if comes:
                rows.append(row)
            await ctx.tick()
            assert shown is None or [ctx.get(dut.o[k]) for k in range(block)] == shown

    simulator = Simulator(ResetInserter(reset)(dut))
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
