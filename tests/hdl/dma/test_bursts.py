import random

import pytest
from amaranth.hdl import Module, Signal, Value
from amaranth.sim import Simulator

from triovit.hdl.config.accelerator import PRESETS, AcceleratorConfig
from triovit.hdl.dma.bursts import BurstSplitter, burst_layout, lane_mask
from triovit.hdl.isa.names import Buffer

CONFIGS = {
    "tiny": PRESETS["trio-tiny"],
    "one word per beat": AcceleratorConfig(data_bytes=8, burst_beats=8),
    "one beat per burst": AcceleratorConfig(data_bytes=64, burst_beats=1),
    "a page a burst": AcceleratorConfig(data_bytes=64, burst_beats=64),
    "most beats per burst": AcceleratorConfig(data_bytes=16, burst_beats=256),
    "two ports": AcceleratorConfig(cores=2, ports=2),
    "four ports of a word per beat": AcceleratorConfig(cores=4, ports=4, data_bytes=8, burst_beats=16),
}
BASE, STRIDE = 0xABCD_1234_5000, 0x12_3000


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_bursts(name, share):
    """The bursts of a run cover exactly its words, at the right on-chip addresses, one per cycle; those of all ports
    are alike."""
    config = CONFIGS[name].validate()
    dut, generator = BurstSplitter(config), random.Random(name)

    def beat_words(run):  # which are striped over the ports for buffers that all cores share
        return config.beat_words if run["buffer"] in (Buffer.A, Buffer.O) else config.bus_words

    runs = []
    for k in range(40):
        bw, first = beat_words({"buffer": k % 5}), generator.randint(0, 3000)
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
                **({"striped": k % 5 not in (Buffer.A, Buffer.O)} if config.ports > 1 else {}),
                "last": k % 3 == 0,
                "index": k,
                "signal": generator.getrandbits(32),
            }
        )
    bursts, cycles = [], []

    async def bench(ctx):
        # The low bits do not count.
        ctx.set(dut.memory_base, [BASE + port * STRIDE | 0x123 for port in range(config.ports)])
        sent = 0
        for cycle in range(5000):
            ctx.set(dut.i.valid, sent < len(runs))
            if sent < len(runs):
                ctx.set(dut.i.payload, runs[sent])
            ctx.set(dut.o.ready, generator.random() < share)
            if ctx.get(dut.o.valid) and ctx.get(dut.o.ready):
                p = dut.o.payload
                bursts.append({key: ctx.get(p[key]) for key, _ in p.shape() if len(Value.cast(p[key]))})
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
        words, bw = {}, beat_words(run)
        while True:
            burst = bursts[position]
            position += 1
            assert (
                burst["index"] == run["index"] and burst["signal"] == run["signal"] and burst["buffer"] == run["buffer"]
            )
            address = burst["address"][0]
            assert list(burst["address"]) == [address + port * STRIDE for port in range(config.ports)]
            assert burst["length"] < config.burst_beats and address % config.data_bytes == 0
            end = address + (burst["length"] + 1) * config.data_bytes - 1
            assert end // 4096 == address // 4096
            beat_word = (address - BASE) // config.data_bytes * bw
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
    words = config.bus_words
    m, burst = Module(), Signal(burst_layout(config))
    first, final, mask = Signal(), Signal(), Signal(words + 1)
    m.d.comb += mask.eq(lane_mask(words, burst, first, final))

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
