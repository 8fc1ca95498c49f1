"""Compute units: steps per cycle and latencies of every instruction, measured at the accelerator's trace outputs.

What they compute is tested with random programs (tests/sim/test_random_programs.py).
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.sim.configurations import TINY
from tests.sim.host import DONE, Host
from triovit.hdl.compute.pair_control import PairControl
from triovit.hdl.compute.results import EARLY, WRITE
from triovit.hdl.compute.timing import ROW_LEAD
from triovit.hdl.isa.instructions import PROGRAM_MAGIC, Instruction
from triovit.hdl.isa.names import Opcode, Unit
from triovit.sim.rtl.simulation import EVENT_DONE, EVENT_START

N = TINY.block
COUNTS = dict.fromkeys(("groups", "rows", "cols", "kernel_rows", "kernel_cols", "blocks", "destination"), 1)
TO_ENGINE = PairControl.latency  # cycles from an instruction's begin to its first beat in front of its engine
# From an engine's row to the end of its instruction: the row is chosen before the engine shows it.
FROM_ENGINE = 1 - ROW_LEAD + WRITE - EARLY


def measure(*programs: list[Instruction]) -> list[list[tuple[int, int]]]:
    """(cycles from begin to done, cycles from the first begin) of every instruction of some programs."""
    host = Host(TINY)
    for number, body in enumerate(programs):
        start = {"magic": PROGRAM_MAGIC, "hash": TINY.hash, "instructions": len(body) + 2}
        code = [Instruction(Opcode.PROGRAM, start), *body, Instruction(Opcode.END, {})]
        memory = np.zeros(0x4000, np.uint8)
        data = b"".join(instruction.encode() for instruction in code)
        memory[: len(data)] = np.frombuffer(data, np.uint8)
        host.simulation.mark(str(number))
        host.run(memory, len(data))
    for outcome in host.execute():
        assert outcome.status == DONE, outcome
    times = []
    for number, body in enumerate(programs):
        events = host.result.events[host.result.events["mark"] == number + 1]
        when = {
            (int(e["index"]), int(e["event"])): int(e["cycle"]) for e in events if e["unit"] in (Unit.RMAC, Unit.MAT)
        }
        computing = [k for k, i in enumerate(body, 1) if i.opcode >= Opcode.RMAC_CONV]
        first = min(when[k, EVENT_START] for k in computing)
        times.append([(when[k, EVENT_DONE] - when[k, EVENT_START], when[k, EVENT_DONE] - first) for k in computing])
    return times


def make(opcode: Opcode, **fields: int) -> Instruction:
    return Instruction(opcode, COUNTS | fields)


PER_STEP = [  # opcode, fields, steps (cycles of the engine), cycles from its last beat to its last row
    (Opcode.RMAC_CONV, {"groups": 2, "rows": 3, "cols": 5, "blocks": 2}, 60, N + 5),
    (Opcode.RMAC_CONV, {"cols": 7, "kernel_rows": 3, "kernel_cols": 2, "blocks": 3, "source": 1}, 126, N + 5),
    (Opcode.MAT_CONV, {"groups": 2, "rows": 3, "cols": 5, "blocks": 2}, 60, N + 4),
    (Opcode.MAT_CONV, {"cols": 40, "stationary": 1}, 40, N + 4),
    (Opcode.RMAC_DEPTHWISE, {"groups": 2, "rows": 2, "cols": 2 * N, "kernel_rows": 3, "kernel_cols": 3}, 72, 7 + N - 1),
    (Opcode.RMAC_DEPTHWISE, {"cols": 3 * N + 1, "kernel_rows": 3, "kernel_cols": 3}, 36, 7),
    (Opcode.RMAC_OUTER, {"groups": 2, "kernel_rows": 2, "rows": 3, "cols": 2 * N}, 4 * 3 * 2 * N, 7 + N - 1),
]


@pytest.fixture(scope="module")
def alone():
    return measure(*([make(opcode, **fields)] for opcode, fields, _, _ in PER_STEP))


@pytest.mark.parametrize("number", range(len(PER_STEP)))
def test_a_step_a_cycle(alone, number):
    opcode, _, steps, tail = PER_STEP[number]
    # An outer product's window is read in two cycles.
    first = TO_ENGINE + (opcode == Opcode.RMAC_OUTER)
    assert alone[number][0][0] == first + steps - 1 + tail + FROM_ENGINE


def test_instructions_follow_each_other_without_waiting_for_results():
    """Not a cycle lies between the steps of one instruction and those of the next."""
    body = [make(Opcode.RMAC_CONV, cols=20, blocks=2) for _ in range(4)]
    (times,) = measure(body)
    ends = [end for _, end in times]
    assert np.diff(ends).tolist() == [40] * 3


def test_engines_side_by_side():
    """Both at full speed when one reads A and the other O; in turns when both read A; joint: one read for both."""
    rmac, mat = make(Opcode.RMAC_CONV, cols=100, blocks=2), make(Opcode.MAT_CONV, cols=100, blocks=2)
    from_o = make(Opcode.MAT_CONV, cols=100, blocks=2, source=1)
    joint = [make(Opcode.RMAC_CONV, cols=100, blocks=2, joint=1), Instruction(Opcode.MAT_JOIN, {})]
    apart, together, shared = measure([rmac, from_o], [rmac, mat], joint)
    assert max(end for _, end in apart) < 200 + 50
    assert 400 < max(end for _, end in together) < 400 + 50
    assert max(end for _, end in shared) < 200 + 50
