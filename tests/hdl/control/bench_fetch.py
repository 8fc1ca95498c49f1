"""cocotb bench of FetchUnit (inside `DMA`)."""

from __future__ import annotations

import itertools
import random

import cocotb
from cocotb.triggers import ClockCycles, ReadOnly, RisingEdge

from tests.hdl.bus.axi_memory import DECERR, SLVERR, Timing
from tests.hdl.dma.dma_bench import TIMINGS, config, reset, set_up, wait_for
from triovit.hdl.config.engines import engines_of
from triovit.hdl.control.errors import ERROR
from triovit.hdl.control.fetch import FetchUnit
from triovit.hdl.dma.read_master import ReadMaster
from triovit.hdl.isa.instructions import INSTRUCTION_BYTES, PROGRAM_MAGIC, Instruction
from triovit.hdl.isa.layouts import ISSUED
from triovit.hdl.isa.names import ErrorCode, Opcode, Unit
from triovit.sim.bench import StreamSink, stall_patterns, unpack

SIZE = 1 << 16
ISSUED_OPCODES = [opcode for opcode in Opcode if opcode not in (Opcode.PROGRAM, Opcode.END)]
NONZERO = {"words": 1, "rows": 1, "planes": 1, "groups": 1, "cols": 1, "kernel_rows": 1, "kernel_cols": 1, "blocks": 1}


def program_of(body, *, count=None, magic=PROGRAM_MAGIC, change_hash=0, wait=0, signal=0, end=True) -> list[bytes]:
    """PROGRAM, `body` (instructions as bytes), END."""
    count = len(body) + 2 if count is None else count
    head = {"magic": magic, "hash": config().hash ^ change_hash, "instructions": count, "wait": wait, "signal": signal}
    tail = [Instruction(Opcode.END, {"wait": wait, "signal": signal}).encode()] if end else []
    return [Instruction(Opcode.PROGRAM, head).encode(), *body, *tail]


def random_body(generator, length) -> list[bytes]:
    body = []
    for _ in range(length):
        opcode = generator.choice(ISSUED_OPCODES)
        noise = int(opcode) | generator.getrandbits(504) << 8
        body.append(noise.to_bytes(INSTRUCTION_BYTES, "little"))
    return body


class Fetch:
    """Drives FETCH: puts programs into the memory, starts them, collects what comes out."""

    def __init__(self, dut, memory, stall="none", available=lambda: True, units_idle=lambda: True):
        self.dut, self.memory = dut, memory
        self.available, self.units_idle = available, units_idle
        self.sinks = {
            engine.unit: StreamSink(dut, f"fetch_o_{number}", dut.clk, stall_patterns(engine.unit)[stall])
            for number, engine in enumerate(engines_of(config()))
        }
        self.errors: list[tuple[ErrorCode, int]] = []
        self.given: list[int] = []
        self.taken: list[int] = []
        self.finished = 0
        self.cycle = 0
        self._task = cocotb.start_soon(self._run())

    def stop(self):
        self._task.cancel()
        for sink in self.sinks.values():
            sink.stop()

    async def _run(self):
        dut = self.dut
        while True:
            available = self.available()
            dut.fetch_semaphores_available.value, dut.fetch_units_idle.value = int(available), int(self.units_idle())
            await ReadOnly()
            if dut.rst.value == 0:
                error = unpack(ERROR, int(dut.fetch_error.value))
                if error["valid"]:
                    self.errors.append((ErrorCode(error["code"]), error["index"]))
                if dut.fetch_semaphores_take.value == 1:
                    assert available
                    self.taken.append(int(dut.fetch_semaphores_wait.value))
                if int(dut.fetch_give.value):
                    self.given.append(int(dut.fetch_give.value))
                self.finished += int(dut.fetch_finished.value)
            await RisingEdge(dut.clk)
            self.cycle += 1

    async def begin(self, program: list[bytes], offset: int, size: int | None = None):
        """Put the program into the memory and start it."""
        data = b"".join(program)
        self.memory.bytes[offset : offset + len(data)] = data
        self.dut.fetch_program_offset.value = offset
        self.dut.fetch_program_bytes.value = len(data) if size is None else size
        self.dut.fetch_start.value = 1
        await RisingEdge(self.dut.clk)
        self.dut.fetch_start.value = 0

    def issued(self) -> list[tuple[int, Unit, bytes]]:
        """(index, unit, instruction) of everything that was issued, by index."""
        result = []
        for unit, sink in self.sinks.items():
            sink.check()
            indices = []
            for payload in sink.payloads:
                value = unpack(ISSUED, payload)
                indices.append(value["index"])
                result.append((value["index"], unit, value["word"].to_bytes(INSTRUCTION_BYTES, "little")))
            assert indices == sorted(indices)
        return sorted(result)


def expected_of(program: list[bytes]) -> list[tuple[int, Unit, bytes]]:
    return [(k, Unit(word[0] >> 4), word) for k, word in enumerate(program) if word[0] >> 4 != Unit.FETCH]


@cocotb.test()
@cocotb.parametrize(timing=list(TIMINGS), stall=["none", "random", "long"])
async def programs(dut, timing, stall):
    """Programs of several lengths, one after the other, at any multiple of 64."""
    memory = await set_up(dut, TIMINGS[timing], SIZE)
    generator = random.Random(f"{timing} {stall}")
    fetch = Fetch(dut, memory, stall, lambda: generator.random() < 0.3)
    for length in (0, 1, 40):
        wait, signal = generator.getrandbits(32) | 1, generator.getrandbits(32) | 1
        program = program_of(random_body(generator, length), wait=wait, signal=signal)
        for sink in fetch.sinks.values():
            sink.payloads.clear()
        fetch.taken.clear(), fetch.given.clear()
        before = fetch.finished
        await fetch.begin(program, 64 * generator.randint(0, 60))
        await wait_for(dut, lambda: fetch.finished > before, "program")  # noqa: B023
        await RisingEdge(dut.clk)
        assert not fetch.errors and memory.quiet and dut.idle.value == 1
        assert fetch.issued() == expected_of(program)
        assert fetch.taken == [wait, wait] and fetch.given == [signal, signal]
    await ClockCycles(dut.clk, 20)
    assert fetch.finished == 3
    memory.check()


@cocotb.test()
async def end_waits_for_semaphores_and_units(dut):
    memory = await set_up(dut, Timing(), SIZE)
    state = {"available": True, "idle": True}
    fetch = Fetch(dut, memory, available=lambda: state["available"], units_idle=lambda: state["idle"])
    program = program_of(random_body(random.Random(1), 3), wait=0x80000001, signal=4)
    state["available"] = False
    await fetch.begin(program, 0)
    await ClockCycles(dut.clk, 60)
    assert not fetch.taken and not fetch.issued() and dut.fetch_semaphores_wait.value == 0x80000001
    state["available"] = True
    await wait_for(dut, lambda: fetch.taken, "PROGRAM")
    state["available"], state["idle"] = False, False
    await ClockCycles(dut.clk, 80)
    assert len(fetch.issued()) == 3 and fetch.taken == [0x80000001] and fetch.given == [4]
    state["available"] = True
    await ClockCycles(dut.clk, 80)
    assert len(fetch.taken) == 2 and not fetch.finished
    state["idle"] = True
    await wait_for(dut, lambda: len(fetch.given) == 2, "END", 3)
    assert not fetch.finished  # a cycle later
    await RisingEdge(dut.clk)
    assert fetch.given == [4, 4] and fetch.finished == 1 and memory.quiet


@cocotb.test()
async def rate_and_latency(dut):
    """An instruction every 1 + 64 / data_bytes cycles; cycles from `start` to ARVALID and from the last beat to the
    queue as the attributes say."""
    c = config()
    memory = await set_up(dut, Timing(), SIZE)
    fetch = Fetch(dut, memory)
    body = [Instruction(Opcode.LOAD, {"words": 1, "rows": 1, "planes": 1}).encode()] * 30
    await fetch.begin(program_of(body), 0)
    cycle = 0
    while dut.m_axi_arvalid.value == 0:
        await RisingEdge(dut.clk)
        cycle += 1
    assert cycle == FetchUnit.latency + ReadMaster.latency == 4
    cycle, last_beat, valid = 0, None, None
    beats = max(1, 2 * INSTRUCTION_BYTES // c.data_bytes)  # until the LOAD behind PROGRAM is complete
    while valid is None:
        await ReadOnly()
        beats -= int(dut.m_axi_rvalid.value) & int(dut.m_axi_rready.value)
        last_beat = cycle if beats == 0 and last_beat is None else last_beat
        valid = cycle if dut.fetch_o_0_valid.value == 1 else None
        await RisingEdge(dut.clk)
        cycle += 1
    # Behind PROGRAM, which stays for two cycles more, and may be in the same beat.
    behind = 3 if c.data_bytes > 64 else 2
    assert valid - last_beat == ReadMaster.beat_latency + FetchUnit.beat_latency + behind
    await wait_for(dut, lambda: fetch.finished, "program")
    cycles = fetch.sinks[Unit.LOAD].cycles
    steps = [b - a for a, b in itertools.pairwise(cycles)]
    if c.read_bursts >= 16 and c.data_bytes < 64:  # enough bursts under way to hide the memory's latency
        assert set(steps) == {1 + INSTRUCTION_BYTES // c.data_bytes}
    else:
        assert min(steps) == 1 + max(1, INSTRUCTION_BYTES // c.data_bytes)


@cocotb.test()
async def errors(dut):
    generator = random.Random(3)
    memory = await set_up(dut, TIMINGS["random"], SIZE)
    body = random_body(generator, 10)
    illegal = [bytes([code]) + bytes(63) for code in (0x00, 0x01, 0x03, 0x11, 0x21, 0x35, 0x42, 0x50, 0xF0)]
    cases = [
        (program_of(body, magic=PROGRAM_MAGIC ^ 1 << 31), {}, (ErrorCode.BAD_MAGIC, 0)),
        ([body[0], *program_of(body)], {}, (ErrorCode.BAD_MAGIC, 0)),
        (program_of(body, change_hash=1 << 63), {}, (ErrorCode.WRONG_HASH, 0)),
        (program_of(body, change_hash=1), {}, (ErrorCode.WRONG_HASH, 0)),
        *(
            (program_of([*body[:k], word, *body[k:]]), {}, (ErrorCode.ILLEGAL_OPCODE, k + 1))
            for k, word in enumerate(illegal)
        ),
        (program_of(body, end=False), {}, (ErrorCode.TRUNCATED, 11)),
        (program_of(body, count=5), {}, (ErrorCode.TRUNCATED, 5)),
        (program_of(body, count=0), {}, (ErrorCode.TRUNCATED, 1)),
        (program_of(body), {"size": 64 * 7 + 63}, (ErrorCode.TRUNCATED, 7)),
        (program_of(body), {"size": 0}, (ErrorCode.TRUNCATED, 0)),
        (program_of(body), {"offset": 32}, (ErrorCode.MEMORY_ADDRESS, 0)),
        (program_of(body), {"offset": SIZE - 64 * 12, "size": 64 * 13}, (ErrorCode.MEMORY_ADDRESS, 0)),
        (program_of(body), {"offset": 64, "size": 0xFFFFFFC0}, (ErrorCode.MEMORY_ADDRESS, 0)),
    ]
    for program, place, (code, index) in cases:
        fetch = Fetch(dut, memory, "random")
        arguments = {"offset": 128} | place
        await fetch.begin(program, **arguments)
        await wait_for(dut, lambda: fetch.errors, f"{code.name} {index}", 2000)  # noqa: B023
        await wait_for(dut, lambda: dut.idle.value == 1, "idle", 2000)
        await ClockCycles(dut.clk, 10)
        assert memory.quiet
        assert fetch.errors == [(code, index)] and not fetch.finished, (code, index, fetch.errors)
        assert fetch.issued() == expected_of(program[:index]), (code, index)
        fetch.stop()
        await reset(dut)
    # A program that ends exactly at the end of the memory, with a count that is too large, is legal.
    fetch = Fetch(dut, memory)
    program = program_of(body, count=1000)
    await fetch.begin(program, SIZE - 64 * len(program))
    await wait_for(dut, lambda: fetch.finished, "legal program", 2000)
    assert not fetch.errors and fetch.issued() == expected_of(program)
    memory.check()


@cocotb.test()
@cocotb.parametrize(response=[SLVERR, DECERR])
async def bus_errors(dut, response):
    """Only an instruction that is reached can be an error: beats behind END may answer anything."""
    c = config()
    memory = await set_up(dut, TIMINGS["random"], SIZE)
    program = program_of(random_body(random.Random(4), 10))
    for bad, end in ((6, 11), (0, 11), (14, 11)):
        fetch = Fetch(dut, memory)
        memory.read_errors = {(64 * bad + 63) // c.data_bytes * c.data_bytes: response}
        await fetch.begin(program, 0, 64 * 16)
        await wait_for(dut, lambda: fetch.errors or fetch.finished, "end", 2000)  # noqa: B023
        if bad > end:
            assert fetch.finished and not fetch.errors
        else:
            code = ErrorCode.READ_SLVERR if response == SLVERR else ErrorCode.READ_DECERR
            first = bad * 64 // c.data_bytes * c.data_bytes // 64  # the first one in the bad beat
            assert fetch.errors == [(code, first)]
            assert fetch.issued() == expected_of(program[:first])
        await wait_for(dut, lambda: dut.idle.value == 1, "idle", 500)
        fetch.stop()
        await reset(dut)
    memory.check()


@cocotb.test()
@cocotb.parametrize(timing=["random", "slow"], drain=[True, False])
async def reset_and_restart(dut, timing, drain):
    """Resets at many moments, whether bursts have ended or not; beats of bursts of before are thrown away."""
    memory = await set_up(dut, TIMINGS[timing], SIZE)
    program = program_of(random_body(random.Random(5), 40))
    under_way = 0
    for delay in (1, 2, 4, 17, 60, 130):
        fetch = Fetch(dut, memory, "random")
        await fetch.begin(program, 192)
        await ClockCycles(dut.clk, delay)
        dut.halt.value = 1
        if drain:
            await wait_for(dut, lambda: dut.idle.value == 1, "idle", 2000)
            assert memory.quiet and dut.m_axi_arvalid.value == 0
        asked = len(memory.read_bursts) + int(dut.m_axi_arvalid.value)
        await ClockCycles(dut.clk, 30 if drain else 1)
        assert len(memory.read_bursts) <= asked
        fetch.stop()
        await reset(dut)
        under_way += not memory.quiet
        fetch = Fetch(dut, memory)
        await fetch.begin(program, 192)
        await wait_for(dut, lambda: fetch.finished, "program after reset")  # noqa: B023
        assert fetch.issued() == expected_of(program) and not fetch.errors
        await RisingEdge(dut.clk)
        fetch.stop()
    assert drain or under_way >= 2
    memory.check()
