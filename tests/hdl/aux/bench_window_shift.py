"""cocotb: WindowShift over its whole range of shifts, in every cycle."""

from functools import cache

import cocotb
import numpy as np

from tests.hdl.aux.kernels import check_kernel, grid, join, rows, spread
from tests.hdl.aux.windows import ClippedShift
from triovit.golden.integer import arithmetic
from triovit.sim.bench import bench_parameters


@cache
def vectors():
    width, bits = bench_parameters()["width"], bench_parameters()["bits"]
    low, high = arithmetic.signed_range(width)
    rng = np.random.default_rng(1)
    shifts = np.arange(arithmetic.MAX_SHIFT + 1)
    # odd multiples of half an output unit: exact ties of both signs, and their neighbours, also at both ends
    ends = [tie for end in arithmetic.signed_range(bits) for tie in range(2 * end - 5, 2 * end + 6, 2)]
    ties = grid(tie=[-3, -1, 1, 3, *ends], shift=shifts[1:], off=(-1, 0, 1))
    exact = ties.pop("tie").astype(object) * (2 ** (ties["shift"].astype(object) - 1)) + ties.pop("off")
    ties["value"] = np.clip(exact, low, high).astype(np.int64)
    limits = grid(value=(low, low + 1, -1, 0, 1, high - 1, high), shift=shifts)
    drawn = {"value": spread(rng, width, 3000), "shift": rng.integers(0, len(shifts), 3000)}
    parts = join(*({name: part[name] for name in ("value", "shift")} for part in (ties, limits, drawn)))
    count = len(parts["value"])
    return parts | {"fraction": rng.integers(0, 4, count) > 0, "zero_point": spread(rng, 8, count)}


@cocotb.test()
async def every_cycle(dut):
    parameters = bench_parameters()
    kernel = ClippedShift(parameters["width"], parameters["bits"], zero_point=parameters["zero_point"])
    items = rows(vectors())
    without = {} if parameters["zero_point"] else {"zero_point": 0}
    await check_kernel(dut, kernel, items, [kernel.model(**item | without) for item in items])
