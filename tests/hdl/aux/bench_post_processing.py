"""cocotb: PostProcessing, rows of all modes after each other, exact values and cycles."""

from functools import cache

import cocotb
import numpy as np

from tests.hdl.aux.kernels import check_kernel, spread
from triovit.golden.integer import arithmetic
from triovit.hdl.aux.post_processing import PostProcessing
from triovit.hdl.isa.layouts import RECORD_LAYOUT
from triovit.hdl.isa.names import PostMode
from triovit.sim.bench import bench_parameters

ROWS = 6000
CONTROL = ("code", "fraction_bits", "use_residual", "log2_offset", "high_byte")
# bits of the value behind the first shift: enough to reach saturation now and then
FIRST_BITS = {PostMode.LINEAR: 8, PostMode.HARDSWISH: 15, PostMode.DIVIDE: 23, PostMode.LOG2: 8, PostMode.WIDE: 16}


def bits_of(value):
    """Bits of the magnitude of int64 values."""
    return np.ceil(np.log2(np.abs(value).astype(float) + 1)).astype(np.int64)


def shift_to(rng, value, bits):
    """Shifts 0..47 that leave about `bits` bits of `value`; a third of them anything."""
    near = bits_of(value) - bits + rng.integers(-2, 3, value.shape)
    return np.clip(np.where(rng.random(value.shape) < 1 / 3, rng.integers(0, 48, value.shape), near), 0, 47)


@cache
def vectors():
    """Arrays by field name, (ROWS, lanes) or (ROWS,); everything a mode must ignore is random."""
    lanes, bits = bench_parameters()["lanes"], bench_parameters()["accumulator_bits"]
    rng = np.random.default_rng(8)
    shape = (ROWS, lanes)
    v = {
        "mode": rng.integers(0, 5, ROWS),
        "code": rng.integers(0, 16, ROWS),
        "fraction_bits": rng.integers(0, 16, ROWS),
        "use_residual": rng.integers(0, 2, ROWS),
        "log2_offset": rng.integers(-32, 32, ROWS),
        "high_byte": rng.integers(0, 2, ROWS),
        "bias": spread(rng, bits, shape),
        "m1": np.where(rng.random(shape) < 0.2, 1 << rng.integers(0, 16, shape), rng.integers(0, 1 << 16, shape)),
        "zero_point": spread(rng, 8, shape),
        "m2": rng.integers(0, 1 << 16, shape),
        "residual": spread(rng, 8, shape),
        "residual_multiplier": rng.integers(0, 1 << 24, shape) >> rng.integers(0, 25, shape),
        "residual_shift": rng.integers(0, 4, shape),
    }
    hardswish = v["mode"] == PostMode.HARDSWISH
    v["fraction_bits"] = np.where(hardswish, v["fraction_bits"] % 14, v["fraction_bits"])
    low, high = arithmetic.signed_range(bits)
    v["acc"] = np.clip(spread(rng, bits, shape) - v["bias"], low, high)
    t = v["acc"] + v["bias"]
    first = np.array([FIRST_BITS[mode] for mode in range(5)])[v["mode"]][:, None]
    v["n1"] = shift_to(rng, t * v["m1"], first)
    x = arithmetic.requantize(t, v["m1"], v["n1"], 0, 16)
    gated = arithmetic.hardswish_product(x, (v["fraction_bits"] % 14)[:, None]) * v["m2"]
    v["n2"] = shift_to(rng, gated, 8)
    # a legal residual where it counts: its term stays below 2**46, at times by one bit only, else near the product
    v["residual"] = np.where(bits_of(t * v["m1"]) > 46, 0, v["residual"])
    scaled = bits_of(v["residual"]) + 8 * v["residual_shift"]
    room = 46 - scaled
    near = np.clip(bits_of(t * v["m1"]) - scaled + rng.integers(-3, 3, shape), 0, room)
    room = np.clip(np.where(rng.random(shape) < 0.6, near, room), 0, 24)
    counts = (v["mode"] == PostMode.LINEAR) & (v["use_residual"] == 1)
    legal = v["residual_multiplier"] | (1 << 23)
    v["residual_multiplier"] = np.where(counts[:, None], legal >> (24 - room), v["residual_multiplier"])
    return v


@cache
def items():
    v = {name: value.tolist() for name, value in vectors().items()}
    rng = np.random.default_rng(9)  # for the ignored bits of the record's fields
    ignored = {"n1": 6, "n2": 6, "residual_shift": 2, "residual_multiplier": 24}
    result = []
    for row in range(ROWS):
        parameters = []
        for lane in range(bench_parameters()["lanes"]):
            p = {name: v[name][row][lane] for name, _ in RECORD_LAYOUT}
            for name, used in ignored.items():
                width = RECORD_LAYOUT[name].shape.width
                p[name] += int(rng.integers(0, 1 << (width - used))) << used
            parameters.append(p)
        control = {name: v[name][row] for name in ("mode", *CONTROL)}
        result.append({"acc": v["acc"][row], "parameters": parameters, "residual": v["residual"][row], **control})
    return result


@cache
def expected():
    v = vectors()
    result = np.zeros(v["acc"].shape, dtype=np.int64)
    for mode in PostMode:
        rows = v["mode"] == mode
        assert rows.sum() > ROWS / 8
        parameters = {name: v[name][rows] for name, _ in RECORD_LAYOUT}
        control = {name: v[name][rows] for name in CONTROL}
        control["accumulator_bits"] = bench_parameters()["accumulator_bits"]
        result[rows] = PostProcessing.model(v["acc"][rows], parameters, mode, residual=v["residual"][rows], **control)
        # the vectors must exercise: most results neither saturated nor the zero point
        assert len(np.unique(result[rows])) > (10 if mode == PostMode.LOG2 else 100)
    return result


@cocotb.test()
async def every_cycle(dut):
    await check_kernel(dut, PostProcessing(**bench_parameters()), items(), expected())
