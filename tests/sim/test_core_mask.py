"""Cores that do not take part: nothing of theirs is written, the others compute the same in the same cycles."""

import numpy as np
import pytest

from tests.sim.configurations import FOUR, PAIR
from tests.sim.host import DONE, Host
from tests.sim.random_programs import random_program
from triovit.hdl.isa.names import ErrorCode
from triovit.machine.functional import FunctionalSimulator

PROGRAMS = range(12)
# Of each program in turn, so that cores come and go: of two cores behind a port, and of two behind each of four.
MASKS = {PAIR: (1, 3, 1), FOUR: (0b10010101, 1, 0xFF, 0b1101)}


@pytest.fixture(scope="module", params=MASKS, ids=lambda config: config.name)
def runs(request):
    """(program, its mask, outcome) of each run, on one machine without a reset; each program first with all cores."""
    config, masks = request.param, MASKS[request.param]
    host, asked = Host(config, memory_bytes=1 << 20), []
    for number in PROGRAMS:
        program = random_program(config, number)
        for mask in ((1 << config.cores) - 1, masks[number % len(masks)]):
            asked.append((program, mask))
            registers = {"CORE_MASK_LO": mask, "CORE_MASK_HI": 0}
            host.run(program.memory, program.program_bytes, program.core_stride, **registers)
    return [(*what, outcome) for what, outcome in zip(asked, host.execute(), strict=True)]


def test_memory_is_that_of_the_functional_simulator(runs):
    for program, mask, outcome in runs:
        expected = program.memory.copy()
        FunctionalSimulator(program.config, expected, program.core_stride, core_mask=mask).run()
        assert (outcome.status, outcome.error) == (DONE, ErrorCode.NONE)
        assert np.array_equal(outcome.memory, expected), mask


def test_cores_that_take_no_part_write_nothing(runs):
    """What a program changes of the memory with some cores is part of what it does with all."""
    fewer = 0
    for (_, _, full), (program, _, outcome) in zip(runs[::2], runs[1::2], strict=True):
        changed = outcome.memory != program.memory
        assert np.array_equal(outcome.memory[changed], full.memory[changed])
        fewer += changed.sum() < (full.memory != program.memory).sum()
    assert fewer >= len(PROGRAMS) // 2


def test_cycles_do_not_depend_on_the_mask(runs):
    for (_, _, both), (_, _, one) in zip(runs[::2], runs[1::2], strict=True):
        assert one.cycles == both.cycles and one.counters == both.counters


def test_the_first_core_is_always_on():
    host = Host(PAIR)
    reset = [host.read(name) for name in ("CORE_MASK_LO", "CORE_MASK_HI")]
    host.write("CORE_MASK_LO", 0)
    shown = host.read("CORE_MASK_LO")
    host.execute()
    assert [host.result[handle] for handle in (*reset, shown)] == [3, 0, 1]
