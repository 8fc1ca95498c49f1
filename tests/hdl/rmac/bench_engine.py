"""cocotb bench of RMACEngine."""

from __future__ import annotations

import cocotb

from tests.hdl.cocotb_timeline import compare, reset_in_flight
from tests.hdl.rmac.reference import rmac_timeline
from triovit.hdl.rmac.engine import RMACEngine
from triovit.hdl.rmac.operands import RMACMode
from triovit.sim.bench import bench_parameters


def engine_under_test():
    parameters = bench_parameters()
    return RMACEngine(parameters["lanes"], parameters["macs"])


@cocotb.test()
@cocotb.parametrize(seed=[11, 12])
async def all_modes(dut, seed):
    engine = engine_under_test()
    await compare(dut, engine, rmac_timeline(engine, seed, accumulations=60))


@cocotb.test()
@cocotb.parametrize(mode=[0, 1, 2, 3])
async def groups_without_gaps(dut, mode):
    engine = engine_under_test()
    await compare(dut, engine, rmac_timeline(engine, mode, accumulations=25, modes=(RMACMode(mode),), gaps=(0,)))


@cocotb.test()
@cocotb.parametrize(mode=[0, 1, 2, 3])
async def reset(dut, mode):
    engine = engine_under_test()
    await reset_in_flight(dut, engine, rmac_timeline(engine, 5, accumulations=60, modes=(RMACMode(mode),), gaps=(0,)))
