"""The functional simulator refuses what the machine refuses."""

from __future__ import annotations

import contextlib
import dataclasses

import numpy as np
import pytest

from tests.networks import NetworkBuilder
from triovit.compiler import compile_network
from triovit.hdl.config.accelerator import PRESETS
from triovit.hdl.isa.instructions import Instruction, field_offsets
from triovit.hdl.isa.names import Buffer, ErrorCode, Opcode
from triovit.hdl.isa.record import RECORD_BYTES, RECORD_DTYPE
from triovit.machine.functional import FunctionalSimulator
from triovit.machine.state import ProgramError

CONFIG = PRESETS["trio-tiny"]


def tiny_program():
    b = NetworkBuilder("tiny", (3, 6, 6), 2)
    b.conv("first", 8, 3)
    b.conv("second", 12, residual=None)
    b.conv("third", 12, residual="second")
    return compile_network(b.build(), CONFIG)


PROGRAM = tiny_program()


def find(opcode: Opcode, number: int = 0) -> int:
    return [i for i, instruction in enumerate(PROGRAM.instructions) if instruction.opcode == opcode][number]


def run(instructions=PROGRAM.instructions, config=CONFIG):
    program = dataclasses.replace(PROGRAM, instructions=tuple(instructions))
    memory = program.image()
    return FunctionalSimulator(config, memory, program.core_stride, check_overlap=True).run()


def changed(index: int, **fields):
    instructions = list(PROGRAM.instructions)
    old = instructions[index]
    instructions[index] = Instruction(old.opcode, {**old.fields, **fields})
    return instructions


def expect(code: ErrorCode, index: int, *args, **kwargs):
    with pytest.raises(ProgramError) as error:
        run(*args, **kwargs)
    assert (error.value.code, error.value.index) == (code, index)


def test_counts():
    result = run()
    assert sum(result.instructions.values()) == len(PROGRAM.instructions)
    assert not any(result.semaphores)  # the compiler signals only what somebody waits for


def test_magic_and_hash():
    expect(ErrorCode.BAD_MAGIC, 0, changed(0, magic=1))
    expect(ErrorCode.WRONG_HASH, 0, config=dataclasses.replace(CONFIG, queue_depth=5))


def test_end_is_missing():
    expect(ErrorCode.TRUNCATED, len(PROGRAM.instructions) - 1, changed(0, instructions=len(PROGRAM.instructions) - 1))


def test_addresses():
    load, store = find(Opcode.LOAD), find(Opcode.STORE)
    expect(ErrorCode.LOCAL_ADDRESS, load, changed(load, local=CONFIG.feature_words))
    expect(ErrorCode.MEMORY_ADDRESS, load, changed(load, memory=PROGRAM.memory_bytes))
    expect(ErrorCode.MEMORY_ADDRESS, load, changed(load, memory=2))
    expect(ErrorCode.MEMORY_ADDRESS, store, changed(store, memory_plane=0x7FFFFFF0, planes=2))
    convolution = find(Opcode.RMAC_CONV)
    expect(ErrorCode.LOCAL_ADDRESS, convolution, changed(convolution, out_base=CONFIG.output_words))
    expect(ErrorCode.LOCAL_ADDRESS, convolution, changed(convolution, weights=CONFIG.weight_words))
    expect(ErrorCode.LOCAL_ADDRESS, convolution, changed(convolution, in_base=CONFIG.feature_words))
    expect(ErrorCode.LOCAL_ADDRESS, convolution, changed(convolution, parameters=CONFIG.parameter_blocks))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mode": 5}, r"mode must be at most 4 \(it is 5\)"),
        ({"destination": 0}, r"destination must not be 0 \(it is 0\)"),
        (
            {"fraction_bits": 14, "stationary": 1},
            r"fraction_bits must be .* \(it is 14\), stationary must be 0 outside MAT_CONV \(it is 1\)",
        ),
    ],
)
def test_fields(fields, message):
    convolution = find(Opcode.RMAC_CONV)
    expect(ErrorCode.ILLEGAL_FIELD, convolution, changed(convolution, **fields))
    with pytest.raises(ProgramError, match=rf"ILLEGAL_FIELD: RMAC_CONV: {message}"):
        run(changed(convolution, **fields))


def test_a_wait_that_nobody_answers():
    load = find(Opcode.LOAD)
    expect(ErrorCode.WATCHDOG, load, changed(load, wait=1 << 31))


def test_too_many_signals():
    """256 tokens do not fit a semaphore of 8 bits."""
    one = {"words": 1, "rows": 1, "planes": 1, "signal": 1 << 31}
    start = Instruction(Opcode.PROGRAM, {**PROGRAM.instructions[0].fields, "instructions": 258})
    instructions = [start, *[Instruction(Opcode.LOAD, one)] * 256, Instruction(Opcode.END, {})]
    memory = np.zeros(1 << 15, dtype=np.uint8)
    data = b"".join(i.encode() for i in instructions)
    memory[: len(data)] = np.frombuffer(data, dtype=np.uint8)
    with pytest.raises(ProgramError) as error:
        FunctionalSimulator(CONFIG, memory, 0).run()
    assert (error.value.code, error.value.index) == (ErrorCode.SEMAPHORE_OVERFLOW, 256)


def test_a_join_without_its_convolution():
    join = find(Opcode.MAT_JOIN)
    instructions = [*PROGRAM.instructions[:join], *PROGRAM.instructions[join + 1 :]]
    instructions[0] = Instruction(Opcode.PROGRAM, {**instructions[0].fields, "instructions": len(instructions)})
    with pytest.raises(ProgramError, match="WATCHDOG"):
        run(instructions)


def test_a_join_may_stand_before_its_convolution():
    join = find(Opcode.MAT_JOIN)
    instructions = list(PROGRAM.instructions)
    assert instructions[join - 1].opcode == Opcode.RMAC_CONV
    instructions[join - 1], instructions[join] = instructions[join], instructions[join - 1]
    assert not any(run(instructions).semaphores)


def test_sums_beyond_the_accumulators_bits_are_refused():
    """As far as records say: the compiler would have refused the layer."""
    program = dataclasses.replace(PROGRAM, constants=PROGRAM.constants.copy())
    load = next(i for i in PROGRAM.instructions if i.opcode == Opcode.LOAD and i.buffer == Buffer.P)
    start = load.memory - program.constants_offset
    records = program.constants[start : start + RECORD_BYTES].view(RECORD_DTYPE)
    for bias, message in (
        ((1 << 26) - (1 << 16), None),
        (1 << 26, r"accumulator with its bias must lie in \[-67108864, "),
    ):
        records["bias"] = bias
        records["m1"] = 0
        simulator = FunctionalSimulator(CONFIG, program.image(), program.core_stride)
        with pytest.raises(OverflowError, match=message) if message else contextlib.nullcontext():
            simulator.run()


def test_damaged_instructions():
    """A machine with integrity refuses them, with their number; what looks like no program is told as that."""
    config = dataclasses.replace(CONFIG, integrity=True).validate()
    program = dataclasses.replace(
        PROGRAM,
        config=config,
        instructions=(PROGRAM.instructions[0].replace(hash=config.hash), *PROGRAM.instructions[1:]),
    )
    whole = program.image()
    FunctionalSimulator(config, whole.copy(), program.core_stride).run()
    magic = field_offsets(Opcode.PROGRAM)["magic"][0]
    for index, bit, code in (
        (0, magic + 3, ErrorCode.BAD_MAGIC),
        (0, 1, ErrorCode.BAD_MAGIC),
        (0, magic + 40, ErrorCode.PROGRAM_PARITY),
        (1, 0, ErrorCode.PROGRAM_PARITY),
        (3, 511, ErrorCode.PROGRAM_PARITY),
        (len(PROGRAM.instructions) - 1, 20, ErrorCode.PROGRAM_PARITY),
    ):
        memory = whole.copy()
        memory[64 * index + bit // 8] ^= 1 << bit % 8
        with pytest.raises(ProgramError) as error:
            FunctionalSimulator(config, memory, program.core_stride).run()
        assert (error.value.code, error.value.index) == (code, index)
