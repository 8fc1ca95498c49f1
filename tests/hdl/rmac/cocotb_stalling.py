"""Shared by the engine benches: one stall pattern a port, every cycle compared with a reference."""

from __future__ import annotations

from cocotb.triggers import ReadOnly, RisingEdge

from triovit.sim.bench import StreamSink, StreamSource, pack, start, unpack


async def run_engine(dut, engine, reference, beats, source_stall, sink_stall):
    """Send `beats`; compares i.ready, o.valid and o.payload of each cycle. Returns (source, sink) with their logs."""
    i_layout, o_layout = engine.i.payload.shape(), engine.o.payload.shape()
    await start(dut)
    source = StreamSource(dut, "i", dut.clk, source_stall)
    sink = StreamSink(dut, "o", dut.clk, sink_stall)
    source.send(pack(i_layout, beat) for beat in beats)
    position, idle = 0, 0  # this ends because the reference does: the first cycle that differs fails
    while idle < 100:  # the reference has delivered everything, and the engine must stay silent
        await ReadOnly()
        beat = beats[position] if dut.i_valid.value == 1 else None
        o_ready = dut.o_ready.value == 1
        ready, row = reference.outputs(beat, o_ready)
        where = f"enabled cycle {reference.now}, beat {position}"
        assert beat is None or dut.i_ready.value == int(ready), f"{where}: i.ready is not {ready}"
        assert dut.o_valid.value == int(row is not None), f"{where}: o.valid, reference {row}"
        if row is not None:
            assert unpack(o_layout, dut.o_payload.value) == row, f"{where}: o.payload"
        reference.clock(beat, o_ready)
        position += beat is not None and ready
        busy = position < len(beats) or reference.pending or reference.drain
        idle = 0 if busy else idle + 1
        await RisingEdge(dut.clk)
    sink.check()
    source.stop()
    sink.stop()
    return source, sink


async def reset_in_flight(dut, engine, beats):
    """Reset with beats in the array and rows in the drain: nothing of them may come out afterwards."""
    await start(dut)
    source = StreamSource(dut, "i", dut.clk)
    source.send(pack(engine.i.payload.shape(), beat) for beat in beats)
    for _ in range(10 * len(beats)):  # nothing is taken from o: the engine blocks
        await ReadOnly()
        blocked = dut.i_valid.value == 1 and dut.i_ready.value == 0 and dut.o_valid.value == 1
        await RisingEdge(dut.clk)
        if blocked:
            break
    assert blocked
    assert source.cycles
    source.stop()
    dut.i_valid.value = 0
    dut.rst.value = 1
    await RisingEdge(dut.clk)
    dut.rst.value = 0
    dut.o_ready.value = 1
    for _ in range(100):
        await ReadOnly()
        assert dut.o_valid.value == 0
        assert dut.i_ready.value == 1
        await RisingEdge(dut.clk)
