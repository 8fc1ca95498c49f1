"""What the benches of LOAD, STORE and FETCH share: set-up, transfer instructions, models of the on-chip side."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import replace

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from tests.hdl.bus.axi_memory import AxiMemory, Timing
from tests.hdl.dma.dma import CONFIGS
from triovit.hdl.control.errors import ERROR
from triovit.hdl.dma.ports import READ_LATENCY
from triovit.hdl.isa.instructions import Instruction, field_offsets
from triovit.hdl.isa.layouts import ISSUED
from triovit.hdl.isa.names import Buffer, ErrorCode, Opcode
from triovit.machine.partitions import Partitions
from triovit.sim.bench import StreamSource, bench_parameters, pack, stall_patterns, start, unpack

BASE = 0x1_2345_6000
TIMINGS = {
    "ideal": Timing(),
    "random": Timing(stall=0.3, latency=(1, 12), seed=5),
    "slow": Timing(stall=0.1, latency=(20, 60), seed=6, data_before_address=True),
}


def config():
    return CONFIGS[bench_parameters()["config"]]


def partitions(size: int) -> Partitions:
    """Bytes of the memories of all ports, one behind the other; size: of each."""
    return Partitions(config(), size)


async def set_up_ports(dut, timing: Timing, size=1 << 16, core_stride=0) -> list[AxiMemory]:
    """Reset the bench; returns the memory of each port, filled with random bytes."""
    await start(dut)
    c = config()
    memories = []
    for port, name in enumerate(c.masters):
        own = replace(timing, seed=timing.seed + port)
        memories.append(
            AxiMemory(
                dut, name, dut.clk, data_bytes=c.data_bytes, size=size, base=BASE + port * size, longest=c.burst_beats,
                timing=own,
            )
        )  # fmt: skip
        memories[-1].bytes[:] = random.Random(own.seed).randbytes(size)
    dut.memory_base.value = sum(memory.base << 64 * port for port, memory in enumerate(memories))
    dut.memory_size.value, dut.core_stride.value = size, core_stride
    dut.load_write_ready.value = dut.store_read_ready.value = 1
    dut.fetch_semaphores_available.value = 1
    dut.store_read_active.value = (1 << c.ports) - 1
    return memories


async def set_up(dut, timing: Timing, size=1 << 16, core_stride=0):
    """The same with one port; returns its memory."""
    (memory,) = await set_up_ports(dut, timing, size, core_stride)
    return memory


def issued(opcode: Opcode, index: int, **fields) -> int:
    """A packed ISSUED payload. Fields may have values that `encode` refuses (zero counts, unknown buffers)."""
    word = int(opcode)
    for name, value in fields.items():
        offset, width = field_offsets(opcode)[name]
        assert 0 <= value < 1 << width
        word |= value << offset
    return pack(ISSUED, {"word": word, "index": index})


def encoded(instruction: Instruction, index: int) -> int:
    """A packed ISSUED payload of a legal instruction."""
    return pack(ISSUED, {"word": int.from_bytes(instruction.encode(), "little"), "index": index})


def words_of(buffer: int) -> int:
    c = config()
    return {Buffer.A: c.feature_words, Buffer.O: c.output_words, Buffer.P: c.parameter_words}.get(
        buffer, c.weight_words
    )


def cores_of(buffer: int) -> int:
    return config().cores if buffer in (Buffer.A, Buffer.O) else 1


def runs_of(f: dict):
    """(core, on-chip word, memory offset) of every run of a transfer, in order; `core_stride` is a key of `f`, too.

    The offset is one of the core's partition, or of the stripes.
    """
    for core in range(cores_of(f["buffer"])):
        for plane in range(f["planes"]):
            for row in range(f["rows"]):
                local = f["local"] + plane * f["local_plane"] + row * f["local_row"]
                memory = f["memory"] + plane * f["memory_plane"] + row * f["memory_row"]
                memory += core % config().port_cores * f["core_stride"]
                yield core, local, memory


def random_transfer(generator: random.Random, buffer: int, size: int, core_stride: int, longest: int) -> dict:
    """A legal transfer: short and long runs, any alignment, sometimes up to the very end of the buffer or the memory.

    Runs of one transfer do not overlap.
    """
    c = config()
    words = generator.choice((1, 1, 2, 3, generator.randint(1, 2 * c.beat_words + 3), generator.randint(1, longest)))
    rows, planes = generator.randint(1, 4), generator.randint(1, 3)
    f = {"buffer": buffer, "words": words, "rows": rows, "planes": planes, "core_stride": core_stride}
    # One core's part of the memory, or the stripes, in words; size: of a partition.
    room = (core_stride or size) if c.port_cores > 1 else size
    room = (room if cores_of(buffer) > 1 or buffer in (Buffer.A, Buffer.O) else c.ports * size) // c.block
    for where, total in (("local", words_of(buffer)), ("memory", room)):
        row = words + generator.randint(0, 5)
        plane = (rows - 1) * row + words + generator.randint(0, 9)
        last = (planes - 1) * plane + (rows - 1) * row + words
        assert last <= total
        first = generator.choice((0, total - last, generator.randint(0, total - last)))
        scale = 1 if where == "local" else c.block
        f |= {where: first * scale, f"{where}_row": row * scale, f"{where}_plane": plane * scale}
    return f


def instruction(opcode: Opcode, f: dict, signal: int = 0) -> Instruction:
    names = [name for name in f if name != "core_stride" and (name != "buffer" or opcode is Opcode.LOAD)]
    return Instruction(opcode, {name: f[name] for name in names} | {"signal": signal})


def source(dut, unit: str, seed=0, pattern="none") -> StreamSource:
    return StreamSource(dut, f"{unit}_i", dut.clk, stall_patterns(seed)[pattern])


class Monitor:
    """Logs strobes of a unit: starts, dones with their signal, errors; counts beats on its side of the bus."""

    def __init__(self, dut, unit: str):
        self.dut, self.unit = dut, unit
        self.started: list[int] = []
        self.done: list[tuple[int, int]] = []  # index, signal
        self.errors: list[tuple[ErrorCode, int]] = []
        self.beats = 0
        cocotb.start_soon(self._run())

    def _value(self, name):
        return int(getattr(self.dut, f"{self.unit}_{name}").value)

    async def _run(self):
        while True:
            await ReadOnly()
            if self.dut.rst.value == 0:
                self.beats += int(self.dut.write_beat.value if self.unit == "store" else self.dut.read_beat.value)
                if self._value("trace_start"):
                    self.started.append(self._value("trace_start_index"))
                if self._value("trace_done"):
                    self.done.append((self._value("trace_done_index"), self._value("signal")))
                elif self._value("signal"):
                    self.errors.append((None, "signal without done"))
                error = unpack(ERROR, self._value("error"))
                if error["valid"]:
                    self.errors.append((ErrorCode(error["code"]), error["index"]))
            await RisingEdge(self.dut.clk)


class Buffers:
    """The buffers behind LOAD's write port: `contents[buffer][core]`, words as integers, -1 where none was written."""

    def __init__(self, dut, stall):
        self.dut, self.stall = dut, stall
        self.contents = {b: [[-1] * words_of(b) for _ in range(cores_of(b))] for b in Buffer}
        self.cycles: list[int] = []
        self.errors: list[str] = []
        cocotb.start_soon(self._run())

    async def _run(self):
        c, dut, cycle = config(), self.dut, 0
        names = ("buffer", "core", "address", "data", "mask")
        waiting = None
        while True:
            ready = not self.stall()
            dut.load_write_ready.value = int(ready)
            await ReadOnly()
            if dut.rst.value == 0 and dut.load_write_valid.value == 1:
                write = tuple(int(getattr(dut, f"load_write_{name}").value) for name in names)
                if waiting is not None and write != waiting:
                    self.errors.append(f"the write changed from {waiting} to {write} while it waited")
                waiting = None if ready else write
                if ready:
                    self.cycles.append(cycle)
                    buffer, core, address, data, mask = write
                    own = Buffer(buffer) in (Buffer.A, Buffer.O)  # each core's: a beat for one core of each port
                    for lane in range(c.bus_words):
                        port, place = divmod(lane, c.beat_words) if own else (0, lane)
                        if mask >> place & 1:
                            memory = self.contents[Buffer(buffer)][core + port * c.port_cores]
                            memory[(address + place) % len(memory)] = data >> (8 * c.block * lane) & (
                                (1 << 8 * c.block) - 1
                            )
            elif waiting is not None and dut.reset.value == 0:
                self.errors.append("a write was withdrawn")
                waiting = None
            await RisingEdge(dut.clk)
            cycle += 1


class Results:
    """Buffer O behind STORE's read port; data is right in one cycle only, READ_LATENCY after the grant."""

    def __init__(self, dut, stall, seed=0):
        c = config()
        self.dut, self.stall = dut, stall
        generator = np.random.default_rng(seed)
        self.contents = [
            [
                int.from_bytes(word.tobytes(), "little")
                for word in generator.integers(0, 256, (c.output_words, c.block), np.uint8)
            ]
            for _ in range(c.cores)
        ]
        self.reads = 0
        self.errors: list[str] = []
        self._garbage = random.Random(seed)
        cocotb.start_soon(self._run())

    async def _run(self):
        c, dut = config(), self.dut
        word_bits, answers, waiting = 8 * c.block, deque([None] * READ_LATENCY), None
        while True:
            answer = answers.popleft()
            dut.store_read_data.value = self._garbage.getrandbits(8 * c.bus_bytes) if answer is None else answer
            ready = not self.stall()
            dut.store_read_ready.value = int(ready)
            await ReadOnly()
            answer, asked = None, None
            if dut.rst.value == 0 and dut.reset.value == 0 and dut.store_read_valid.value == 1:
                asked = int(dut.store_read_core.value), int(dut.store_read_address.value)
            if waiting is not None and asked != waiting and dut.reset.value == 0:
                self.errors.append(f"the request changed from {waiting} to {asked} while it waited")
            waiting = None if ready else asked
            if ready and asked:
                self.reads += 1
                core, address = asked
                answer = 0
                for lane in range(c.bus_words):
                    port, place = divmod(lane, c.beat_words)
                    memory = self.contents[core + port * c.port_cores]
                    answer |= memory[(address + place) % len(memory)] << word_bits * lane
            answers.append(answer)
            await RisingEdge(dut.clk)


async def wait_for(dut, condition, what: str, limit: int = 20000) -> int:
    """Cycles until `condition()` holds, looked at after each rising edge."""
    for cycle in range(limit):
        if condition():
            return cycle
        await RisingEdge(dut.clk)
    raise AssertionError(f"{what}: not within {limit} cycles")


async def reset(dut):
    """Reset the units, as the controller does in a soft reset: the masters go on, and belong to nobody meanwhile."""
    dut.halt.value, dut.reset.value = 1, 1
    for _ in range(4):
        await RisingEdge(dut.clk)
    dut.reset.value = 0
    await RisingEdge(dut.clk)
    dut.halt.value = 0
