"""cocotb: ShifterUnit, all activations and all codes."""

from functools import cache

import cocotb

from tests.hdl.aux.kernels import PATTERNS, check_stream, grid
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


class Codes:
    """A column of structs for `check_stream`, which wants arrays."""

    def __init__(self, structs):
        self.structs = structs

    def tolist(self):
        return self.structs


@cocotb.test()
@cocotb.parametrize(source=PATTERNS, sink=PATTERNS)
async def values_and_cycles(dut, source, sink):
    unit = ShifterUnit(ApotFormat(*bench_parameters()["format"]))
    table, structs = vectors(unit.format)
    expected = unit.model(table["activation"], table["code"])
    columns = {"activation": table["activation"], "code": Codes(structs)}
    await check_stream(dut, unit, columns, expected, source, sink)
