"""cocotb bench of MATEngine."""

from __future__ import annotations

import cocotb
import numpy as np

from tests.hdl.mat.stalling_reference import MATReference, mat_beats
from tests.hdl.rmac.cocotb_stalling import reset_in_flight, run_engine
from triovit.hdl.mat.stalling import MATEngine
from triovit.sim.bench import bench_parameters, stall_patterns

STALLS = ("none", "random", "long")


def engine_under_test():
    return MATEngine(bench_parameters()["lanes"], bench_parameters()["multipliers"])


@cocotb.test()
@cocotb.parametrize(source=STALLS, sink=STALLS)
async def random_groups(dut, source, sink):
    engine = engine_under_test()
    seed = 10 * STALLS.index(source) + STALLS.index(sink)
    beats, stalls = mat_beats(engine, seed, groups=80), (stall_patterns(seed)[source], stall_patterns(seed + 99)[sink])
    await run_engine(dut, engine, MATReference(engine), beats, *stalls)


@cocotb.test()
async def latency_and_rate(dut):
    """Groups of one beat: a result per cycle, with the documented latency."""
    engine = engine_under_test()
    source, sink = await run_engine(dut, engine, MATReference(engine), mat_beats(engine, 1, 30, longest=1), None, None)
    assert np.array_equal(np.diff(source.cycles), np.ones(29))
    assert np.array_equal(np.diff(sink.cycles), np.ones(29))
    assert sink.cycles[0] - source.cycles[0] == engine.latency


@cocotb.test()
async def reset(dut):
    engine = engine_under_test()
    await reset_in_flight(dut, engine, mat_beats(engine, 5, groups=100))
