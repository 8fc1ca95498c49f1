"""Every error ends in its code, the instruction's number and an interrupt, and a soft reset makes the machine whole."""

import numpy as np
import pytest

from tests.sim.broken_programs import MEMORY, broken_programs, good_instructions
from tests.sim.configurations import TINY
from tests.sim.host import BURSTS, BUSY, DONE, FAILED, Host
from tests.sim.random_programs import random_program
from triovit.hdl.isa.names import INTEGRITY_ERRORS, ErrorCode
from triovit.machine.functional import FunctionalSimulator
from triovit.machine.state import ProgramError
from triovit.sim.rtl.simulation import MemoryModel

CASES = broken_programs(TINY)
SEEDS = range(6)
TIMINGS = {
    "quick": MemoryModel(read_latency=8, write_latency=2),
    "stalls": MemoryModel(read_latency=5, write_latency=9, stall_probability=0.3, seed=5, base=0x1_2345_6000),
}


def test_every_error_has_a_case():
    elsewhere = {
        ErrorCode.BUS_PROTOCOL,
        ErrorCode.BUS_TIMEOUT,
        *INTEGRITY_ERRORS,
    }  # test_bus_faults.py, test_integrity.py
    assert {case.error for case in CASES} == set(ErrorCode) - elsewhere - {ErrorCode.NONE}


def test_the_program_that_is_broken_is_good():
    code = b"".join(instruction.encode() for instruction in good_instructions(TINY).values())
    memory = np.zeros(MEMORY, np.uint8)
    memory[: len(code)] = np.frombuffer(code, np.uint8)
    FunctionalSimulator(TINY, memory, 0, check_overlap=True).run()


@pytest.mark.parametrize("case", [case for case in CASES if case.modelled], ids=lambda case: case.name)
def test_the_functional_simulator_finds_the_same(case):
    with pytest.raises(ProgramError) as caught:
        FunctionalSimulator(TINY, case.memory(), 0).run()
    assert (caught.value.code, caught.value.index) == (case.error, case.index)


@pytest.fixture(scope="module", params=TIMINGS)
def outcomes(request):
    """Every broken program and after each of them a good one, on one machine; how they ended."""
    host = Host(TINY, TIMINGS[request.param], 1 << 18)
    programs = [random_program(TINY, seed, segments=1) for seed in SEEDS]
    base = host.memory.base
    for number, case in enumerate(CASES):
        for direction, address, length, response in case.responses:
            host.simulation.inject_error(direction, base + address, length, response)
        host.run(case.memory(), len(case.code), soft_reset=True, **case.registers)
        host.simulation.clear_errors()
        program = programs[number % len(programs)]
        host.run(program.memory, program.program_bytes, program.core_stride)
    ended = host.execute()
    return ended[::2], ended[1::2], [program.expected() for program in programs]


@pytest.mark.parametrize("number", range(len(CASES)), ids=[case.name for case in CASES])
def test_error_and_recovery(outcomes, number):
    failed, recovered, expected = (part[number % len(part)] for part in outcomes)
    case = CASES[number]
    assert (failed.error, failed.index) == (case.error, case.index)
    assert failed.status & ~(BUSY | BURSTS) == FAILED  # bursts may be under way
    assert failed.after_reset == 0
    assert (recovered.error, recovered.status) == (ErrorCode.NONE, DONE)
    assert np.array_equal(recovered.memory, expected)


def test_nothing_is_written_after_a_write_error(outcomes):
    """The store's other words may or may not be in memory; nothing else has changed."""
    for case, outcome in zip(CASES, outcomes[0], strict=True):
        changed = np.flatnonzero(outcome.memory != case.memory())
        if case.error not in (ErrorCode.WRITE_SLVERR, ErrorCode.WRITE_DECERR):
            assert not changed.size, case.name
        else:
            assert np.all(changed // 0x400 == 0x6000 // 0x400), case.name


@pytest.mark.parametrize("timing", TIMINGS)
def test_soft_reset_in_the_middle_of_a_program(timing):
    """At many places: while instructions are fetched, data loaded, results computed and stored."""
    programs = [random_program(TINY, seed, segments=2) for seed in SEEDS]
    host = Host(TINY, TIMINGS[timing], 1 << 18)
    statuses = []
    for place in range(40):
        program = programs[place % len(programs)]
        host.start(program.memory, program.program_bytes, program.core_stride)
        host.simulation.run(1 + 97 * place)
        statuses.append((host.soft_reset(), host.read("ERROR")))
        program = programs[(place + 1) % len(programs)]
        host.run(program.memory, program.program_bytes, program.core_stride)
    outcomes = host.execute()
    expected = [program.expected() for program in programs]
    assert [(host.result[status], host.result[error]) for status, error in statuses] == [(0, 0)] * len(statuses)
    for place, outcome in enumerate(outcomes):
        assert outcome.status == DONE, place
        assert np.array_equal(outcome.memory, expected[(place + 1) % len(programs)]), place
