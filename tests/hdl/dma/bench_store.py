"""cocotb bench of StoreUnit (inside `DMA`)."""

from __future__ import annotations

import random

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from tests.hdl.bus.axi_memory import DECERR, SLVERR, Timing
from tests.hdl.dma.dma_bench import (
    TIMINGS,
    Monitor,
    Results,
    config,
    encoded,
    instruction,
    issued,
    random_transfer,
    reset,
    runs_of,
    set_up,
    source,
    wait_for,
)
from triovit.hdl.dma.store import StoreUnit
from triovit.hdl.dma.write_master import WriteMaster
from triovit.hdl.isa.names import Buffer, ErrorCode, Opcode
from triovit.sim.bench import stall_patterns

SIZE = 1 << 16


def store(memory: bytearray, results: Results, f: dict) -> set[int]:
    """Effect of a transfer on a copy of the memory; returns the bytes that are written."""
    block, touched = config().block, set()
    for core, local, offset in runs_of(f):
        for k in range(f["words"]):
            place = offset + k * block
            memory[place : place + block] = results.contents[core][local + k].to_bytes(block, "little")
            touched.update(range(place, place + block))
    return touched


def transfer(**fields) -> dict:
    """A transfer of one word from word 0 of O to offset 0, with changes."""
    f = {"buffer": Buffer.O, "words": 1, "rows": 1, "planes": 1, "core_stride": 0}
    f |= dict.fromkeys(("local", "local_row", "local_plane", "memory", "memory_row", "memory_plane"), 0)
    return f | fields


@cocotb.test()
@cocotb.parametrize(timing=list(TIMINGS), stall=["none", "random", "long"])
async def random_transfers(dut, timing, stall):
    stride = SIZE // 4
    memory = await set_up(dut, TIMINGS[timing], SIZE, stride)
    generator = random.Random(f"{timing} {stall}")
    results, monitor = Results(dut, stall_patterns(7)[stall]), Monitor(dut, "store")
    transfers = [random_transfer(generator, Buffer.O, SIZE, stride, 60) for _ in range(16)]
    signals = [generator.getrandbits(32) for _ in transfers]
    expected, touched = bytearray(memory.bytes), set()
    for f in transfers:
        touched |= store(expected, results, f)
    queue = source(dut, "store", 3, stall)
    queue.send(
        encoded(instruction(Opcode.STORE, f, s), 100 + k)
        for k, (f, s) in enumerate(zip(transfers, signals, strict=True))
    )
    await wait_for(dut, lambda: len(monitor.done) == len(transfers), "transfers")
    assert memory.bytes == expected and memory.written == touched
    await ClockCycles(dut.clk, 4)
    memory.check()
    assert not monitor.errors and not results.errors, results.errors
    assert monitor.started == list(range(100, 100 + len(transfers)))
    assert monitor.done == [(100 + k, signal) for k, signal in enumerate(signals)]
    assert memory.quiet and dut.store_idle.value == 1
    assert monitor.beats == len(memory.log["w"])
    assert memory.most_writes <= config().write_bursts


@cocotb.test()
async def every_alignment(dut):
    """All places in a beat, on both sides, for runs of every length up to two beats and more, also across 4 KB."""
    memory = await set_up(dut, TIMINGS["ideal"], SIZE)
    results, monitor, queue = Results(dut, stall_patterns(0)["none"]), Monitor(dut, "store"), source(dut, "store")
    c = config()
    bw, count = c.beat_words, 0
    for place in range(min(bw, 9)):
        for length in sorted({1, 2, bw, bw + 1, 2 * bw + 1}):
            offset = 4096 - (bw + 1 - place) * c.block
            f = transfer(words=length, memory=offset, local=(5 * place + length) % 64)
            expected = bytearray(memory.bytes)
            memory.written.clear()
            touched = store(expected, results, f)
            queue.send([encoded(instruction(Opcode.STORE, f, 1), count)])
            count += 1
            await wait_for(dut, lambda: len(monitor.done) == count, f"{length} words at {offset}")  # noqa: B023
            assert memory.bytes == expected and memory.written == touched, (place, length)
    memory.check()


@cocotb.test()
async def cycles(dut):
    """A beat per cycle for long runs and for single words, over runs, cores and instructions."""
    c = config()
    memory = await set_up(dut, Timing(), SIZE, 4096)
    Results(dut, stall_patterns(0)["none"])
    monitor, queue = Monitor(dut, "store"), source(dut, "store")
    per_burst = c.burst_beats * c.beat_words
    long = transfer(words=2 * per_burst, rows=2, memory_row=2 * per_burst * c.block)
    short = transfer(
        words=1, rows=9, planes=3, memory_row=c.data_bytes, memory_plane=9 * c.data_bytes, local_row=1, local_plane=9
    )
    for f in (long, short):
        await ClockCycles(dut.clk, 20)
        for log in memory.log.values():
            log.clear()
        before = len(monitor.done)
        queue.send(encoded(instruction(Opcode.STORE, f, 1), k) for k in range(3))
        await wait_for(dut, lambda: len(monitor.done) == before + 3, "transfers")  # noqa: B023
        words = f["words"] * f["rows"] * f["planes"] * c.cores
        beats = 3 * (words // c.beat_words if f is long else words)
        assert len(memory.log["w"]) == beats
        # With few bursts allowed, single-beat bursts wait for responses.
        enough = f is long or c.write_bursts >= 8
        gaps = 2 if f is short else 0  # in bursts of several beats they do not show
        assert memory.log["w"][-1] - memory.log["w"][0] == beats - 1 + gaps or not enough
        trip = StoreUnit.data_latency + 6  # from a burst's place on the list until its response frees it
        assert memory.log["w"][-1] - memory.log["w"][0] <= beats * max(1, trip / c.write_bursts) + gaps
    memory.check()


@cocotb.test()
async def latencies(dut):
    """Cycles from an instruction to AWVALID, to the first read and to WVALID, as the attributes say."""
    await set_up(dut, Timing(), SIZE)
    dut.store_i_payload.value, dut.store_i_valid.value = encoded(instruction(Opcode.STORE, transfer(), 1), 0), 1
    cycle_of = {}
    for cycle in range(16):
        await RisingEdge(dut.clk)
        dut.store_i_valid.value = 0
        for name in ("m_axi_awvalid", "store_read_valid", "m_axi_wvalid"):
            if getattr(dut, name).value == 1:
                cycle_of.setdefault(name, cycle)
    assert StoreUnit.latency + WriteMaster.latency == 4 and StoreUnit.read_latency == 5
    assert cycle_of == {
        "m_axi_awvalid": StoreUnit.latency + WriteMaster.latency,
        "store_read_valid": StoreUnit.read_latency,
        "m_axi_wvalid": StoreUnit.read_latency + StoreUnit.data_latency + WriteMaster.latency,
    }


@cocotb.test()
async def errors(dut):
    c = config()
    end, stride = c.output_words, 1 << 12
    cases = [
        ({"words": 0}, ErrorCode.ILLEGAL_FIELD),
        ({"rows": 0}, ErrorCode.ILLEGAL_FIELD),
        ({"planes": 0}, ErrorCode.ILLEGAL_FIELD),
        ({"local": end}, ErrorCode.LOCAL_ADDRESS),
        ({"local": end - 3, "words": 4}, ErrorCode.LOCAL_ADDRESS),
        ({"memory": SIZE}, ErrorCode.MEMORY_ADDRESS),
        ({"memory": SIZE - c.block, "words": 2}, ErrorCode.MEMORY_ADDRESS),
        ({"memory": 1}, ErrorCode.MEMORY_ADDRESS),
    ]
    memory = await set_up(dut, TIMINGS["random"], SIZE, stride)
    Results(dut, stall_patterns(4)["random"])
    good = encoded(instruction(Opcode.STORE, transfer(), 1), 99)
    for number, (changes, code) in enumerate(cases):
        monitor, queue = Monitor(dut, "store"), source(dut, "store")
        fields = {name: v for name, v in transfer(**changes).items() if name not in ("core_stride", "buffer")}
        queue.send([issued(Opcode.STORE, 50 + number, **fields), good])
        await wait_for(dut, lambda: monitor.errors, f"error {changes}", 300)  # noqa: B023
        await ClockCycles(dut.clk, 40)
        assert monitor.errors == [(code, 50 + number)], changes
        assert not monitor.done and not memory.write_bursts and dut.idle.value == 1
        queue.stop()
        dut.store_i_valid.value = 0
        await reset(dut)
    memory.check()


@cocotb.test()
@cocotb.parametrize(response=[SLVERR, DECERR])
async def bus_errors(dut, response):
    c = config()
    memory = await set_up(dut, TIMINGS["random"], SIZE)
    Results(dut, stall_patterns(4)["random"])
    monitor, queue = Monitor(dut, "store"), source(dut, "store")
    words = 6 * c.beat_words
    # One plane a core: only the third instruction's last core meets the bad address.
    dut.core_stride.value = stride = 8 * words * c.block
    memory.write_errors[(c.cores - 1) * stride + 2 * words * c.block] = response
    stores = [transfer(words=words, local=k * words, memory=k * words * c.block) for k in range(4)]
    queue.send(encoded(instruction(Opcode.STORE, f, 1 << k), k) for k, f in enumerate(stores))
    await wait_for(dut, lambda: monitor.errors, "error", 2000)
    await wait_for(dut, lambda: dut.idle.value == 1, "drain", 2000)
    assert memory.quiet
    assert monitor.errors == [(ErrorCode.WRITE_SLVERR if response == SLVERR else ErrorCode.WRITE_DECERR, 2)]
    assert monitor.done == [(0, 1), (1, 2)]
    memory.check()


@cocotb.test()
@cocotb.parametrize(timing=["random", "slow"], drain=[True, False])
async def reset_and_restart(dut, timing, drain):
    """Resets at many moments, whether bursts have ended or not: beats that were missing come with strobes off, and
    after it all is as new."""
    c = config()
    memory = await set_up(dut, TIMINGS[timing], SIZE)
    results = Results(dut, stall_patterns(4)["random"])
    dut.core_stride.value = stride = SIZE // 4
    f = transfer(
        words=min(c.burst_beats, 12) * c.beat_words + 1,
        rows=4,
        memory_row=20 * c.data_bytes,
        local_row=13 * c.beat_words,
        core_stride=stride,
    )
    under_way = 0
    for delay in (3, 5, 6, 14, 40):
        queue = source(dut, "store")
        queue.send(encoded(instruction(Opcode.STORE, f, 1), k) for k in range(3))
        await ClockCycles(dut.clk, delay)
        queue.stop()
        dut.store_i_valid.value, dut.halt.value = 0, 1
        await RisingEdge(dut.clk)
        sent = len(memory.log["w"])
        if drain:
            await wait_for(dut, lambda: dut.idle.value == 1, "idle", 3000)
            assert memory.quiet and dut.m_axi_awvalid.value == 0 and dut.m_axi_wvalid.value == 0
            # What was on offer already keeps its strobes.
            assert not any(memory.strobes[sent + 1 :])
        asked = len(memory.write_bursts) + int(dut.m_axi_awvalid.value)
        await ClockCycles(dut.clk, 30 if drain else 1)
        assert len(memory.write_bursts) <= asked
        await reset(dut)
        under_way += not memory.quiet
        monitor, queue = Monitor(dut, "store"), source(dut, "store")
        expected = bytearray(memory.bytes)
        store(expected, results, f)
        queue.send([encoded(instruction(Opcode.STORE, f, 9), 3)])
        await wait_for(dut, lambda: monitor.done, "transfer after reset", 6000)  # noqa: B023
        assert monitor.done == [(3, 9)] and not monitor.errors
        assert memory.bytes == expected
        queue.stop()
    assert drain or under_way >= 2
    memory.check()


@cocotb.test()
async def zero_strobes_when_halted_at_once(dut):
    """A burst whose address is out while O refuses every read: halted, all its beats come without strobes."""
    c = config()
    memory = await set_up(dut, Timing(), SIZE)
    results = Results(dut, lambda: True)
    queue = source(dut, "store")
    queue.send([encoded(instruction(Opcode.STORE, transfer(words=8 * c.beat_words), 1), 0)])
    await ClockCycles(dut.clk, 30)
    assert memory.write_bursts and not memory.strobes and dut.store_idle.value == 0 and dut.idle.value == 0
    dut.halt.value = 1
    await wait_for(dut, lambda: dut.idle.value == 1, "idle", 200)
    beats = sum(beats for _, beats in memory.write_bursts)
    assert memory.strobes == [0] * beats and not memory.written and results.reads == 0
    memory.check()
