"""cocotb: RoundingShift over its whole range of shifts, exact values and cycles."""

from functools import cache

import cocotb
import numpy as np

from tests.hdl.aux.kernels import PATTERNS, check_stream, grid, join, spread
from triovit.hdl.aux.rounding_shift import RoundingShift
from triovit.sim.bench import bench_parameters


def kernel():
    return RoundingShift(**bench_parameters())


@cache
def vectors():
    width, max_shift = bench_parameters()["width"], bench_parameters()["max_shift"]
    low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
    rng = np.random.default_rng(1)
    shifts = np.arange(max_shift + 1)
    # odd multiples of half an output unit: exact ties of both signs, and their neighbours
    ties = grid(tie=(-3, -1, 1, 3), shift=shifts[1:], off=(-1, 0, 1))
    ties["value"] = np.clip((ties.pop("tie") << (ties["shift"] - 1)) + ties.pop("off"), low, high)
    limits = grid(value=(low, low + 1, -1, 0, 1, high - 1, high), shift=shifts)
    drawn = {"value": spread(rng, width, 2000), "shift": rng.integers(0, max_shift + 1, 2000)}
    return join(ties, limits, drawn)


@cocotb.test()
@cocotb.parametrize(source=PATTERNS, sink=PATTERNS)
async def values_and_cycles(dut, source, sink):
    expected = RoundingShift.model(vectors()["value"], vectors()["shift"])
    await check_stream(dut, kernel(), vectors(), expected, source, sink)
