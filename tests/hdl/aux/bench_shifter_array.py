"""cocotb: ShifterArray, exact values and cycles."""

from functools import cache

import cocotb
import numpy as np

from tests.hdl.aux.kernels import PATTERNS, check_stream, spread
from triovit.hdl.aux.shifter_array import ShifterArray
from triovit.sim.bench import bench_parameters


@cache
def vectors():
    lanes, count = bench_parameters()["lanes"], 3000
    rng = np.random.default_rng(6)
    code = np.arange(count) % 16
    dividend = spread(rng, 24, (count, lanes))
    # a third are small odd multiples of half an output unit: exact ties of both signs, or whole numbers for code 0
    ties = (2 * rng.integers(-200, 200, (count, lanes)) + 1) << np.maximum(code - 1, 0)[:, None]
    dividend = np.where(rng.random((count, lanes)) < 1 / 3, np.clip(ties, -(1 << 23), (1 << 23) - 1), dividend)
    return {"dividend": dividend, "code": code, "zero_point": spread(rng, 8, (count, lanes))}


@cocotb.test()
@cocotb.parametrize(source=PATTERNS, sink=PATTERNS)
async def values_and_cycles(dut, source, sink):
    unit = ShifterArray(bench_parameters()["lanes"])
    await check_stream(dut, unit, vectors(), unit.model(**vectors()), source, sink)
