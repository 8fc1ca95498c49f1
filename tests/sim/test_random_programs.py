"""Random compute programs on the RTL and on the functional simulator: the same memory afterwards."""

from collections import Counter

import numpy as np
import pytest

from tests.sim.configurations import BROAD, FOUR, NARROW, ODD, PAIR, PORTS, TINY, WIDE, WIDEST
from tests.sim.host import DONE, Host
from tests.sim.random_programs import RandomProgram, random_program
from triovit.hdl.isa.instructions import Instruction
from triovit.hdl.isa.names import ErrorCode, Opcode, PostMode
from triovit.sim.rtl.simulation import MemoryModel

# Slow memory lets the engines idle, fast memory brings loads, stores and both engines to the same ports.
TIMINGS = (
    MemoryModel(read_latency=1, write_latency=1),
    MemoryModel(read_latency=60, write_latency=20, outstanding=4),
    MemoryModel(read_latency=9, stall_probability=0.3, seed=2),
)
CONFIGURATIONS = {
    "tiny": (TINY, 240), "pair": (PAIR, 45), "narrow": (NARROW, 20), "broad": (BROAD, 20), "wide": (WIDE, 30),
    "odd": (ODD, 60), "widest": (WIDEST, 12), "ports": (PORTS, 45), "four": (FOUR, 20),
}  # fmt: skip


def programs_of(configuration: str) -> list[RandomProgram]:
    config, count = CONFIGURATIONS[configuration]
    return [random_program(config, seed) for seed in range(count)]


def run_all(programs: list[RandomProgram]):
    """Outcomes on one machine, without a reset in between."""
    host = Host(programs[0].config, memory_bytes=1 << 20)
    for number, program in enumerate(programs):
        host.simulation.set_memory(TIMINGS[number * len(TIMINGS) // len(programs)])
        host.run(program.memory, program.program_bytes, program.core_stride)
    return host.execute()


@pytest.mark.parametrize(
    "configuration",
    [pytest.param(name, marks=pytest.mark.slow) if name == "widest" else name for name in CONFIGURATIONS],
)
def test_rtl_and_functional_simulator_agree(configuration):
    programs = programs_of(configuration)
    outcomes = run_all(programs)
    for seed, (program, outcome) in enumerate(zip(programs, outcomes, strict=True)):
        expected = program.expected(check_overlap=seed < 40)  # the generator's own semaphores are checked, too
        assert (outcome.error, outcome.status) == (ErrorCode.NONE, DONE), seed
        different = np.flatnonzero(outcome.memory != expected)
        assert not different.size, f"seed {seed}: {different.size} bytes differ from {different[0]} on"
    if configuration == "tiny":  # both engines had to wait for ports
        assert sum(o.counters["RMAC_STALL"] > 20 for o in outcomes) > 100
        assert sum(o.counters["MAT_STALL"] > 20 for o in outcomes) > 100


def test_the_programs_use_everything():
    """Every opcode with every mode, destination, source and flag that it can have."""
    seen = Counter()
    for program in programs_of("tiny"):
        for i in program.instructions:
            seen[i.opcode] += 1
            if i.opcode >= Opcode.RMAC_CONV and i.opcode != Opcode.MAT_JOIN:
                seen[i.opcode, "mode", i.mode] += 1
                seen[i.opcode, "destination", i.destination] += 1
                for name in ("relu", "stride", "source", "joint", "stationary", "residual"):
                    seen[i.opcode, name, getattr(i, name)] += 1
    assert all(seen[opcode] >= 60 for opcode in Opcode), seen
    convolutions = (Opcode.RMAC_CONV, Opcode.MAT_CONV)
    modes = (PostMode.LINEAR, PostMode.HARDSWISH, PostMode.WIDE)
    for opcode in (*convolutions, Opcode.RMAC_DEPTHWISE, Opcode.RMAC_ROW_SUM, Opcode.RMAC_LAYER_NORM):
        wanted = [("mode", mode) for mode in modes] + [("destination", d) for d in (1, 2, 3)]
        wanted += [(name, value) for name in ("relu", "residual") for value in (0, 1)]
        if opcode in convolutions:
            wanted += [("mode", PostMode.DIVIDE), ("mode", PostMode.LOG2), ("source", 1), ("stride", 1)]
            wanted += [("destination", d) for d in (8, 9, 10, 11)]
        missing = [want for want in wanted if not seen[opcode, *want]]
        assert not missing, (opcode, missing)
    assert seen[Opcode.RMAC_CONV, "joint", 1] and seen[Opcode.MAT_CONV, "stationary", 1]
    assert seen[Opcode.RMAC_DEPTHWISE, "stride", 1] and seen[Opcode.RMAC_OUTER, "relu", 1]
    assert all(seen[opcode, "destination", 4] for opcode in (Opcode.RMAC_OUTER, Opcode.RMAC_ROW_SUM))


def changed(instruction: Instruction, name: str, value: int) -> bytes:
    return Instruction(instruction.opcode, instruction.fields | {name: value}).encode()


def test_dumps_would_show_a_wrong_result():
    """One random record, changed, changes what a program leaves in memory."""

    def convolutions(program: RandomProgram) -> list[int]:
        return [k for k, i in enumerate(program.instructions) if i.opcode == Opcode.RMAC_CONV]

    seed = next(seed for seed in range(20) if convolutions(random_program(TINY, seed)))
    program, other = random_program(TINY, seed), random_program(TINY, seed)
    number = convolutions(program)[0]
    code = changed(program.instructions[number], "parameters", program.instructions[number].parameters + 1)
    other.memory[64 * number : 64 * number + 64] = np.frombuffer(code, np.uint8)
    assert np.any(other.expected()[1 << 14 :] != program.expected()[1 << 14 :])
