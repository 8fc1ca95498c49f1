"""What the tests of datapath kernels share: vectors, a run in Amaranth's simulator, a cycle-exact cocotb run."""

from __future__ import annotations

import random
from itertools import product

import numpy as np
from amaranth.sim import Simulator
from cocotb.triggers import ReadOnly, RisingEdge

from triovit.sim.bench import CycleCounter, StreamSink, StreamSource, pack, stall_patterns, start, unpack

PATTERNS = ("none", "random", "long")


def spread(rng: np.random.Generator, bits: int, count) -> np.ndarray:
    """Signed integers of `bits` bits whose magnitudes are spread evenly over the bits, limits among them."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    values = rng.integers(low, high, count, endpoint=True) >> rng.integers(0, bits, count)
    corner = rng.choice(np.array([low, low + 1, -1, 0, 1, high - 1, high]), count)
    return np.where(rng.random(count) < 0.2, corner, values)


def grid(**axes) -> dict[str, np.ndarray]:
    """Every combination of the named axes' values, as one array an axis."""
    columns = np.array(list(product(*axes.values())), dtype=np.int64).T
    return dict(zip(axes, columns, strict=True))


def join(*parts: dict) -> dict[str, np.ndarray]:
    """Vectors after each other, name by name."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def rows(vectors: dict) -> list[dict]:
    """Arrays by name -> one dict an item, as `pack` and the simulator take them."""
    return [dict(zip(vectors, row, strict=True)) for row in zip(*(v.tolist() for v in vectors.values()), strict=True)]


def simulate(kernel, items, *, seed: int = 0) -> list:
    """Outputs of a kernel in Amaranth's simulator; in a third of the cycles `en` is low and the input another."""
    coin, outputs = random.Random(seed), []

    async def drive(ctx):
        for cycle in range(len(items) + kernel.latency):
            while coin.random() < 1 / 3:
                ctx.set(kernel.en, 0)
                ctx.set(kernel.i, items[coin.randrange(len(items))])
                await ctx.tick()
            ctx.set(kernel.en, 1)
            ctx.set(kernel.i, items[min(cycle, len(items) - 1)])
            if cycle >= kernel.latency:
                value = ctx.get(kernel.o)
                outputs.append(value if isinstance(value, int) else unpack(kernel.o.shape(), value.as_bits()))
            await ctx.tick()

    simulator = Simulator(kernel)
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    return outputs


def schedule(latency: int, count: int, source_stall, sink_stall) -> tuple[list[int], list[int]]:
    """Cycles in which a frozen-as-a-whole pipeline takes and gives `count` items, by the words of its docstring."""
    accepted, given, offered = [], [], False
    stages = [False] * latency
    cycle = 0
    while len(given) < count:
        if not offered:
            offered = len(accepted) < count and not source_stall()
        ready = not sink_stall()
        if ready or not stages[-1]:
            if stages[-1]:
                given.append(cycle)
            if offered:
                accepted.append(cycle)
            stages = [offered, *stages[:-1]]
            offered = False
        cycle += 1
    return accepted, given


async def check_stream(dut, kernel, vectors, expected, source: str, sink: str, *, stalled: int = 400):
    """Run vectors through a StreamPipeline of `kernel` under two stall patterns; check every value and cycle.

    vectors: arrays by field name of `kernel.i`, or a list of items. All of them run without stalls, `stalled` of
    them otherwise.
    """
    items = rows(vectors) if isinstance(vectors, dict) else list(vectors)
    expected = np.asarray(expected).tolist()
    if (source, sink) != ("none", "none"):
        step = max(1, len(items) // stalled)
        items, expected = items[::step], expected[::step]
    await start(dut)
    i = StreamSource(dut, "i", dut.clk, stall_patterns(1)[source])
    o = StreamSink(dut, "o", dut.clk, stall_patterns(2)[sink])
    i.send(pack(kernel.i.shape(), item) for item in items)
    await ReadOnly()
    first = CycleCounter.of(dut.clk).value
    await RisingEdge(dut.clk)
    got = [unpack(kernel.o.shape(), word) for word in await o.collect(len(items), timeout=8 * len(items) + 1000)]
    for k, (item, value, wanted) in enumerate(zip(items, got, expected, strict=True)):
        assert value == wanted, f"item {k}, {item}: {value}, expected {wanted}"
    accepted, given = schedule(kernel.latency, len(items), stall_patterns(1)[source], stall_patterns(2)[sink])
    assert i.cycles == [first + cycle for cycle in accepted]
    assert o.cycles == [first + cycle for cycle in given]
