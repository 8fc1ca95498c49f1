"""A memory that breaks the rules of AXI or does not answer, and resets: an error, a way on, never wrong data."""

import numpy as np
import pytest

from tests.sim.configurations import PORTS, TINY
from tests.sim.host import BURSTS, BUSY, DONE, FAILED, Host
from tests.sim.random_programs import random_program
from triovit.hdl.isa.names import ErrorCode
from triovit.sim.rtl.simulation import BROKEN_RULES, FAULTS, SILENCES, MemoryModel

PROGRAMS = [random_program(TINY, seed, segments=2) for seed in range(6)]
EXPECTED = [program.expected() for program in PROGRAMS]
FOR_PORTS = [random_program(PORTS, seed, segments=2) for seed in range(6)]
WATCHDOG = 3000
AFTER = (0, 1, 5, 17)  # bursts that are spared
TIMINGS = {
    "quick": MemoryModel(read_latency=8, write_latency=2),
    "stalls": MemoryModel(read_latency=5, write_latency=9, stall_probability=0.3, seed=5, base=0x1_2345_6000),
}


def strike(fault: str, timing: str, programs=PROGRAMS, port: int = 0):
    """How programs end that meet the fault at a port, and good ones after each of them, with a soft reset between."""
    host = Host(programs[0].config, TIMINGS[timing], 1 << 18)
    good = EXPECTED if programs is PROGRAMS else [program.expected() for program in programs]
    spared = (0,) if fault in ("write-id", "write-exokay", "mute-writes", "early-answer") else AFTER
    for number, after in enumerate(spared * (len(AFTER) // len(spared))):
        program, following = programs[number % 6], programs[(number + 1) % 6]
        host.start(program.memory, program.program_bytes, program.core_stride, WATCHDOG=WATCHDOG)
        host.simulation.inject_fault(fault, after, port)  # while a program runs: before, nobody cares
        host.finish(program.memory.size, soft_reset=True, patience=40 if fault in SILENCES else 3000)
        host.simulation.clear_errors()
        host.run(following.memory, following.program_bytes, following.core_stride)
    outcomes = host.execute()
    for number, outcome in enumerate(outcomes[1::2]):
        assert (outcome.error, outcome.status & ~BURSTS) == (ErrorCode.NONE, DONE)
        assert np.array_equal(outcome.memory, good[(number + 1) % 6])
    return outcomes[::2]


@pytest.mark.parametrize("timing", TIMINGS)
@pytest.mark.parametrize("fault", BROKEN_RULES)
def test_broken_rules(fault, timing):
    """All of them stop the machine; as RLAST ends a burst for both sides, a soft reset is enough after these."""
    for outcome in strike(fault, timing):
        assert outcome.error == ErrorCode.BUS_PROTOCOL
        assert outcome.status & ~(BUSY | BURSTS) == FAILED and outcome.after_reset == 0


@pytest.mark.parametrize("timing", TIMINGS)
@pytest.mark.parametrize("fault", SILENCES)
def test_silence(fault, timing):
    """The watchdog tells that an answer is owed. Soft reset does not wait for it: what comes late belongs to nobody."""
    for outcome in strike(fault, timing):
        assert outcome.error == ErrorCode.BUS_TIMEOUT and outcome.cycles > WATCHDOG
        assert outcome.status == FAILED | BUSY | BURSTS and outcome.after_reset == BURSTS


@pytest.mark.parametrize("fault", FAULTS)
def test_the_last_port(fault):
    """The same where only one of two ports meets it: the other one's bursts end, too."""
    for outcome in strike(fault, "stalls", FOR_PORTS, port=1):
        silent = fault in SILENCES
        assert outcome.error == (ErrorCode.BUS_TIMEOUT if silent else ErrorCode.BUS_PROTOCOL)
        assert outcome.after_reset == (BURSTS if silent else 0)


def test_a_memory_that_never_answers_is_told_again_and_again():
    host = Host(TINY, TIMINGS["quick"], 1 << 18)
    host.simulation.inject_fault("mute-reads")
    program = PROGRAMS[0]
    for _ in range(3):
        host.start(program.memory, program.program_bytes, program.core_stride, WATCHDOG=WATCHDOG)
        host.finish(program.memory.size, soft_reset=True, patience=40)
    for outcome in host.execute():
        assert (outcome.error, outcome.index, outcome.after_reset) == (ErrorCode.BUS_TIMEOUT, 0, BURSTS)
        assert np.array_equal(outcome.memory, program.memory)


def test_every_fault_is_met():
    assert set(FAULTS) == {*BROKEN_RULES, *SILENCES}
    with pytest.raises(ValueError, match=r"fault must be one of early-last, .*, not 'late'"):
        Host(TINY).simulation.inject_fault("late")
    with pytest.raises(ValueError, match=r"port must be 0\.\.0, not 1"):
        Host(TINY).simulation.inject_fault("deaf", port=1)


@pytest.mark.parametrize("timing", TIMINGS)
@pytest.mark.parametrize("kind", ["aresetn", "soft reset"])
def test_reset_in_the_middle_of_a_program(timing, kind):
    """At many places, without a cycle of patience; the program is started again at once and runs as ever."""
    host = Host(TINY, TIMINGS[timing], 1 << 18)
    places = [1, 3, 8, 20, 21, 22, 23, 40, *range(57, 4500, 211)]
    for number, place in enumerate(places):
        program = PROGRAMS[number % 6]
        host.start(program.memory, program.program_bytes, program.core_stride)
        host.simulation.run(place)
        if kind == "aresetn":
            host.simulation.reset(16)
        else:
            host.soft_reset(10)
        host.run(program.memory, program.program_bytes, program.core_stride)
    for number, outcome in enumerate(host.execute()):
        assert (outcome.error, outcome.status & ~BURSTS) == (ErrorCode.NONE, DONE), places[number]
        assert np.array_equal(outcome.memory, EXPECTED[number % 6]), places[number]
