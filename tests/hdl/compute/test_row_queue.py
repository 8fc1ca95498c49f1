"""RowQueue against a list."""

import random

import pytest
from amaranth.hdl import ResetInserter, Signal
from amaranth.sim import Simulator

from tests.sim.configurations import CHECKED, TINY, WIDE, WIDEST
from triovit.hdl.compute.row_queue import RowQueue, queue_depth


def test_depths():
    assert [queue_depth(config) for config in (TINY, WIDE, WIDEST)] == [32, 32, 64]


@pytest.mark.parametrize("config", (TINY, WIDEST, CHECKED), ids=lambda config: config.name)
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


def test_flipped_bits_are_told():
    """Of the row that was taken, two cycles later, and of no other one; rows leave without a gap."""
    dut, rng = RowQueue(CHECKED), random.Random(4)
    bits = dut.ram.width

    async def bench(ctx):
        for flipped in range(bits):
            base = flipped * 3 % 32
            for _ in range(3):
                ctx.set(dut.i.valid, 1)
                ctx.set(dut.i.acc, [rng.randint(-99, 99) for _ in range(CHECKED.block)])
                await ctx.tick()
            ctx.set(dut.i.valid, 0)
            row = dut.ram.contents[(base + 1) % 32]
            ctx.set(row, ctx.get(row) ^ 1 << flipped)
            told = []
            for cycle in range(6):
                ctx.set(dut.take, cycle < 3)
                await ctx.tick()
                told.append(ctx.get(dut.damaged))
            assert told == [0, 0, 1, 0, 0, 0], flipped

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert bits == CHECKED.block * CHECKED.accumulator_bits + 1 and len(dut.take) == len(dut.damaged) == 1
