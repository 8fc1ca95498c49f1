"""cocotb bench of RMACEngine."""

from __future__ import annotations

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge

from tests.hdl.rmac.cocotb_stalling import reset_in_flight, run_engine
from tests.hdl.rmac.stalling_reference import RMACReference, rmac_beats
from triovit.hdl.rmac.stalling import RMACEngine, RMACMode
from triovit.sim.bench import bench_parameters, pack, stall_patterns, start, unpack

STALLS = ("none", "random", "long")


def engine_under_test():
    return RMACEngine(bench_parameters()["lanes"], bench_parameters()["macs"])


def beat(engine, mode, *, first=1, last=1, rows=None, value=1):
    operands = np.full((engine.lanes, engine.macs), value)
    rows = engine.lanes if rows is None else rows
    return {"features": operands, "weights": operands, "mode": mode.value, "first": first, "last": last, "rows": rows}


@cocotb.test()
@cocotb.parametrize(source=STALLS, sink=STALLS)
async def random_groups(dut, source, sink):
    engine = engine_under_test()
    seed = 10 * STALLS.index(source) + STALLS.index(sink)
    beats, stalls = rmac_beats(engine, seed, groups=40), (stall_patterns(seed)[source], stall_patterns(seed + 99)[sink])
    await run_engine(dut, engine, RMACReference(engine), beats, *stalls)


@cocotb.test()
@cocotb.parametrize(mode=[0, 1, 2], rows=[1, 2])
async def latency_and_rate(dut, mode, rows):
    """Groups as long as their results take to leave run without a gap, with the documented latency."""
    engine, mode = engine_under_test(), RMACMode(mode)
    length = 1 if mode is RMACMode.POINTWISE else rows
    group = [beat(engine, mode, first=k == 0, last=k == length - 1, rows=rows) for k in range(length)]
    source, sink = await run_engine(dut, engine, RMACReference(engine), group * 30, None, None)
    assert np.array_equal(np.diff(source.cycles), np.ones(30 * length - 1))
    assert np.array_equal(np.diff(sink.cycles), np.ones(30 * length - 1))
    assert sink.cycles[0] - source.cycles[length - 1] == engine.latency(mode)


@cocotb.test()
async def mode_switches(dut):
    """macs bubbles from POINTWISE to the other modes, none in the other direction."""
    engine = engine_under_test()
    order = [RMACMode.DEPTHWISE, RMACMode.POINTWISE, RMACMode.OUTER, RMACMode.POINTWISE, RMACMode.DEPTHWISE]
    beats = [beat(engine, mode, rows=1) for mode in order]
    source, _ = await run_engine(dut, engine, RMACReference(engine), beats, None, None)
    assert list(np.diff(source.cycles)) == [1, engine.macs + 1, 1, engine.macs + 1]


@cocotb.test()
@cocotb.parametrize(mode=[0, 1, 2])
async def reset(dut, mode):
    engine = engine_under_test()
    await reset_in_flight(dut, engine, rmac_beats(engine, 5, groups=200, modes=(mode,)))


@cocotb.test()
async def full_scale(dut):
    """The largest sum an int32 psum can hold of products -128 * -128, in self-accumulation."""
    engine, length = engine_under_test(), (1 << 31) // (128 * 128) - 1
    await start(dut)
    for first, last, cycles in ((1, 0, 1), (0, 0, length - 2), (0, 1, 1)):
        item = beat(engine, RMACMode.DEPTHWISE, first=first, last=last, rows=1, value=-128)
        dut.i_payload.value = pack(engine.i.payload.shape(), item)
        dut.i_valid.value = 1
        await ClockCycles(dut.clk, cycles)
    dut.i_valid.value = 0
    await ClockCycles(dut.clk, engine.latency(RMACMode.DEPTHWISE) - 1)
    await ReadOnly()
    width = max(engine.lanes, engine.macs)
    expected = [length * 128 * 128] * engine.macs + [0] * (width - engine.macs)
    assert dut.o_valid.value == 1
    assert unpack(engine.o.payload.shape(), dut.o_payload.value) == {"acc": expected, "last": 1}
    await RisingEdge(dut.clk)
