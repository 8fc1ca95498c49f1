import random

import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from triovit.hdl.config.accelerator import PRESETS, AcceleratorConfig
from triovit.hdl.dma.bursts import BurstSplitter, burst_layout, lane_mask

CONFIGS = {
    "tiny": PRESETS["trio-tiny"],
    "one word per beat": AcceleratorConfig(data_bytes=8, burst_beats=8),
    "one beat per burst": AcceleratorConfig(data_bytes=64, burst_beats=1),
    "a page a burst": AcceleratorConfig(data_bytes=64, burst_beats=64),
    "most beats per burst": AcceleratorConfig(data_bytes=16, burst_beats=256),
}
BASE = 0xABCD_1234_5000


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_bursts(name, share):
    """The bursts of a run cover exactly its words, at the right on-chip addresses, one per cycle."""
    config = CONFIGS[name].validate()
    dut, generator = BurstSplitter(config), random.Random(name)
    bw, block = config.beat_words, config.block
    runs = []
    for k in range(40):
        first = generator.randint(0, 3000)
        words = generator.choice(
            (1, 2, bw, generator.randint(1, 6 * bw), generator.randint(1, 3 * bw * config.burst_beats))
        )
        runs.append(
            {
                "local": generator.randint(0, 9000),
                "first": first,
                "final": first + words - 1,
                "core": 0,
                "buffer": k % 5,
                "last": k % 3 == 0,
                "index": k,
                "signal": generator.getrandbits(32),
            }
        )
    bursts, cycles = [], []

    async def bench(ctx):
        ctx.set(dut.memory_base, BASE | 0x123)  # the low bits do not count
        sent = 0
        for cycle in range(5000):
            ctx.set(dut.i.valid, sent < len(runs))
            if sent < len(runs):
                ctx.set(dut.i.payload, runs[sent])
            ctx.set(dut.o.ready, generator.random() < share)
            if ctx.get(dut.o.valid) and ctx.get(dut.o.ready):
                p = dut.o.payload
                bursts.append({key: ctx.get(getattr(p, key)) for key, _ in p.shape() if len(getattr(p, key))})
                cycles.append(cycle)
            sent += sent < len(runs) and ctx.get(dut.i.ready)
            await ctx.tick()
            if sent == len(runs) and not ctx.get(dut.o.valid):
                return
        raise AssertionError("not all runs were taken")

    sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(bench)
    sim.run()

    position = 0
    for run in runs:
        words = {}
        while True:
            burst = bursts[position]
            position += 1
            assert (
                burst["index"] == run["index"] and burst["signal"] == run["signal"] and burst["buffer"] == run["buffer"]
            )
            assert burst["length"] < config.burst_beats and burst["address"] % config.data_bytes == 0
            end = burst["address"] + (burst["length"] + 1) * config.data_bytes - 1
            assert end // 4096 == burst["address"] // 4096
            beat_word = (burst["address"] - BASE) // block
            lanes = range(burst.get("head", 0), burst["length"] * bw + burst.get("tail", 0) + 1)
            for lane in lanes:
                assert beat_word + lane not in words
                words[beat_word + lane] = (burst["local"] + lane) % (1 << 20)
            if run["final"] in words:
                assert burst["last"] == run["last"]
                break
            assert burst["last"] == 0
        assert words == {run["first"] + k: run["local"] + k for k in range(run["final"] - run["first"] + 1)}
    assert position == len(bursts)
    if share == 1.0:
        assert cycles == list(range(1, len(bursts) + 1))


@pytest.mark.parametrize("data_bytes", [8, 16, 32])
def test_lanes_of_a_beat(data_bytes):
    """Those from `head` on of a first beat, those up to `tail` of a final one: every case."""
    config = AcceleratorConfig(data_bytes=data_bytes)
    words = config.beat_words
    m, burst = Module(), Signal(burst_layout(config))
    first, final, mask = Signal(), Signal(), Signal(words + 1)
    m.d.comb += mask.eq(lane_mask(config, burst, first, final))

    async def bench(ctx):
        for case in range(words * words * 4):
            head, tail, edges = case // 4 % words, case // 4 // words, case % 4
            ctx.set(burst, {"head": head, "tail": tail})
            ctx.set(first, edges & 1)
            ctx.set(final, edges >> 1)
            low, high = (head if edges & 1 else 0), (tail if edges & 2 else words - 1)
            assert ctx.get(mask) == sum(1 << lane for lane in range(words) if low <= lane <= high)

    sim = Simulator(m)
    sim.add_testbench(bench)
    sim.run()
