"""A timeline on emitted Verilog: every cycle driven and compared."""

from __future__ import annotations

from cocotb.triggers import ReadOnly, RisingEdge

from tests.hdl.timeline import Timeline
from triovit.sim.bench import pack, start, unpack


async def compare(dut, engine, timeline: Timeline, seed: int = 1) -> None:
    """`o.valid` in every cycle, and `o.payload` where a row is due."""
    layout = engine.o.payload.shape()
    await start(dut)
    for cycle, (valid, payload) in enumerate(timeline.inputs(engine.i.payload.shape(), seed)):
        dut.i_valid.value = int(valid)
        dut.i_payload.value = payload
        await ReadOnly()
        row = timeline.rows.get(cycle)
        assert dut.o_valid.value == int(row is not None), f"cycle {cycle}: row {row} expected"
        if row is not None and int(dut.o_payload.value) != pack(layout, row):
            raise AssertionError(f"cycle {cycle}: {unpack(layout, dut.o_payload.value)}, not {row}")
        await RisingEdge(dut.clk)


async def reset_in_flight(dut, engine, timeline: Timeline) -> None:
    """One cycle of reset in the middle of a timeline: of what was in flight no row leaves."""
    await start(dut)
    rows = 0
    for cycle, (valid, payload) in enumerate(timeline.inputs(engine.i.payload.shape(), 1)):
        dut.i_valid.value = int(valid)
        dut.i_payload.value = payload
        await RisingEdge(dut.clk)
        rows += dut.o_valid.value == 1
        if cycle == timeline.end // 2:
            break
    assert rows
    dut.i_valid.value = 0
    dut.rst.value = 1
    await RisingEdge(dut.clk)
    dut.rst.value = 0
    for _ in range(200):
        await ReadOnly()
        assert dut.o_valid.value == 0
        await RisingEdge(dut.clk)
