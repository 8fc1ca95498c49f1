"""cocotb: Log2Quantizer, every 16-bit value and random ones of 32 bits."""

from functools import cache

import cocotb
import numpy as np

from tests.hdl.aux.kernels import check_kernel, grid, join, rows, spread
from triovit.hdl.aux.log2_quantizer import Log2Quantizer


@cache
def vectors():
    rng = np.random.default_rng(5)
    values = np.arange(1 << 16)
    every = {"value": values, "offset": -(values % 3)}
    # the three values around each threshold 2**i and 3 * 2**i, each with several offsets
    edges = grid(one=range(31), factor=(1, 3), off=(-1, 0, 1), offset=(-32, -16, -15, -1, 0, 1, 15, 31))
    edges["value"] = np.minimum(edges.pop("factor") << edges.pop("one"), (1 << 31) - 2) + edges.pop("off")
    edges = {name: edges[name] for name in every}
    limits = grid(value=(-(1 << 31), -(1 << 30), -1, 0, 1, (1 << 31) - 1), offset=range(-32, 32))
    drawn = {"value": spread(rng, 32, 4000), "offset": rng.integers(-32, 32, 4000)}
    positive = {"value": spread(rng, 32, 4000) & ((1 << 31) - 1), "offset": rng.integers(-20, 10, 4000)}
    return join(every, edges, limits, drawn, positive)


@cocotb.test()
async def every_cycle(dut):
    await check_kernel(dut, Log2Quantizer(), rows(vectors()), Log2Quantizer.model(**vectors()))
