"""cocotb: Hardswish, exact values and cycles."""

from functools import cache

import cocotb
import numpy as np

from tests.hdl.aux.kernels import PATTERNS, check_stream, grid, join, spread
from triovit.hdl.aux.hardswish import Hardswish


@cache
def vectors():
    rng = np.random.default_rng(3)
    # around the two clamps, at -3 and +3, and at the limits of the operand
    clamps = grid(acc=(-3, 0, 3), off=(-2, -1, 0, 1, 2), fraction_bits=range(14))
    clamps["acc"] = (clamps["acc"] << clamps["fraction_bits"]) + clamps.pop("off")
    full = grid(acc=(-(1 << 31), -32769, -32768, 32767, 32768, (1 << 31) - 1), fraction_bits=range(14))
    exact = join(clamps, full)
    count = len(exact["acc"])
    exact |= {"m1": np.ones(count, int), "n1": np.zeros(count, int), "m2": rng.integers(0, 1 << 16, count)}
    exact |= {"n2": rng.integers(0, 48, count), "zero_point": spread(rng, 8, count)}
    # ties of the last shift: x = 1, f = 0 gives 4
    ties = grid(m2=(1, 3, 5, 127), n2=(0, 1, 2, 3, 4, 5), acc=(1, -1), zero_point=(-128, 0, 127))
    ones, zeros = np.ones(len(ties["acc"]), int), np.zeros(len(ties["acc"]), int)
    ties |= {"m1": ones, "n1": zeros, "fraction_bits": zeros}
    count = 3000
    drawn = {
        "acc": spread(rng, 32, count),
        "m1": rng.integers(0, 1 << 16, count),
        "n1": rng.integers(0, 48, count),
        "fraction_bits": rng.integers(0, 14, count),
        "m2": rng.integers(0, 1 << 16, count),
        "n2": rng.integers(0, 48, count),
        "zero_point": spread(rng, 8, count),
    }
    # scales as in a network: operand within the clamps, output within 8 bits
    real = drawn | {"acc": rng.integers(-(1 << 19), 1 << 19, count), "n1": np.full(count, 20)}
    real["n1"] = 34 - real["fraction_bits"]
    real["n2"] = 2 * real["fraction_bits"] + 14
    return join(*({name: part[name] for name in drawn} for part in (exact, ties, drawn, real)))


@cocotb.test()
@cocotb.parametrize(source=PATTERNS, sink=PATTERNS)
async def values_and_cycles(dut, source, sink):
    await check_stream(dut, Hardswish(), vectors(), Hardswish.model(**vectors()), source, sink)
