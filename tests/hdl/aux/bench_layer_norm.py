"""cocotb: LayerNorm, exact values in exact cycles, beats as close as they may come and further apart."""

from functools import cache

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from triovit.hdl.aux.layer_norm import LayerNorm
from triovit.sim.bench import bench_parameters, pack, start, unpack


def vectors(rng, largest):
    """(x, epsilon) pairs: sizes from 1 to `largest`, extreme contents, epsilons from 0 to full scale."""
    yield np.array([127]), 0  # N = 1, variance 0
    yield np.array([-128]), (1 << 32) - 1
    for size in sorted({2, 3, 8, largest}):
        yield np.full(size, -128), 0  # root 0: all outputs 0
        yield np.full(size, 127), 1
        yield np.full(size, -128), (1 << 32) - 1
        for outlier, rest, epsilon in ((127, -128, 1 << 20), (-128, 127, 1), (1, 0, 0), (-1, 0, 0)):
            x = np.full(size, rest)
            x[rng.integers(size)] = outlier
            yield x, epsilon
        yield np.where(np.arange(size) % 2, 127, -128), int(rng.choice([0, (1 << 32) - 1]))  # largest variance
    for _ in range(12):
        size, scale = int(rng.integers(1, min(largest, 400) + 1)), int(rng.integers(0, 8))
        yield rng.integers(-128, 128, size) >> scale, int(rng.integers(0, 1 << 32) >> rng.integers(0, 33))


@cache
def stimulus():
    """(beat, result or None, cycles until the next beat at the earliest) of each beat."""
    parameters = dict(bench_parameters())
    largest = parameters.pop("largest")
    engine = LayerNorm(**parameters)
    block, rng, beats = engine.block, np.random.default_rng(engine.block), []
    junk = lambda bits: int(rng.integers(0, 1 << bits))  # noqa: E731
    for x, epsilon in vectors(rng, largest):
        size = len(x)
        count = -(-size // block)
        weight = rng.integers(-128, 128, size)
        weight[x == x.min()] = -128  # the largest product, when z is -2**15
        acc = LayerNorm.model(x, weight, epsilon)
        x, weight, acc = (np.pad(v, (0, count * block - size)).reshape(count, block) for v in (x, weight, acc))
        for normalize in (False, True):
            for k in range(count):
                last = k == count - 1
                # what the unit must ignore is noise: weights in pass 1, N and epsilon but in the last beat of pass 1
                taken = last and not normalize
                beat = {
                    "x": x[k].tolist(),
                    "weight": (weight[k] if normalize else rng.integers(-128, 128, block)).tolist(),
                    "channels": size if taken else junk(13),
                    "epsilon": epsilon if taken else junk(32),
                    "last": last,
                }
                result = acc[k].tolist() if normalize else None
                beats.append((beat, result, engine.solve_cycles if taken else engine.interval))
    return engine, beats


@cocotb.test()
@cocotb.parametrize(gaps=[False, True])
async def every_cycle(dut, gaps):
    engine, beats = stimulus()
    shape, rng = engine.i.payload.shape(), np.random.default_rng(1)
    await start(dut)
    # A vector that a reset cuts off leaves nothing.
    dut.i_payload.value = pack(shape, beats[0][0])
    dut.i_valid.value = 1
    for _ in range(engine.latency):
        await RisingEdge(dut.clk)
    dut.rst.value = 1
    await RisingEdge(dut.clk)
    dut.rst.value, dut.i_valid.value = 0, 0
    results, cycle, following, number = {}, 0, 0, 0
    while number < len(beats) or cycle <= max(results):
        dut.i_valid.value = 0
        dut.i_payload.value = int(rng.integers(0, 1 << 60))
        if cycle >= following and number < len(beats) and not (gaps and rng.random() < 0.6):
            beat, result, apart = beats[number]
            dut.i_valid.value = 1
            dut.i_payload.value = pack(shape, beat)
            following, number = cycle + apart, number + 1
            if result is not None:
                results[cycle + engine.latency] = result
        await ReadOnly()
        assert int(dut.o_valid.value) == (cycle in results), f"cycle {cycle}"
        if cycle in results:
            assert unpack(engine.o.payload.shape(), int(dut.o_payload.value))["acc"] == results[cycle]
        await RisingEdge(dut.clk)
        cycle += 1
