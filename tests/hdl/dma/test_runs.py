import random

import pytest
from amaranth.sim import Simulator

from triovit.hdl.config.accelerator import PRESETS, AcceleratorConfig
from triovit.hdl.dma.runs import RunWalker
from triovit.hdl.isa.instructions import FIELD_BITS, field_offsets
from triovit.hdl.isa.names import Buffer, ErrorCode, Opcode

CONFIG = AcceleratorConfig(name="three", cores=3).validate()
PORTS = AcceleratorConfig(name="ports", cores=6, ports=2).validate()  # three cores each
STRIDE = 1 << 20


def word_of(opcode, fields) -> int:
    return int(opcode) | sum(value << field_offsets(opcode)[name][0] for name, value in fields.items())


def random_fields(generator, opcode) -> dict:
    fields = {"words": generator.randint(1, 9), "rows": generator.randint(1, 4), "planes": generator.randint(1, 3)}
    fields |= {name: generator.randint(0, 500) for name in ("local", "local_row", "local_plane")}
    fields |= {name: 8 * generator.randint(0, 5000) for name in ("memory", "memory_row", "memory_plane")}
    if opcode is Opcode.LOAD:
        fields["buffer"] = generator.choice(list(Buffer))
    return fields | {"signal": generator.getrandbits(32)}


def expected_runs(f, index):
    """What the walker offers, in order, as tuples (local, first, final, core, buffer, last, index, signal)."""
    buffer = f.get("buffer", Buffer.O)
    cores = 3 if buffer in (Buffer.A, Buffer.O) else 1
    runs = []
    for core in range(cores):
        for plane in range(f["planes"]):
            for row in range(f["rows"]):
                first = (f["memory"] + plane * f["memory_plane"] + row * f["memory_row"] + core * STRIDE) // 8
                local = f["local"] + plane * f["local_plane"] + row * f["local_row"]
                runs.append([local, first, first + f["words"] - 1, core, buffer, 0, index, f["signal"]])
    runs[-1][5] = 1
    return runs


@pytest.mark.parametrize("opcode", [Opcode.LOAD, Opcode.STORE])
@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize("config", [CONFIG, PORTS], ids=lambda config: config.name)
def test_order(config, opcode, share):
    """All runs of a list of instructions; without stalls one per cycle and a cycle between instructions, the first
    `latency` cycles after its instruction."""
    dut, generator = RunWalker(config, opcode), random.Random(1)
    instructions = [random_fields(generator, opcode) for _ in range(12)]
    expected = [run for k, f in enumerate(instructions) for run in expected_runs(f, 70 + k)]
    got, cycles, accepted = [], [], []
    names = ("local", "first", "final", "core", "buffer", "last", "index", "signal")

    async def bench(ctx):
        ctx.set(dut.core_stride, STRIDE)
        ctx.set(dut.memory_size, 1 << 24)
        sent = 0
        for cycle in range(3000):
            offer = sent < len(instructions)
            ctx.set(dut.i.valid, offer)
            if offer:
                ctx.set(dut.i.payload.word, word_of(opcode, instructions[sent]))
                ctx.set(dut.i.payload.index, 70 + sent)
            ctx.set(dut.o.ready, generator.random() < share)
            assert ctx.get(dut.error.valid) == 0
            if offer and ctx.get(dut.i.ready):
                accepted.append(cycle)
                sent += 1
            if ctx.get(dut.o.valid) and ctx.get(dut.o.ready):
                got.append([ctx.get(getattr(dut.o.payload, name)) for name in names])
                cycles.append(cycle)
            await ctx.tick()
            if len(got) == len(expected):
                break
        await ctx.tick()
        assert ctx.get(dut.active) == 0

    sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(bench)
    sim.run()
    assert got == expected
    if share == 1.0:
        gaps = [sum(run[5] for run in expected[:k]) for k in range(len(expected))]
        assert cycles[0] == accepted[0] + dut.latency
        assert cycles == [cycles[0] + k + gap for k, gap in enumerate(gaps)]


WORDS = CONFIG.words["O"]
SIZE = 1 << 24
RUN = {"words": 4, "rows": 1, "planes": 1, "local": 0, "memory": 0}
MOST = {name: (1 << FIELD_BITS[name]) - 1 for name in ("words", "local", "local_row", "local_plane")}
FARTHEST = (1 << FIELD_BITS["memory"]) - 8
# What is wrong, fields, size of the memory: runs that pass, and the error that follows.
FAULTS = [
    ("the last word of the buffer", {"local": WORDS - 4}, SIZE, 3, None),
    ("a word beyond the buffer", {"local": WORDS - 3}, SIZE, 0, ErrorCode.LOCAL_ADDRESS),
    ("the farthest words of all", {"words": MOST["words"], "local": MOST["local"]}, SIZE, 0, ErrorCode.LOCAL_ADDRESS),
    ("a row beyond", {"rows": 2, "local_row": MOST["local_row"]}, SIZE, 1, ErrorCode.LOCAL_ADDRESS),
    ("a plane beyond", {"planes": 2, "local_plane": MOST["local_plane"]}, SIZE, 1, ErrorCode.LOCAL_ADDRESS),
    ("the last byte of the memory", {"memory": SIZE - 2 * STRIDE - 32}, SIZE, 3, None),
    ("a byte beyond the memory", {"memory": SIZE - 2 * STRIDE - 32}, SIZE - 1, 2, ErrorCode.MEMORY_ADDRESS),
    ("a core beyond the memory", {"memory": SIZE - 2 * STRIDE - 24}, SIZE, 2, ErrorCode.MEMORY_ADDRESS),
    ("the farthest bytes of all", {"words": 512, "memory": FARTHEST}, SIZE, 0, ErrorCode.MEMORY_ADDRESS),
    ("a row beyond the memory", {"rows": 2, "memory_row": FARTHEST}, SIZE, 1, ErrorCode.MEMORY_ADDRESS),
    ("a plane beyond the memory", {"planes": 2, "memory_plane": FARTHEST}, SIZE, 1, ErrorCode.MEMORY_ADDRESS),
    ("no multiple of a word", {"memory": 4}, SIZE, 0, ErrorCode.MEMORY_ADDRESS),
    ("no words", {"words": 0}, SIZE, 0, ErrorCode.ILLEGAL_FIELD),
    ("no words, odd, beyond", {"words": 0, "memory": 4, "local": WORDS + 1}, SIZE, 0, ErrorCode.ILLEGAL_FIELD),
    ("an odd place beyond the buffer", {"memory": 4, "local": WORDS + 1}, SIZE, 0, ErrorCode.LOCAL_ADDRESS),
]  # fmt: skip


@pytest.mark.parametrize(
    "fields, size, runs, code", [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS]
)
def test_limits(fields, size, runs, code):
    """Runs up to the first one that leaves the buffer or the memory, exactly at its limit, and the error of that."""
    dut, got, errors = RunWalker(CONFIG, Opcode.STORE), [], []

    async def bench(ctx):
        ctx.set(dut.core_stride, STRIDE)
        ctx.set(dut.memory_size, size)
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.i.payload.word, word_of(Opcode.STORE, RUN | fields))
        ctx.set(dut.i.payload.index, 77)
        await ctx.tick()
        ctx.set(dut.i.valid, 0)
        for _ in range(20):
            if ctx.get(dut.o.valid):
                got.append(ctx.get(dut.o.payload.first))
            if ctx.get(dut.error.valid):
                errors.append((ctx.get(dut.error.code), ctx.get(dut.error.index)))
                ctx.set(dut.halt, 1)  # as the unit does, and nothing more is offered
            await ctx.tick()

    sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(bench)
    sim.run()
    assert len(got) == runs
    assert set(errors) == ({(code, 77)} if code else set())


@pytest.mark.parametrize("config", [CONFIG, PORTS], ids=lambda config: config.name)
@pytest.mark.parametrize("buffer", list(Buffer))
def test_end_of_the_memory(config, buffer):
    """A run may end with a partition, or, for a buffer that all cores share, with the stripes of all."""
    size, dut, outcomes = 1 << 14, RunWalker(config, Opcode.LOAD), {}
    end = size * (1 if buffer in (Buffer.A, Buffer.O) else config.ports)

    async def bench(ctx):
        ctx.set(dut.memory_size, size)
        ctx.set(dut.o.ready, 1)
        for beyond in (0, 8):
            fields = {"words": 4, "rows": 1, "planes": 1, "memory": end - 32 + beyond, "buffer": buffer}
            ctx.set(dut.i.payload.word, word_of(Opcode.LOAD, fields))
            ctx.set(dut.i.valid, 1)
            await ctx.tick()
            ctx.set(dut.i.valid, 0)
            await ctx.tick()
            outcomes[beyond] = ctx.get(dut.o.valid), ctx.get(dut.error.valid)
            await ctx.tick().repeat(4)

    sim = Simulator(dut)
    sim.add_clock(1e-8)
    sim.add_testbench(bench)
    sim.run()
    assert outcomes == {0: (1, 0), 8: (0, 1)}


def test_opcode():
    with pytest.raises(ValueError, match=r"opcode must be LOAD or STORE, not <Opcode\.END"):
        RunWalker(PRESETS["trio-core"], Opcode.END)
