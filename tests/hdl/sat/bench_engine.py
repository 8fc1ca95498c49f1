"""cocotb: ShifterAdderTree, exact values and cycles."""

from functools import cache

import cocotb
import numpy as np

from tests.hdl.aux.engines import check_engine, group_flags
from tests.hdl.aux.kernels import PATTERNS
from triovit.golden.integer.apot import ApotFormat
from triovit.hdl.sat.engine import ShifterAdderTree
from triovit.sim.bench import bench_parameters

BEATS = 250


@cache
def stimulus(lanes, units, exponent_bits, low):
    """Engine, items and expected results; full-scale operands in some groups, so that the widths are needed."""
    format = ApotFormat(exponent_bits, low)
    engine = ShifterAdderTree(lanes, units, format)
    rng = np.random.default_rng(lanes * 100 + units)
    top = (1 << format.width) - 1
    flags = group_flags(lanes, BEATS)
    activations = rng.integers(-128, 128, (len(flags), units))
    codes = rng.integers(0, top + 1, (len(flags), lanes, units))
    # full scale of both signs; two beats of it still fit int32 in the widest format with few units
    full = rng.random(len(flags)) < 0.2
    activations[full] = rng.choice([-128, 127], (full.sum(), 1))
    codes[full] = rng.choice([top, top - 1], (full.sum(), lanes, 1))
    items, expected, begin = [], [], 0
    for k, (first, last) in enumerate(flags):
        begin = k if first else begin
        structs = [
            [{"sign": c & 1, "e1": c >> 1 & top >> (exponent_bits + 1), "e2": c >> 1 >> exponent_bits} for c in lane]
            for lane in codes[k].tolist()
        ]
        items.append({"activations": activations[k].tolist(), "codes": structs, "first": first, "last": last})
        group = slice(begin, k + 1)
        expected.append(engine.model(activations[group], codes[group]).tolist() if last else None)
    return engine, items, expected


@cocotb.test()
@cocotb.parametrize(source=PATTERNS, sink=PATTERNS)
async def values_and_cycles(dut, source, sink):
    parameters = bench_parameters()
    engine, items, expected = stimulus(*(parameters[name] for name in ("lanes", "units", "exponent_bits", "low")))
    await check_engine(dut, engine, items, expected, [0] * len(items), source, sink)
