"""cocotb: RowSum, exact values and cycles."""

from functools import cache

import cocotb
import numpy as np

from tests.hdl.aux.engines import check_engine, group_flags
from tests.hdl.aux.kernels import PATTERNS
from triovit.hdl.aux.row_sum import RowSum
from triovit.sim.bench import bench_parameters

BEATS = 250
LONG_GROUP = 300  # beats of -128: the sum needs more bits than a short group's


@cache
def stimulus(tokens, channels):
    rng = np.random.default_rng(tokens * 100 + channels)
    flags = group_flags(tokens, BEATS) + [(k == 0, k == LONG_GROUP - 1) for k in range(LONG_GROUP)]
    window = rng.integers(-128, 128, (len(flags), tokens, channels))
    window[BEATS + 20 :] = rng.choice([-128, 127], channels)
    count = rng.integers(0, tokens + 1, len(flags))  # 0 and all tokens are among them
    count[BEATS + 20 :] = tokens
    items, expected, begin = [], [], 0
    for k, (first, last) in enumerate(flags):
        begin = k if first else begin
        items.append({"window": window[k].tolist(), "count": int(count[k]), "first": first, "last": last})
        group = slice(begin, k + 1)
        expected.append(RowSum.model(window[group], count[group]).tolist() if last else None)
    return RowSum(tokens, channels), items, expected


@cocotb.test()
@cocotb.parametrize(source=PATTERNS, sink=PATTERNS)
async def values_and_cycles(dut, source, sink):
    engine, items, expected = stimulus(bench_parameters()["tokens"], bench_parameters()["channels"])
    await check_engine(dut, engine, items, expected, [0] * len(items), source, sink)
