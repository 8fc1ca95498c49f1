"""The race detector: silent on compiled programs, loud as soon as one of their semaphores is taken away."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.networks import small_network
from triovit.compiler import compile_network
from triovit.compiler.schedule.synchronize import SEMAPHORE_NAMES
from triovit.hdl.config.accelerator import PRESETS
from triovit.hdl.isa.instructions import PROGRAM_MAGIC, Instruction
from triovit.hdl.isa.names import Buffer, Destination, Opcode
from triovit.machine.functional import FunctionalSimulator
from triovit.machine.races import RaceError

# Buffers so small that every place is used again and again.
TINY = dataclasses.replace(
    PRESETS["trio-tiny"],
    feature_bytes=4096,
    output_bytes=2048,
    weight_bytes=2048,
    parameter_bytes=2048,
    attention_bytes=512,
)
PROGRAM = compile_network(small_network(2, size=18), TINY, trace=True)
WAITS = [
    (index, semaphore)
    for index, i in enumerate(PROGRAM.instructions)
    for semaphore in SEMAPHORE_NAMES
    if i.wait >> semaphore & 1
]


def run(instructions):
    program = dataclasses.replace(PROGRAM, instructions=tuple(instructions))
    FunctionalSimulator(TINY, program.image(), program.core_stride, check_overlap=True).run()


def without(wait: tuple[int, int]) -> list[Instruction]:
    """The program without one wait and without the signal that it takes."""
    index, semaphore = wait
    number = [w for w in WAITS if w[1] == semaphore].index(wait)
    giver = [i for i, instruction in enumerate(PROGRAM.instructions) if instruction.signal >> semaphore & 1][number]
    result = list(PROGRAM.instructions)
    for at, name in ((index, "wait"), (giver, "signal")):
        fields = dict(result[at].fields)
        fields[name] &= ~(1 << semaphore)
        result[at] = Instruction(result[at].opcode, fields)
    return result


def test_compiled_program_is_free_of_races():
    run(PROGRAM.instructions)


def test_every_kind_of_semaphore_is_in_use():
    used = {SEMAPHORE_NAMES[semaphore] for _, semaphore in WAITS}
    assert {
        "LOAD_RMAC",
        "RMAC_STORE",
        "MAT_STORE",
        "STORE_LOAD",
        "RMAC_LOAD",
        "RMAC_MAT",
        "MAT_MAT",
        "MAT_LOAD",
    } <= used


@pytest.mark.parametrize("seed", range(4))
def test_no_wait_is_superfluous(seed):
    """Each wait of a compiled program is needed: without it the detector finds the race."""
    rng = np.random.default_rng(seed)
    chosen = [WAITS[i] for i in rng.choice(len(WAITS), 8, replace=False)]
    for semaphore in {s for _, s in WAITS}:  # and every kind of semaphore at least once
        chosen.append(next(w for w in WAITS[seed * 7 :] + WAITS if w[1] == semaphore))
    for wait in chosen:
        with pytest.raises(RaceError):
            run(without(wait))


# ---- hand-written programs ----
def machine(instructions: list[Instruction]) -> FunctionalSimulator:
    start = Instruction(
        Opcode.PROGRAM, {"magic": PROGRAM_MAGIC, "hash": TINY.hash, "instructions": len(instructions) + 2}
    )
    data = b"".join(i.encode() for i in (start, *instructions, Instruction(Opcode.END, {})))
    memory = np.zeros(1 << 16, dtype=np.uint8)
    memory[: len(data)] = np.frombuffer(data, dtype=np.uint8)
    return FunctionalSimulator(TINY, memory, 1 << 12, check_overlap=True)


def load(buffer: Buffer, local: int = 0, words: int = 16, **fields) -> Instruction:
    return Instruction(
        Opcode.LOAD,
        {"words": words, "rows": 1, "planes": 1, "local": local, "memory": 1 << 15, "buffer": int(buffer), **fields},
    )


def store(local: int = 0, words: int = 4, memory: int = 1 << 14, **fields) -> Instruction:
    return Instruction(
        Opcode.STORE, {"words": words, "rows": 1, "planes": 1, "local": local, "memory": memory, **fields}
    )


def convolution(opcode: Opcode = Opcode.RMAC_CONV, **fields) -> Instruction:
    """One step on one pixel: word 0 of A, weights 0..3, records 0..15, result to word 0 of O."""
    one = dict.fromkeys(("groups", "rows", "cols", "kernel_rows", "kernel_cols", "blocks"), 1)
    return Instruction(opcode, {**one, "destination": int(Destination.O), **fields})


def race(*instructions: Instruction) -> RaceError:
    with pytest.raises(RaceError) as error:
        machine(list(instructions)).run()
    return error.value


OPERANDS = [load(Buffer.A), load(Buffer.B), load(Buffer.P, signal=1)]


def test_one_signal_covers_all_earlier_loads():
    machine([*OPERANDS, convolution(wait=1, signal=2), store(wait=2, words=1)]).run()


def test_reading_what_a_load_brings():
    error = race(load(Buffer.A), load(Buffer.B, signal=1), load(Buffer.P), convolution(wait=1))
    assert (error.kind, error.space, error.first, error.second) == ("reading what is written", "P", 3, 4)


def test_overwriting_what_is_read():
    error = race(*OPERANDS, convolution(wait=1), load(Buffer.A))
    assert (error.kind, error.space, error.first, error.second) == ("overwriting what is read", "A", 4, 5)
    machine([*OPERANDS, convolution(wait=1, signal=2), load(Buffer.A, wait=2)]).run()


def test_overwriting_results():
    error = race(*OPERANDS, convolution(wait=1), load(Buffer.O))
    assert (error.kind, error.space) == ("overwriting", "O")


def test_memory_between_store_and_load():
    both = [*OPERANDS, convolution(wait=1, signal=2)]
    error = race(*both, store(wait=2, words=1), load(Buffer.A, local=64, words=1, memory=1 << 14))
    assert (error.kind, error.space) == ("reading what is written", "memory")
    machine([*both, store(wait=2, words=1, signal=4), load(Buffer.A, local=64, words=1, memory=1 << 14, wait=4)]).run()


def test_results_of_the_same_unit():
    """A unit starts before its last results are written: reading them needs a semaphore even in program order."""
    second = {"source": 1, "out_base": 8}
    error = race(*OPERANDS, convolution(wait=1), convolution(**second))
    assert (error.kind, error.space, error.first, error.second) == ("reading what is written", "O", 4, 5)
    machine([*OPERANDS, convolution(wait=1, signal=8), convolution(wait=8, **second)]).run()


def test_order_through_a_third_unit():
    """LOAD, R-MAC, STORE, then a LOAD that waits only for STORE: the R-MAC is done as well."""
    machine([*OPERANDS, convolution(wait=1, signal=2), store(wait=2, words=1, signal=4), load(Buffer.A, wait=4)]).run()


def test_a_semaphore_with_two_givers_proves_less():
    """A token may come from either unit, so the first one proves nothing and the second one both."""
    tables = [load(Buffer.A), load(Buffer.B), load(Buffer.C), load(Buffer.P, signal=3)]
    mat = convolution(Opcode.MAT_CONV, wait=2, signal=4, out_base=1)
    rmac = convolution(wait=1, signal=4)
    error = race(*tables, rmac, mat, load(Buffer.O, wait=4))
    assert (error.kind, error.space) == ("overwriting", "O")
    machine([*tables, rmac, mat, load(Buffer.A, local=64, wait=4), load(Buffer.O, wait=4)]).run()


def test_joint_convolution_and_its_join():
    """MAT's results come with the MAT_JOIN's signal, not with the convolution's."""
    tables = [load(Buffer.A), load(Buffer.B), load(Buffer.C), load(Buffer.P, words=32, signal=1)]
    joint = convolution(joint=1, wait=1, out_group=1, signal=2)
    machine([*tables, joint, Instruction(Opcode.MAT_JOIN, {"signal": 4}), store(wait=6, words=2)]).run()
    error = race(*tables, joint, Instruction(Opcode.MAT_JOIN, {"signal": 4}), store(wait=2, words=2))
    assert (error.space, error.word, error.first) == ("O", 1, 6)


def test_reading_what_was_never_written():
    error = race(load(Buffer.B), load(Buffer.P, signal=1), convolution(wait=1))
    assert (error.kind, error.space) == ("reading what nobody has written", "A")
