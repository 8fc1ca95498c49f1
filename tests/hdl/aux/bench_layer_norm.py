"""cocotb: LayerNorm, exact values and cycles."""

from functools import cache

import cocotb
import numpy as np

from tests.hdl.aux.engines import check_engine
from tests.hdl.aux.kernels import PATTERNS
from triovit.hdl.aux.layer_norm import LayerNorm
from triovit.sim.bench import bench_parameters


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
        size, scale = int(rng.integers(1, largest + 1)), int(rng.integers(0, 8))
        yield rng.integers(-128, 128, size) >> scale, int(rng.integers(0, 1 << 32) >> rng.integers(0, 33))


@cache
def stimulus(lanes, largest):
    engine = LayerNorm(lanes)
    rng = np.random.default_rng(lanes)
    items, expected, pauses = [], [], []
    junk = lambda bits: int(rng.integers(0, 1 << bits))  # noqa: E731
    for x, epsilon in vectors(rng, largest):
        size = len(x)
        beats = -(-size // lanes)
        x = np.pad(x, (0, beats * lanes - size)).reshape(beats, lanes)
        weight = rng.integers(-128, 128, size)
        weight[x.reshape(-1)[:size] == x.reshape(-1)[:size].min()] = -128  # the largest product, when z is -2**15
        acc = LayerNorm.model(x.reshape(-1)[:size], weight, epsilon)
        weight, acc = (np.pad(v, (0, beats * lanes - size)).reshape(beats, lanes) for v in (weight, acc))
        for normalize in (False, True):
            for k in range(beats):
                last = k == beats - 1
                # what the unit must ignore is noise: weights in pass 1, N and epsilon but in the last beat of pass 1
                taken = last and not normalize
                items.append(
                    {
                        "x": x[k].tolist(),
                        "weight": (weight[k] if normalize else rng.integers(-128, 128, lanes)).tolist(),
                        "channels": size if taken else junk(13),
                        "epsilon": epsilon if taken else junk(32),
                        "last": last,
                    }
                )
                expected.append(acc[k].tolist() if normalize else None)
                pauses.append(engine.solve_cycles if taken else 0)
    return engine, items, expected, pauses


@cocotb.test()
@cocotb.parametrize(source=PATTERNS, sink=PATTERNS)
async def values_and_cycles(dut, source, sink):
    parameters = bench_parameters()
    lanes, largest = parameters["lanes"], parameters["largest"]
    if (source, sink) != ("none", "none"):
        largest = max(largest // 16, 3 * lanes)  # stalls do not depend on the length of a vector
    engine, items, expected, pauses = stimulus(lanes, largest)
    await check_engine(dut, engine, items, expected, pauses, source, sink)
