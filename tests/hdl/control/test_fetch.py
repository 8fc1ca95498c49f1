import random

import pytest
from amaranth.sim import Simulator

from tests.hdl.dma.dma import CONFIGS, DMA
from tests.sim.configurations import CHECKED
from triovit.hdl.control.fetch import FetchUnit
from triovit.hdl.isa.instructions import INSTRUCTION_BYTES, PROGRAM_MAGIC, Instruction
from triovit.hdl.isa.names import ErrorCode, Opcode
from triovit.sim.bench import run_bench


@pytest.mark.parametrize("config", ["tiny", "core", "wide", "widest"])
def test_bench(config):
    run_bench(DMA(CONFIGS[config]), "tests.hdl.control.bench_fetch", name="dma", parameters={"config": config})


PROGRAM = [
    Instruction(Opcode.PROGRAM, {"magic": PROGRAM_MAGIC, "hash": CHECKED.hash, "instructions": 4}),
    Instruction(Opcode.LOAD, {"words": 7, "rows": 1, "planes": 1, "memory": 0x1230}),
    Instruction(Opcode.STORE, {"words": 7, "rows": 1, "planes": 1, "memory": 0x4560}),
    Instruction(Opcode.END, {}),
]


def fetch_all(programs):
    """How FETCH ends with each program's bytes: ("done",), ("damaged", index) or (code, index), and what it issued."""
    dut, outcomes = FetchUnit(CHECKED), []
    beat = CHECKED.data_bytes

    async def bench(ctx):
        ctx.set(dut.memory.size, 1 << 16)
        ctx.set(dut.semaphores.available, 1)
        ctx.set(dut.units_idle, 1)
        ctx.set(dut.ar.ready, 1)
        for queue in dut.o:
            ctx.set(queue.ready, 1)
        ctx.set(dut.program_bytes, len(PROGRAM) * INSTRUCTION_BYTES)
        for code in programs:
            ctx.set(dut.start, 1)
            beats, issued, ending, told = [], [], None, 0
            for _ in range(90):
                ctx.set(dut.r.valid, bool(beats))
                if beats:
                    ctx.set(dut.r.payload.data, int.from_bytes(code[beats[0] : beats[0] + beat], "little"))
                    beats.pop(0)
                issued += [ctx.get(queue.payload.index) for queue in dut.o if ctx.get(queue.valid)]
                told += ctx.get(dut.damaged)
                if ctx.get(dut.damaged):
                    ending = ("damaged", ctx.get(dut.index))
                elif ctx.get(dut.error.valid):
                    ending = (ErrorCode(ctx.get(dut.error.code)), ctx.get(dut.error.index))
                elif ctx.get(dut.finished):
                    ending = ("done",)
                if ctx.get(dut.ar.valid):
                    first, count = ctx.get(dut.ar.payload.address), ctx.get(dut.ar.payload.length) + 1
                    beats += range(first, first + count * beat, beat)
                await ctx.tick()
                ctx.set(dut.start, 0)
            assert told == (ending[0] == "damaged")  # once
            outcomes.append((ending, issued))
            reset = ctx.get(dut.error.code)  # a failed unit is reset by its own domain
            assert reset is not None

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return outcomes


def test_a_whole_program():
    code = b"".join(instruction.encode() for instruction in PROGRAM)
    assert fetch_all([code, code]) == [(("done",), [1, 2])] * 2


def flipped(bit: int) -> bytes:
    code = int.from_bytes(b"".join(instruction.encode() for instruction in PROGRAM), "little")
    return (code ^ 1 << bit).to_bytes(len(PROGRAM) * INSTRUCTION_BYTES, "little")


@pytest.mark.parametrize("index", range(4))
def test_flipped_bits_of_an_instruction(index):
    """Of the magic number or PROGRAM's opcode it is a program no more; any other one is told with its instruction, and
    nothing from there on is issued."""
    generator, first = random.Random(index), 8 * INSTRUCTION_BYTES * index
    low, high = (8 + 16 + 32 + 32) // 8 * 8, 88 + 32
    bits = {first, first + 7, first + 8, first + 504, first + 511, *generator.sample(range(first, first + 512), 12)}
    for bit in sorted(bits):
        magic = index == 0 and (bit < 8 or low <= bit < high)
        ((ending, issued),) = fetch_all([flipped(bit)])
        assert ending == ((ErrorCode.BAD_MAGIC, 0) if magic else ("damaged", index)), bit
        assert issued == [k for k in (1, 2) if k < index]
