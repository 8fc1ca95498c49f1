"""ParityQueue: as Amaranth's queue in every cycle, and a flipped bit is told while its word is the oldest."""

import random
from collections import deque

import pytest
from amaranth.hdl import Module
from amaranth.lib import fifo
from amaranth.lib.memory import Memory
from amaranth.sim import Simulator

from triovit.hdl.integrity.parity_queue import ParityQueue, queue


def simulate(dut, bench):
    sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(bench)
    sim.run()


@pytest.mark.parametrize("buffered", (False, True))
@pytest.mark.parametrize("shape", [(7, 4), (1, 3), (40, 5)])
def test_as_the_queue_without(shape, buffered):
    width, depth = shape
    m = Module()
    dut = queue(m, "dut", width, depth, integrity=True, buffered=buffered)
    twin = queue(m, "twin", width, depth, integrity=False, buffered=buffered)
    assert isinstance(dut, ParityQueue) and isinstance(twin, fifo.SyncFIFOBuffered if buffered else fifo.SyncFIFO)
    generator = random.Random(width)

    async def bench(ctx):
        full = 0
        for _ in range(600):
            put, take, word = generator.random() < 0.6, generator.random() < 0.5, generator.getrandbits(width)
            for one in (dut, twin):
                ctx.set(one.w_data, word)
                ctx.set(one.w_en, put)
                ctx.set(one.r_en, take)
            for port in ("w_rdy", "r_rdy", "level", *(("r_data",) if ctx.get(twin.r_rdy) else ())):
                assert ctx.get(getattr(dut, port)) == ctx.get(getattr(twin, port)), port
            full += not ctx.get(twin.w_rdy)
            await ctx.tick()
            assert not ctx.get(dut.damaged)
        assert full > 20

    simulate(m, bench)


@pytest.mark.parametrize("buffered", (False, True))
def test_every_bit(buffered, monkeypatch):
    """A bit of a word or its parity flips in the memory before the word is the oldest."""
    width, memories = 9, []

    def kept(**shape):
        memories.append(Memory(**shape))
        return memories[-1]

    monkeypatch.setattr(fifo, "Memory", kept)  # a queue does not give its memory away
    for flipped in (None, *range(width + 1)):
        dut = ParityQueue(width, 4, buffered=buffered)
        generator = random.Random(flipped)

        async def bench(ctx, dut=dut, generator=generator, flipped=flipped):
            words = deque(generator.getrandbits(width) for _ in range(3))
            for word in words:
                ctx.set(dut.w_data, word)
                ctx.set(dut.w_en, 1)
                await ctx.tick()
            ctx.set(dut.w_en, 0)
            if flipped is not None:  # the last one: of a buffered queue the oldest is in a register already
                data = memories[-1].data
                row = next(k for k in range(3) if ctx.get(data[k]) & 511 == words[-1])
                ctx.set(data[row], ctx.get(data[row]) ^ 1 << flipped)
            told = 0
            for _ in range(3):
                ctx.set(dut.r_en, 1)
                while not ctx.get(dut.r_rdy):
                    await ctx.tick()
                await ctx.tick()
                told += ctx.get(dut.damaged)
            ctx.set(dut.r_en, 0)
            for _ in range(3):
                await ctx.tick()
                told += ctx.get(dut.damaged)
            assert (told > 0) == (flipped is not None)

        simulate(dut, bench)


def test_ports():
    dut = ParityQueue(9, 5)
    widths = {name: len(getattr(dut, name)) for name in dut.signature.members}
    strobes = ("w_en", "w_rdy", "r_en", "r_rdy", "damaged")
    assert widths == {"w_data": 9, "r_data": 9, "level": 3, **dict.fromkeys(strobes, 1)}
    assert dut.alarm_latency == 1


def test_sizes_are_checked():
    with pytest.raises(ValueError, match=r"width must be 1..4096, not 0"):
        ParityQueue(0, 4)
    with pytest.raises(ValueError, match=r"depth must be 1..65536, not 0"):
        ParityQueue(4, 0)
