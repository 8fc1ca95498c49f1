"""LayerNormStream: a sender and a receiver that wait as they like."""

import random

import numpy as np
import pytest
from amaranth.sim import Simulator

from triovit.hdl.aux.layer_norm import LayerNorm
from triovit.hdl.aux.layer_norm_stream import LayerNormStream


@pytest.mark.parametrize(("block", "lanes"), [(4, 1), (4, 4)])
@pytest.mark.parametrize("stalls", [0, 0.7])
def test_vectors(block, lanes, stalls):
    dut, choose, rng = LayerNormStream(block, lanes), random.Random(block), np.random.default_rng(lanes)
    beats, right, got = [], [], []
    for size in (1, 3, 4, 5, 20):
        x, weight, epsilon = rng.integers(-128, 128, size), rng.integers(-128, 128, size), int(rng.integers(1 << 32))
        acc, count = LayerNorm.model(x, weight, epsilon), -(-size // block)
        x, weight, acc = (np.pad(v, (0, count * block - size)).reshape(count, block).tolist() for v in (x, weight, acc))
        for _ in range(2):
            common = {"channels": size, "epsilon": epsilon}
            beats += [{"x": x[k], "weight": weight[k], "last": k == count - 1, **common} for k in range(count)]
        right += acc

    async def send(ctx):
        for beat in beats:
            while choose.random() < stalls:
                await ctx.tick()
            ctx.set(dut.i.payload, beat)
            ctx.set(dut.i.valid, 1)
            await ctx.tick().until(dut.i.ready)
            ctx.set(dut.i.valid, 0)

    async def receive(ctx):
        while len(got) < len(right):
            ready = choose.random() >= stalls
            ctx.set(dut.o.ready, ready)
            _, _, valid, acc = await ctx.tick().sample(dut.o.valid, dut.o.payload.acc)
            if ready and valid:
                got.append([acc[k] for k in range(block)])

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(send)
    simulator.add_testbench(receive)
    simulator.run_until(1e-6 * 20_000)
    assert got == right
