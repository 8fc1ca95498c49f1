"""cocotb bench of LoadUnit and StoreUnit with several ports (inside `DMA`), whose memories stall independently."""

from __future__ import annotations

import random

import cocotb
from cocotb.triggers import ClockCycles

from tests.hdl.bus.axi_memory import DECERR, SLVERR, Timing
from tests.hdl.dma.dma_bench import (
    TIMINGS,
    Buffers,
    Monitor,
    Results,
    config,
    cores_of,
    encoded,
    instruction,
    partitions,
    random_transfer,
    reset,
    runs_of,
    set_up_ports,
    source,
    wait_for,
    words_of,
)
from triovit.hdl.isa.names import Buffer, ErrorCode, Opcode
from triovit.sim.bench import stall_patterns

SIZE = 1 << 14  # of a partition
STRIDE = SIZE // 4


def places_of(f: dict):
    """(core, on-chip word, byte of all memories) of every word of a transfer."""
    where = partitions(SIZE)
    for core, local, offset in runs_of(f):
        for k in range(f["words"]):
            place = offset + k * config().block
            shared = cores_of(f["buffer"]) == 1
            yield core, local + k, where.striped(place) if shared else where.of_core(core, 0) + place


def load(expected: dict, memories, f: dict) -> None:
    """Effect of a LOAD on `expected[buffer][core]`."""
    for core, local, place in places_of(f):
        port, offset = divmod(place, SIZE)
        word = memories[port].bytes[offset : offset + config().block]
        expected[f["buffer"]][core][local] = int.from_bytes(word, "little")


def nothing() -> dict:
    return {b: [[-1] * words_of(b) for _ in range(cores_of(b))] for b in Buffer}


def transfer(buffer: Buffer, words: int, **fields) -> dict:
    f = {"buffer": buffer, "words": words, "rows": 1, "planes": 1, "core_stride": STRIDE}
    f |= dict.fromkeys(("local", "local_row", "local_plane", "memory", "memory_row", "memory_plane"), 0)
    return f | fields


@cocotb.test()
@cocotb.parametrize(timing=list(TIMINGS), stall=["none", "random"])
async def random_loads(dut, timing, stall):
    memories = await set_up_ports(dut, TIMINGS[timing], SIZE, STRIDE)
    generator = random.Random(f"{timing} {stall}")
    buffers, monitor = Buffers(dut, stall_patterns(7)[stall]), Monitor(dut, "load")
    transfers = [random_transfer(generator, generator.choice(list(Buffer)), SIZE, STRIDE, 60) for _ in range(24)]
    signals = [generator.getrandbits(32) for _ in transfers]
    expected = nothing()
    for f in transfers:
        load(expected, memories, f)
    source(dut, "load", 3, stall).send(
        encoded(instruction(Opcode.LOAD, f, s), k) for k, (f, s) in enumerate(zip(transfers, signals, strict=True))
    )
    await wait_for(dut, lambda: len(monitor.done) == len(transfers), "transfers")
    await ClockCycles(dut.clk, 4)
    assert not buffers.errors and not monitor.errors, buffers.errors + monitor.errors
    assert monitor.done == list(enumerate(signals))
    for buffer in Buffer:
        assert buffers.contents[buffer] == expected[buffer], buffer.name
    for memory in memories:
        memory.check()
        assert memory.quiet and len(memory.log["r"]) == monitor.beats
        assert memory.read_bursts == memories[0].read_bursts and memory.most_reads <= config().read_bursts
    assert dut.load_idle.value == 1


@cocotb.test()
@cocotb.parametrize(timing=list(TIMINGS), stall=["none", "random"])
async def random_stores(dut, timing, stall):
    memories = await set_up_ports(dut, TIMINGS[timing], SIZE, STRIDE)
    generator = random.Random(f"{timing} {stall}")
    results, monitor = Results(dut, stall_patterns(7)[stall]), Monitor(dut, "store")
    transfers = [random_transfer(generator, Buffer.O, SIZE, STRIDE, 60) for _ in range(16)]
    expected, touched = [bytearray(memory.bytes) for memory in memories], [set() for _ in memories]
    for f in transfers:
        for core, local, place in places_of(f):
            port, offset = divmod(place, SIZE)
            end = offset + config().block
            expected[port][offset:end] = results.contents[core][local].to_bytes(config().block, "little")
            touched[port].update(range(offset, end))
    source(dut, "store", 3, stall).send(encoded(instruction(Opcode.STORE, f, k), k) for k, f in enumerate(transfers))
    await wait_for(dut, lambda: len(monitor.done) == len(transfers), "transfers")
    await ClockCycles(dut.clk, 4)
    assert not monitor.errors and not results.errors, results.errors
    assert monitor.done == [(k, k) for k in range(len(transfers))]
    for port, memory in enumerate(memories):
        memory.check()
        assert memory.bytes == expected[port] and memory.written == touched[port]
        assert memory.quiet and len(memory.log["w"]) == monitor.beats
        assert memory.most_writes <= config().write_bursts
    assert dut.store_idle.value == 1


@cocotb.test()
async def cycles(dut):
    """Every port moves a beat per cycle, whether the words are for all cores or for its own."""
    c = config()
    memories = await set_up_ports(dut, Timing(), SIZE, STRIDE)
    Buffers(dut, stall_patterns(0)["none"])
    monitor, queue = Monitor(dut, "load"), source(dut, "load")
    beats = 2 * c.burst_beats
    for buffer, words, cores in ((Buffer.C, c.bus_words, 1), (Buffer.A, c.beat_words, c.port_cores)):
        for memory in memories:
            memory.log["r"].clear()
        before = len(monitor.done)
        queue.send([encoded(instruction(Opcode.LOAD, transfer(buffer, beats * words), 1), 0)])
        await wait_for(dut, lambda: len(monitor.done) == before + 1, "transfer")  # noqa: B023
        for memory in memories:
            assert len(memory.log["r"]) == beats * cores
            assert memory.log["r"][-1] - memory.log["r"][0] == beats * cores - 1


@cocotb.test()
@cocotb.parametrize(unit=["load", "store"], timing=["random", "slow"])
async def bus_errors(dut, unit, timing):
    """Any port's error is told, of several that of the first port; nothing is finished behind it, and all drains."""
    c = config()
    opcode = Opcode[unit.upper()]
    memories = await set_up_ports(dut, TIMINGS[timing], SIZE, STRIDE)
    Buffers(dut, stall_patterns(4)["random"])
    Results(dut, stall_patterns(4)["random"])
    slave = dict.fromkeys(range(c.ports), SLVERR)
    cases = [{port: response} for port in slave for response in (SLVERR, DECERR)]
    cases += [slave | {0: DECERR}, slave | {c.ports - 1: DECERR}]
    codes = {"load": (ErrorCode.READ_SLVERR, ErrorCode.READ_DECERR)}.get(
        unit, (ErrorCode.WRITE_SLVERR, ErrorCode.WRITE_DECERR)
    )
    words = 6 * c.bus_words
    for bad in cases:
        monitor, queue = Monitor(dut, unit), source(dut, unit)
        # The third instruction's last core meets it at the beginning of a burst.
        place = 2 * words * c.block + (c.port_cores - 1) * STRIDE
        for port, memory in enumerate(memories):
            errors = {place: bad[port]} if port in bad else {}
            memory.read_errors, memory.write_errors = errors, errors
        some = [transfer(Buffer.O, words, memory=k * words * c.block) for k in range(4)]
        queue.send(encoded(instruction(opcode, f, 1 << k), k) for k, f in enumerate(some))
        await wait_for(dut, lambda: monitor.errors, f"error {bad}", 3000)  # noqa: B023
        await wait_for(dut, lambda: dut.idle.value == 1, "drain", 3000)
        first = bad[min(bad)]
        assert monitor.errors == [(codes[first == DECERR], 2)], bad
        assert monitor.done == [(0, 1), (1, 2)] and all(memory.quiet for memory in memories)
        queue.stop()
        getattr(dut, f"{unit}_i_valid").value = 0
        await reset(dut)
    for memory in memories:
        memory.check()


@cocotb.test()
@cocotb.parametrize(timing=["random", "slow"])
async def reset_and_restart(dut, timing):
    """Resets while ports are at different places: what was under way belongs to nobody at any of them."""
    c = config()
    memories = await set_up_ports(dut, TIMINGS[timing], SIZE, STRIDE)
    buffers, results = Buffers(dut, stall_patterns(4)["random"]), Results(dut, stall_patterns(4)["random"])
    f = transfer(Buffer.O, 3 * c.beat_words + 1, rows=4, memory_row=20 * c.data_bytes, local_row=13 * c.beat_words)
    for delay in (5, 9, 14, 23, 31, 40):
        for unit, opcode in (("load", Opcode.LOAD), ("store", Opcode.STORE)):
            queue = source(dut, unit)
            queue.send(encoded(instruction(opcode, f, 1), k) for k in range(3))
            await ClockCycles(dut.clk, delay)
            queue.stop()
            getattr(dut, f"{unit}_i_valid").value = 0
            await reset(dut)
            monitor, queue = Monitor(dut, unit), source(dut, unit)
            expected, kept = nothing(), [bytearray(memory.bytes) for memory in memories]
            load(expected, memories, f)
            buffers.contents = nothing()
            queue.send([encoded(instruction(opcode, f, 9), 3)])
            await wait_for(dut, lambda: monitor.done, "transfer after reset", 6000)  # noqa: B023
            assert monitor.done == [(3, 9)] and not monitor.errors
            if unit == "load":
                assert buffers.contents[Buffer.O] == expected[Buffer.O]
            else:
                for core, local, place in places_of(f):
                    port, offset = divmod(place, SIZE)
                    kept[port][offset : offset + c.block] = results.contents[core][local].to_bytes(c.block, "little")
                assert [memory.bytes for memory in memories] == kept
            queue.stop()
    for memory in memories:
        memory.check()
