"""What the tests of datapath kernels share: vectors, a run in Amaranth's simulator, a cycle-exact cocotb run."""

from __future__ import annotations

import random
from itertools import product

import numpy as np
from amaranth.hdl import Fragment
from amaranth.sim import Simulator
from cocotb.triggers import ReadOnly, RisingEdge

from triovit.hdl.technology import GENERIC, Technology
from triovit.sim.bench import pack, start, unpack

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


def simulate(kernel, items, technology: Technology = GENERIC) -> list:
    """Outputs of a kernel in Amaranth's simulator, an item in every cycle.

    Where the kernel has an `en`, that is low in a third of the cycles, with another input.
    """
    coin, outputs = random.Random(0), []

    async def drive(ctx):
        for cycle in range(len(items) + kernel.latency):
            while hasattr(kernel, "en") and coin.random() < 1 / 3:
                ctx.set(kernel.en, 0)
                ctx.set(kernel.i, items[coin.randrange(len(items))])
                await ctx.tick()
            if hasattr(kernel, "en"):
                ctx.set(kernel.en, 1)
            ctx.set(kernel.i, items[min(cycle, len(items) - 1)])
            if cycle >= kernel.latency:
                value = ctx.get(kernel.o)
                outputs.append(value if isinstance(value, int) else unpack(kernel.o.shape(), value.as_bits()))
            await ctx.tick()

    simulator = Simulator(Fragment.get(kernel, technology.in_simulation()))
    simulator.add_clock(1e-6)
    simulator.add_testbench(drive)
    simulator.run()
    return outputs


async def check_kernel(dut, kernel, items, expected):
    """Give the kernel an item in every cycle and compare its output in every cycle, `kernel.latency` later.

    Where the kernel has an `en`, that is low in a third of the cycles, with another input: nothing moves. A reset in
    the middle changes nothing: there is nothing to reset.
    """
    await start(dut)
    coin, words = random.Random(0), [pack(kernel.i.shape(), item) for item in items]
    expected = [None] * kernel.latency + np.asarray(expected).tolist()
    number = 0  # of the item that goes in
    while number < len(expected):
        enabled = not hasattr(kernel, "en") or coin.random() < 2 / 3
        dut.i.value = words[number] if enabled and number < len(words) else coin.choice(words)
        dut.rst.value = int(number == len(words) // 2)
        if hasattr(kernel, "en"):
            dut.en.value = int(enabled)
        await ReadOnly()
        if (wanted := expected[number]) is not None:
            value = unpack(kernel.o.shape(), int(dut.o.value))
            assert value == wanted, f"item {number - kernel.latency}: {value}, expected {wanted}"
        await RisingEdge(dut.clk)
        number += enabled
