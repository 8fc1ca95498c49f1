"""cocotb bench of LoadUnit (inside `DMA`)."""

from __future__ import annotations

import random

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from tests.hdl.bus.axi_memory import DECERR, SLVERR, Timing
from tests.hdl.dma.dma_bench import (
    TIMINGS,
    Buffers,
    Monitor,
    config,
    cores_of,
    encoded,
    instruction,
    issued,
    random_transfer,
    reset,
    runs_of,
    set_up,
    source,
    wait_for,
    words_of,
)
from triovit.hdl.dma.load import LoadUnit
from triovit.hdl.dma.read_master import ReadMaster
from triovit.hdl.isa.names import Buffer, ErrorCode, Opcode
from triovit.sim.bench import stall_patterns

SIZE = 1 << 16


def load(expected: dict, memory, f: dict) -> None:
    """Effect of a transfer on `expected[buffer][core]`."""
    block = config().block
    for core, local, offset in runs_of(f):
        for k in range(f["words"]):
            place = offset + k * block
            expected[f["buffer"]][core][local + k] = int.from_bytes(memory.bytes[place : place + block], "little")


def nothing() -> dict:
    return {b: [[-1] * words_of(b) for _ in range(cores_of(b))] for b in Buffer}


def transfer(**fields) -> dict:
    """A transfer of one word from offset 0 to word 0 of A, with changes."""
    f = {"buffer": Buffer.A, "words": 1, "rows": 1, "planes": 1, "core_stride": 0}
    f |= dict.fromkeys(("local", "local_row", "local_plane", "memory", "memory_row", "memory_plane"), 0)
    return f | fields


@cocotb.test()
@cocotb.parametrize(timing=list(TIMINGS), stall=["none", "random", "long"])
async def random_transfers(dut, timing, stall):
    stride = SIZE // 4
    memory = await set_up(dut, TIMINGS[timing], SIZE, stride)
    generator = random.Random(f"{timing} {stall}")
    buffers, monitor = Buffers(dut, stall_patterns(7)[stall]), Monitor(dut, "load")
    transfers = [random_transfer(generator, generator.choice(list(Buffer)), SIZE, stride, 60) for _ in range(16)]
    signals = [generator.getrandbits(32) for _ in transfers]
    expected = nothing()
    for f in transfers:
        load(expected, memory, f)
    queue = source(dut, "load", 3, stall)
    queue.send(
        encoded(instruction(Opcode.LOAD, f, s), 100 + k)
        for k, (f, s) in enumerate(zip(transfers, signals, strict=True))
    )
    await wait_for(dut, lambda: len(monitor.done) == len(transfers), "transfers")
    await ClockCycles(dut.clk, 4)
    memory.check()
    assert not buffers.errors and not monitor.errors, buffers.errors + monitor.errors
    assert monitor.started == list(range(100, 100 + len(transfers)))
    assert monitor.done == [(100 + k, signal) for k, signal in enumerate(signals)]
    for buffer in Buffer:
        assert buffers.contents[buffer] == expected[buffer], buffer.name
    assert memory.quiet and dut.load_idle.value == 1
    assert monitor.beats == len(memory.log["r"])
    assert memory.most_reads <= config().read_bursts


@cocotb.test()
async def every_alignment(dut):
    """All places in a beat, on both sides, for runs of every length up to two beats and more, also across 4 KB."""
    memory = await set_up(dut, TIMINGS["ideal"], SIZE)
    buffers, monitor, queue = Buffers(dut, stall_patterns(0)["none"]), Monitor(dut, "load"), source(dut, "load")
    c = config()
    bw, count = c.beat_words, 0
    lengths = sorted({1, 2, bw, bw + 1, 2 * bw + 1})
    for place in range(min(bw, 9)):
        for length in lengths:
            offset = 4096 - (bw + 1 - place) * c.block
            f = transfer(buffer=Buffer.B, words=length, memory=offset, local=(5 * place + length) % 64)
            expected = nothing()
            load(expected, memory, f)
            buffers.contents = nothing()
            queue.send([encoded(instruction(Opcode.LOAD, f, 1), count)])
            count += 1
            await wait_for(dut, lambda: len(monitor.done) == count, f"{length} words at {offset}")  # noqa: B023
            assert buffers.contents[Buffer.B] == expected[Buffer.B], (place, length)
    memory.check()


@cocotb.test()
async def cycles(dut):
    """A beat per cycle for long runs and for single words; an instruction's first one after a gap of a cycle."""
    c = config()
    memory = await set_up(dut, Timing(), SIZE, 4096)
    buffers, monitor, queue = Buffers(dut, stall_patterns(0)["none"]), Monitor(dut, "load"), source(dut, "load")
    per_burst = c.burst_beats * c.beat_words
    long = transfer(buffer=Buffer.C, words=2 * per_burst, rows=2, memory_row=2 * per_burst * c.block)
    short = transfer(
        buffer=Buffer.A,
        words=1,
        rows=9,
        planes=3,
        memory_row=c.data_bytes,
        memory_plane=9 * c.data_bytes,
        local_row=1,
        local_plane=9,
    )
    for f in (long, short):
        await ClockCycles(dut.clk, 20)
        for log in memory.log.values():
            log.clear()
        buffers.cycles.clear()
        before, accepted = len(monitor.done), len(queue.cycles)
        queue.send(encoded(instruction(Opcode.LOAD, f, 1), k) for k in range(3))
        await wait_for(dut, lambda: len(monitor.done) == before + 3, "transfers")  # noqa: B023
        words = f["words"] * f["rows"] * f["planes"] * cores_of(f["buffer"])
        beats = 3 * (words // c.beat_words if f is long else words)
        assert len(memory.log["r"]) == beats
        gaps = 2 if f is short else 0  # in bursts of several beats they do not show
        assert memory.log["r"][-1] - memory.log["r"][0] == beats - 1 + gaps
        assert buffers.cycles[-1] - buffers.cycles[0] == beats - 1 + gaps
        assert len(queue.cycles) == accepted + 3
    memory.check()


@cocotb.test()
async def latencies(dut):
    """Cycles from an instruction to ARVALID, and from a beat to `write_valid`, as the attributes say."""
    await set_up(dut, Timing(), SIZE)
    word = encoded(instruction(Opcode.LOAD, transfer(buffer=Buffer.B), 1), 0)
    dut.load_i_payload.value, dut.load_i_valid.value = word, 1
    cycle = -1
    while dut.m_axi_arvalid.value == 0 or cycle < 0:
        await RisingEdge(dut.clk)
        dut.load_i_valid.value = 0
        cycle += 1
    assert cycle == LoadUnit.latency + ReadMaster.latency == 4
    cycle_of = {}
    for cycle in range(12):
        await RisingEdge(dut.clk)
        for name in ("m_axi_rvalid", "load_write_valid", "load_trace_done"):
            if getattr(dut, name).value == 1:
                cycle_of.setdefault(name, cycle)
    assert (
        cycle_of["load_write_valid"]
        == cycle_of["load_trace_done"]
        == (cycle_of["m_axi_rvalid"] + ReadMaster.beat_latency + LoadUnit(config()).write_latency)
    )


@cocotb.test()
async def errors(dut):
    c = config()
    end_a, stride = c.feature_words, 1 << 12
    cases = [
        ({"words": 0}, ErrorCode.ILLEGAL_FIELD, 0),
        ({"rows": 0}, ErrorCode.ILLEGAL_FIELD, 0),
        ({"planes": 0}, ErrorCode.ILLEGAL_FIELD, 0),
        ({"buffer": 5}, ErrorCode.ILLEGAL_FIELD, 0),
        ({"buffer": 7}, ErrorCode.ILLEGAL_FIELD, 0),
        ({"local": end_a}, ErrorCode.LOCAL_ADDRESS, 0),
        ({"local": end_a - 3, "words": 4}, ErrorCode.LOCAL_ADDRESS, 0),
        ({"buffer": Buffer.O, "local": c.output_words}, ErrorCode.LOCAL_ADDRESS, 0),
        ({"buffer": Buffer.B, "local": c.weight_words}, ErrorCode.LOCAL_ADDRESS, 0),
        ({"buffer": Buffer.C, "local": c.weight_words}, ErrorCode.LOCAL_ADDRESS, 0),
        ({"buffer": Buffer.P, "local": c.parameter_words}, ErrorCode.LOCAL_ADDRESS, 0),
        ({"rows": 2, "local": 1, "local_row": (1 << 20) - 1}, ErrorCode.LOCAL_ADDRESS, None),
        ({"planes": 2, "local_plane": end_a}, ErrorCode.LOCAL_ADDRESS, None),
        ({"memory": SIZE}, ErrorCode.MEMORY_ADDRESS, 0),
        ({"memory": 0xFFFFFFFF & -c.block}, ErrorCode.MEMORY_ADDRESS, 0),
        ({"memory": SIZE - c.block, "words": 2}, ErrorCode.MEMORY_ADDRESS, 0),
        ({"memory": 1}, ErrorCode.MEMORY_ADDRESS, 0),
        ({"memory": c.block // 2}, ErrorCode.MEMORY_ADDRESS, 0),
        ({"rows": 2, "memory_row": c.block + 1}, ErrorCode.MEMORY_ADDRESS, None),
        ({"rows": 2, "memory": c.block, "memory_row": 0xFFFFFFFF & -c.block}, ErrorCode.MEMORY_ADDRESS, None),
        ({"planes": 2, "memory_plane": SIZE}, ErrorCode.MEMORY_ADDRESS, None),
    ]
    memory = await set_up(dut, TIMINGS["random"], SIZE, stride)
    # No source here: it would keep what the halted unit refuses.
    good = instruction(Opcode.LOAD, transfer(words=40), 1)
    buffers = Buffers(dut, stall_patterns(4)["random"])
    for number, (changes, code, bursts) in enumerate(cases):
        monitor, queue = Monitor(dut, "load"), source(dut, "load")
        before = len(memory.read_bursts)
        fields = {name: value for name, value in transfer(**changes).items() if name != "core_stride"}
        bad = issued(Opcode.LOAD, 50 + number, **{name: int(value) for name, value in fields.items()})
        queue.send([bad, encoded(good, 99)])
        await wait_for(dut, lambda: monitor.errors, f"error {changes}", 300)  # noqa: B023
        await ClockCycles(dut.clk, 60)
        assert monitor.errors == [(code, 50 + number)], changes
        assert not monitor.done and monitor.started[0] == 50 + number
        if bursts is not None:
            assert len(memory.read_bursts) - before == bursts, changes
        assert memory.quiet and dut.idle.value == 1 and dut.load_write_valid.value == 0
        queue.stop()
        dut.load_i_valid.value = 0
        await reset(dut)
        assert memory.quiet
    # The limits themselves are legal.
    monitor, queue = Monitor(dut, "load"), source(dut, "load")
    buffers.contents = nothing()
    dut.core_stride.value = 0
    exact = transfer(words=4, local=end_a - 4, memory=SIZE - 4 * c.block)
    expected = nothing()
    load(expected, memory, exact)
    queue.send([encoded(instruction(Opcode.LOAD, exact, 5), 7)])
    await wait_for(dut, lambda: monitor.done, "the legal transfer", 500)
    assert monitor.done == [(7, 5)] and not monitor.errors
    assert buffers.contents[Buffer.A] == expected[Buffer.A]
    memory.check()


@cocotb.test()
@cocotb.parametrize(response=[SLVERR, DECERR])
async def bus_errors(dut, response):
    """The instruction whose beat is bad is named; nothing is written any more; bursts under way drain."""
    c = config()
    memory = await set_up(dut, TIMINGS["random"], SIZE)
    buffers, monitor, queue = Buffers(dut, stall_patterns(4)["random"]), Monitor(dut, "load"), source(dut, "load")
    words = 6 * c.beat_words
    memory.read_errors[2 * words * c.block + 3 * c.data_bytes] = response
    loads = [transfer(buffer=Buffer.C, words=words, local=k * words, memory=k * words * c.block) for k in range(4)]
    queue.send(encoded(instruction(Opcode.LOAD, f, 1 << k), k) for k, f in enumerate(loads))
    await wait_for(dut, lambda: monitor.errors, "error", 2000)
    await wait_for(dut, lambda: dut.idle.value == 1, "drain", 2000)
    assert monitor.errors == [(ErrorCode.READ_SLVERR if response == SLVERR else ErrorCode.READ_DECERR, 2)]
    assert [index for index, _ in monitor.done] == [0, 1]
    assert memory.quiet
    for f in loads[3:]:
        assert set(buffers.contents[Buffer.C][0][f["local"] : f["local"] + words]) == {-1}
    memory.check()


@cocotb.test()
@cocotb.parametrize(timing=["random", "slow"], drain=[True, False])
async def reset_and_restart(dut, timing, drain):
    """Resets at many moments of a transfer, whether its bursts have ended or not: after it all is as new, and beats of
    bursts of before are thrown away."""
    c = config()
    memory = await set_up(dut, TIMINGS[timing], SIZE)
    buffers = Buffers(dut, stall_patterns(4)["random"])
    f = transfer(
        buffer=Buffer.B, words=3 * c.beat_words + 1, rows=9, memory_row=5 * c.data_bytes, local_row=4 * c.beat_words
    )
    expected = nothing()
    load(expected, memory, f)
    under_way = 0
    for delay in (3, 5, 6, 14, 40):
        queue = source(dut, "load")
        queue.send(encoded(instruction(Opcode.LOAD, f, 1), k) for k in range(3))
        await ClockCycles(dut.clk, delay)
        queue.stop()
        dut.load_i_valid.value, dut.halt.value = 0, 1
        if drain:
            await wait_for(dut, lambda: dut.idle.value == 1, "idle", 2000)
            assert memory.quiet and dut.m_axi_arvalid.value == 0
        asked = len(memory.read_bursts) + int(dut.m_axi_arvalid.value)
        await ClockCycles(dut.clk, 30 if drain else 1)
        assert len(memory.read_bursts) <= asked
        await reset(dut)
        under_way += not memory.quiet
        buffers.contents = nothing()
        monitor, queue = Monitor(dut, "load"), source(dut, "load")
        queue.send([encoded(instruction(Opcode.LOAD, f, 9), 3)])
        await wait_for(dut, lambda: monitor.done, "transfer after reset", 2000)  # noqa: B023
        assert monitor.done == [(3, 9)] and not monitor.errors
        assert buffers.contents[Buffer.B] == expected[Buffer.B]
        queue.stop()
    assert drain or under_way >= 2
    memory.check()
