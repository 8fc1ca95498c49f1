"""A fifth unit, added by its entry alone: queue, semaphores, buffers, post-processing, completion, counters, events."""

import numpy as np
import pytest

from tests.hdl.compute.copy_engine import CONSTANT, COPY, PIPELINE, Further, copy
from tests.sim.configurations import TINY
from triovit.hdl.compute.engines import computing, pipelines_of
from triovit.hdl.config.engines import engines_of, semaphores
from triovit.hdl.generate import emit_accelerator
from triovit.hdl.isa.instructions import PROGRAM_MAGIC, Instruction
from triovit.hdl.isa.names import Buffer, ErrorCode, Opcode, Unit
from triovit.hdl.isa.registers import register_map
from triovit.sim.rtl.simulation import EVENT_DONE, EVENT_START, RtlSimulation

PIPELINES = (*pipelines_of(TINY), PIPELINE)
ENGINES = (*(engine for engine in engines_of(TINY) if not engine.computes), *computing(PIPELINES))
NUMBERS = semaphores(ENGINES)
REGISTERS = {register.name: register.offset for register in register_map(TINY, ENGINES)}
BLOCK, WORDS = TINY.block, 48
FEATURES, WEIGHTS, RECORDS, RESULTS, SIZE = 0x1000, 0x2000, 0x3000, 0x4000, 0x8000
COPIED, MULTIPLIED = 0, 100  # first words of the results in O


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The accelerator with the fifth unit as Verilog."""
    folder = tmp_path_factory.mktemp("five")
    emit_accelerator(TINY, PIPELINES, trace=True).write(folder)
    return folder


def bit(giver, taker) -> int:
    return 1 << NUMBERS[giver, taker]


def move(opcode: Opcode, words: int, memory: int, local: int = 0, **fields: int) -> bytes:
    shape = {"words": words, "rows": 1, "planes": 1, "memory": memory, "local": local}
    return Instruction(opcode, shape | fields).encode()


def body(in_base: int = 0) -> list[bytes]:
    """The copy and a convolution by the unit matrix on R-MAC, both on the same features at the same time."""
    convolution = {
        **dict.fromkeys(("groups", "rows", "kernel_rows", "kernel_cols", "blocks", "destination"), 1),
        "cols": WORDS, "out_base": MULTIPLIED, "wait": bit(Unit.LOAD, Unit.RMAC), "signal": bit(Unit.RMAC, Unit.STORE),
    }  # fmt: skip
    ready = bit(Unit.LOAD, Unit.RMAC) | bit(Unit.LOAD, Further.COPY)
    return [
        move(Opcode.LOAD, BLOCK, WEIGHTS, buffer=Buffer.B),
        move(Opcode.LOAD, 16, RECORDS, buffer=Buffer.P),
        move(Opcode.LOAD, WORDS, FEATURES, buffer=Buffer.A, signal=ready),
        copy(
            in_base=in_base, cols=WORDS, out_base=COPIED, destination=1,
            wait=bit(Unit.LOAD, Further.COPY), signal=bit(Further.COPY, Unit.STORE),
        ),
        Instruction(Opcode.RMAC_CONV, convolution).encode(),
        move(Opcode.STORE, WORDS, RESULTS, COPIED, wait=bit(Further.COPY, Unit.STORE)),
        move(Opcode.STORE, WORDS, RESULTS + WORDS * BLOCK, MULTIPLIED, wait=bit(Unit.RMAC, Unit.STORE)),
    ]  # fmt: skip


def run(folder, program: list[bytes], features: np.ndarray):
    """(STATUS, ERROR, ERROR_INDEX, COPY_BUSY, RMAC_STALL), results as two arrays of words, the simulation's result."""
    head = {"magic": PROGRAM_MAGIC, "hash": TINY.hash, "instructions": len(program) + 2}
    code = b"".join([Instruction(Opcode.PROGRAM, head).encode(), *program, Instruction(Opcode.END, {}).encode()])
    record = bytes([0, 0, 0, 0, 1]) + bytes(11)  # m1 = 1: psums as they are
    simulation = RtlSimulation(folder, TINY.data_bytes, memory_bytes=SIZE)
    for place, content in (
        (0, code), (FEATURES, features), (WEIGHTS, np.eye(BLOCK, dtype=np.int8)), (RECORDS, record * BLOCK),
    ):  # fmt: skip
        simulation.load(place, content)
    for name, value in {"MEMORY_SIZE": SIZE, "PROGRAM_BYTES": len(code), "CONTROL": 5}.items():
        simulation.write_register(REGISTERS[name], value)
    simulation.wait_interrupt(10_000)
    names = ("STATUS", "ERROR", "ERROR_INDEX", "COPY_BUSY", "RMAC_STALL")
    registers = [simulation.read_register(REGISTERS[name]) for name in names]
    dump = simulation.dump(RESULTS, 2 * WORDS * BLOCK)
    result = simulation.execute()
    copied, multiplied = result[dump].view(np.int8).reshape(2, WORDS, BLOCK)
    return [result[handle] for handle in registers], copied, multiplied, result


def test_it_runs_beside_the_others(folder):
    features = np.random.default_rng(1).integers(-128, 128, (WORDS, BLOCK), dtype=np.int8)
    registers, copied, multiplied, result = run(folder, body(), features)
    assert registers[:3] == [0b1010, ErrorCode.NONE, 0]
    assert np.array_equal(copied, np.clip(features.astype(int) + CONSTANT, -128, 127))
    assert np.array_equal(multiplied, features)
    # Its events carry its number, which the harness has from the map; it waited for the LOADs, STORE for it.
    (start,), (done,) = result.events_of("copy", EVENT_START), result.events_of("copy", EVENT_DONE)
    loads, stores = result.events_of("load", EVENT_DONE), result.events_of("store", EVENT_START)
    assert start[1] == done[1] == 4 and loads[-1, 0] < start[0] < done[0] < stores[0, 0]
    assert set(result.events["unit"]) == {0, 1, 2, 3, Further.COPY}
    # Both wanted A, one word per cycle each: the R-MAC went first, the copy did what was left.
    (multiplying,) = result.events_of("rmac", EVENT_DONE)
    assert registers[3] >= WORDS and done[0] > multiplying[0] > start[0]


def test_its_error_stops_the_machine(folder):
    registers, *_ = run(folder, body(in_base=TINY.feature_words - WORDS + 1), np.zeros((WORDS, BLOCK), np.int8))
    assert registers[0] & 0b110 == 0b100 and registers[1:3] == [ErrorCode.LOCAL_ADDRESS, 4]


def test_its_instructions_are_illegal_without_it(tmp_path):
    emit_accelerator(TINY, trace=True).write(tmp_path)
    registers, *_ = run(tmp_path, body(), np.zeros((WORDS, BLOCK), np.int8))
    assert registers[0] & 0b110 == 0b100 and registers[1:3] == [ErrorCode.ILLEGAL_OPCODE, 4]


def test_its_counters_follow_those_of_its_kind():
    names = [name for name, offset in REGISTERS.items() if 0x058 <= offset < 0x100]
    assert names == [
        "LOAD_BUSY", "STORE_BUSY", "RMAC_BUSY", "MAT_BUSY", "COPY_BUSY", "RMAC_STALL", "MAT_STALL", "COPY_STALL",
        "BEATS_READ", "BEATS_WRITTEN",
    ]  # fmt: skip
    assert COPY in ENGINES
