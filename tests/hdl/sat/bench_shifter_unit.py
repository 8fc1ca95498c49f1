"""cocotb: ShifterUnit, all activations and all codes."""

from functools import cache

import cocotb

from tests.hdl.aux.kernels import check_kernel, grid
from triovit.golden.integer.apot import ApotFormat
from triovit.hdl.sat.shifter_unit import ShifterUnit
from triovit.sim.bench import bench_parameters


@cache
def vectors(format):
    """Activations in an order in which each differs from its neighbours, so that a held value is noticed."""
    table = grid(activation=[(37 * k) % 256 - 128 for k in range(256)], code=range(1 << format.width))
    mask = (1 << format.exponent_bits) - 1
    code = [
        {"sign": code & 1, "e1": code >> 1 & mask, "e2": code >> (1 + format.exponent_bits)}
        for code in table["code"].tolist()
    ]
    return table, code


@cocotb.test()
async def values_and_cycles(dut):
    unit = ShifterUnit(ApotFormat(*bench_parameters()["format"]))
    table, codes = vectors(unit.format)
    items = [{"activation": a, "code": code} for a, code in zip(table["activation"].tolist(), codes, strict=True)]
    await check_kernel(dut, unit, items, unit.model(table["activation"], table["code"]))
