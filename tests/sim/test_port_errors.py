"""Errors on a machine of two ports: limits of partitions and stripes, and responses that only one port gets."""

import numpy as np
import pytest

from tests.sim.broken_programs import DATA, MEMORY, NAMES, RESULT, WORDS, good_instructions
from tests.sim.configurations import PORTS
from tests.sim.host import BURSTS, BUSY, DONE, FAILED, Host
from tests.sim.random_programs import random_program
from triovit.hdl.isa.instructions import INSTRUCTION_BYTES, Instruction
from triovit.hdl.isa.names import ErrorCode
from triovit.machine.functional import FunctionalSimulator
from triovit.machine.partitions import Partitions
from triovit.machine.state import ProgramError
from triovit.sim.rtl.simulation import MemoryModel

GOOD = good_instructions(PORTS)
PARTITIONS = Partitions(PORTS, MEMORY)
SIZE, LOAD_BYTES = PORTS.ports * MEMORY, WORDS * PORTS.block
OUTSIDE = ErrorCode.MEMORY_ADDRESS
# Instruction, its memory offset, the error.
LIMITS = [
    ("load a", MEMORY - LOAD_BYTES, ErrorCode.NONE),
    ("load a", MEMORY - LOAD_BYTES + PORTS.block, OUTSIDE),
    ("load a", MEMORY, OUTSIDE),
    ("store", MEMORY - LOAD_BYTES, ErrorCode.NONE),
    ("store", MEMORY - LOAD_BYTES + PORTS.block, OUTSIDE),
    ("load b", MEMORY, ErrorCode.NONE),
    ("load b", SIZE - LOAD_BYTES, ErrorCode.NONE),
    ("load b", SIZE - LOAD_BYTES + PORTS.block, OUTSIDE),
    ("load c", SIZE, OUTSIDE),
]  # fmt: skip
# Instruction, byte of all partitions that answers with an error: the first port's and the last one's.
RESPONSES = [
    ("load a", DATA), ("load a", MEMORY + DATA), ("store", RESULT), ("store", MEMORY + RESULT + LOAD_BYTES - 1),
    ("load b", PARTITIONS.striped(GOOD["load b"].memory)),
    ("load p", PARTITIONS.striped(GOOD["load p"].memory + PORTS.data_bytes)),
    ("load p", PARTITIONS.striped(GOOD["load p"].memory + LOAD_BYTES - 1)),
]  # fmt: skip


def memory_of(**changed: Instruction) -> np.ndarray:
    """Noise with the good program at its beginning, some instructions of which are others."""
    memory = np.random.default_rng(1).integers(0, 256, SIZE, dtype=np.uint8)
    records = GOOD["load p"].memory + np.arange(LOAD_BYTES)  # their shifts have to be legal
    memory[PARTITIONS.striped(records)] = 0
    code = b"".join(instruction.encode() for instruction in (GOOD | changed).values())
    memory[: len(code)] = np.frombuffer(code, np.uint8)
    return memory


def moved(name: str, offset: int) -> np.ndarray:
    return memory_of(**{name: Instruction(GOOD[name].opcode, GOOD[name].fields | {"memory": offset})})


def test_the_functional_simulator_knows_the_limits():
    for name, offset, error in LIMITS:
        simulator = FunctionalSimulator(PORTS, moved(name, offset), 0)
        if error:
            with pytest.raises(ProgramError) as caught:
                simulator.run()
            assert (caught.value.code, caught.value.index) == (error, NAMES.index(name)), (name, offset)
        else:
            simulator.run()


def test_errors_and_recovery():
    """Code and instruction of each error; what is legal, and random programs in between, end as the model says."""
    host = Host(PORTS, MemoryModel(read_latency=5, write_latency=9, stall_probability=0.3, seed=5), 1 << 18)
    good = [random_program(PORTS, seed, segments=1) for seed in range(4)]
    bytes_, wanted = len(NAMES) * INSTRUCTION_BYTES, []

    def end(memory: np.ndarray, error: ErrorCode, name: str) -> None:
        host.run(memory, bytes_, soft_reset=True)
        host.simulation.clear_errors()
        program = good[len(wanted) % 4]
        host.run(program.memory, program.program_bytes, program.core_stride)
        wanted.append((memory, error, name, program))

    for name, offset, error in LIMITS:
        end(moved(name, offset), error, name)
    for response in ("SLVERR", "DECERR"):
        for name, address in RESPONSES:
            direction = "write" if name == "store" else "read"
            host.simulation.inject_error(direction, address, 1, response)
            end(memory_of(), ErrorCode[f"{direction.upper()}_{response}"], name)
    outcomes = host.execute()
    for (memory, error, name, program), outcome, after in zip(wanted, outcomes[::2], outcomes[1::2], strict=True):
        assert (outcome.error, outcome.index) == (error, NAMES.index(name) if error else 0)
        assert outcome.status & ~(BUSY | BURSTS) == (FAILED if error else DONE) and outcome.after_reset == 0
        assert (after.error, after.status) == (ErrorCode.NONE, DONE)
        assert np.array_equal(after.memory, program.expected())
        if not error:
            FunctionalSimulator(PORTS, memory, 0).run()
            assert np.array_equal(outcome.memory, memory)
