import random

import pytest
from amaranth.sim import Simulator

from triovit.hdl.config.accelerator import PRESETS, AcceleratorConfig
from triovit.hdl.control.prefetch import PREFETCH_INSTRUCTIONS, Prefetcher

CONFIGS = {
    "tiny": PRESETS["trio-tiny"],
    "zcu102": PRESETS["trio-zcu102"],
    "two instructions a beat": AcceleratorConfig(block=16, data_bytes=128, burst_beats=32),
    "one beat per burst": AcceleratorConfig(data_bytes=16, burst_beats=1),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_program(name):
    """All instructions in order, with the response of their beats; never more asked for than the FIFO holds."""
    config = CONFIGS[name].validate()
    dut, generator = Prefetcher(config), random.Random(name)
    memory, beat = generator.randbytes(1 << 14), config.data_bytes
    bad = 4096 // beat  # the beat that answers with an error
    got, bursts = [], []
    first, count = 59, 40

    async def memory_side(ctx):
        waiting = []
        while True:
            ctx.set(dut.ar.ready, generator.random() < 0.6)
            if not waiting or generator.random() < (0.8 if len(got) > 25 else 0.3):
                ctx.set(dut.r.valid, 0)
            else:
                ctx.set(dut.r.valid, 1)
                data = memory[waiting[0] * beat : (waiting[0] + 1) * beat]
                ctx.set(
                    dut.r.payload,
                    {"data": int.from_bytes(data, "little"), "response": 2 * (waiting[0] == bad), "last": 0},
                )
                assert ctx.get(dut.r.ready) == 1  # there is always room
                waiting.pop(0)
            if ctx.get(dut.ar.valid) and ctx.get(dut.ar.ready):
                address, beats = ctx.get(dut.ar.payload.address), ctx.get(dut.ar.payload.length) + 1
                bursts.append((address, beats))
                waiting += range(address // beat, address // beat + beats)
                asked = sum(beats for _, beats in bursts) * beat // 64
                assert asked <= len(got) + PREFETCH_INSTRUCTIONS + 3
            await ctx.tick()

    async def bench(ctx):
        ctx.set(dut.offset, first * 64)
        ctx.set(dut.size, count * 64 + 17)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        await ctx.tick().repeat(200)
        assert sum(beats for _, beats in bursts) * beat // 64 <= PREFETCH_INSTRUCTIONS + max(
            1, beat // 64
        )  # nobody has taken any
        for _ in range(3000):
            ctx.set(dut.o.ready, generator.random() < 0.7)
            if ctx.get(dut.o.valid) and ctx.get(dut.o.ready):
                got.append((ctx.get(dut.o.payload.word), ctx.get(dut.o.payload.response)))
            await ctx.tick()
            if len(got) == count:
                break
        await ctx.tick().repeat(30)
        assert ctx.get(dut.idle) == 1 and ctx.get(dut.o.valid) == 0

    sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(memory_side, background=True)
    sim.add_testbench(bench)
    sim.run()
    expected = []
    for k in range(first, first + count):
        touched = range(64 * k // beat, (64 * k + 63) // beat + 1)
        expected.append((int.from_bytes(memory[64 * k : 64 * k + 64], "little"), 2 if bad in touched else 0))
    assert got == expected
    end = 64 * (first + count)
    assert sum(beats for _, beats in bursts) == -(-end // beat) - 64 * first // beat  # nothing beyond the program
    assert all(address // 4096 == (address + beats * beat - 1) // 4096 for address, beats in bursts)
    assert max(beats for _, beats in bursts) == min(config.burst_beats, max(1, 256 // beat))
