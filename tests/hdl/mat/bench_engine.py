"""cocotb bench of MATEngine."""

from __future__ import annotations

import cocotb

from tests.hdl.cocotb_timeline import compare, reset_in_flight
from tests.hdl.mat.reference import mat_timeline
from triovit.hdl.mat.engine import MATEngine
from triovit.sim.bench import bench_parameters


def engine_under_test():
    parameters = bench_parameters()
    return MATEngine(parameters["lanes"], parameters["multipliers"])


@cocotb.test()
@cocotb.parametrize(seed=[11, 12])
async def random_groups(dut, seed):
    engine = engine_under_test()
    await compare(dut, engine, mat_timeline(engine, seed, groups=150))


@cocotb.test()
async def groups_of_one_beat(dut):
    engine = engine_under_test()
    await compare(dut, engine, mat_timeline(engine, 3, groups=60, gaps=(0,), longest=1))


@cocotb.test()
async def reset(dut):
    engine = engine_under_test()
    await reset_in_flight(dut, engine, mat_timeline(engine, 5, groups=100, gaps=(0,)))
