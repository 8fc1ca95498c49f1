"""cocotb: the dyadic and the power-of-two requantizer, exact values and cycles."""

from functools import cache

import cocotb
import numpy as np

from tests.hdl.aux.kernels import PATTERNS, check_stream, grid, join, spread
from triovit.hdl.aux.requantizer import DyadicRequantizer, PowerOfTwoRequantizer
from triovit.sim.bench import bench_parameters

LOW, HIGH = -(1 << 31), (1 << 31) - 1


def kernel():
    kind = {"dyadic": DyadicRequantizer, "power_of_two": PowerOfTwoRequantizer}[bench_parameters()["kind"]]
    return kind(bench_parameters()["bits"])


@cache
def vectors():
    rng = np.random.default_rng(2)
    corners = grid(acc=(LOW, -1, 0, 1, HIGH), multiplier=(0, 1, 65535), shift=(0, 1, 31, 47), zero_point=(-128, 0, 127))
    # products that are odd multiples of half an output unit, and the accumulators next to them
    ties = grid(acc=(-3, -1, 1, 3, 253, -255), multiplier=(1, 3, 5), shift=range(1, 20), zero_point=(0, -7))
    ties["acc"] = ties["acc"] << (ties["shift"] - 1)
    beside = ties | {"acc": ties["acc"] + rng.integers(-1, 2, len(ties["acc"]))}
    count = 2000
    drawn = {
        "acc": spread(rng, 32, count),
        "multiplier": rng.integers(0, 1 << 16, count),
        "shift": rng.integers(0, 48, count),
        "zero_point": spread(rng, 8, count),
    }
    # and shifts that bring the product near the output's range, so that few results saturate
    near = drawn | {"acc": rng.integers(LOW, HIGH, count, endpoint=True)}
    near["shift"] = 46 - 7 + rng.integers(-2, 3, count)
    both = join(corners, ties, beside, drawn, near)
    if bench_parameters()["kind"] == "power_of_two":
        del both["multiplier"]
        both["shift"][-count:] -= 16
    return both


@cocotb.test()
@cocotb.parametrize(source=PATTERNS, sink=PATTERNS)
async def values_and_cycles(dut, source, sink):
    unit = kernel()
    await check_stream(dut, unit, vectors(), unit.model(**vectors()), source, sink)
