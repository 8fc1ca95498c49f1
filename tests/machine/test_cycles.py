"""Cycles of single instructions, by hand, and the latencies against those of the RTL."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from triovit.hdl.compute.engine_timing import EngineTiming
from triovit.hdl.compute.results import EARLY, WRITE
from triovit.hdl.compute.timing import OPERANDS, ROW_LEAD, START
from triovit.hdl.config.accelerator import PRESETS
from triovit.hdl.control.semaphores import Semaphores
from triovit.hdl.isa.instructions import Instruction
from triovit.hdl.isa.names import Opcode, PostMode
from triovit.hdl.isa.registers import DEFAULT_WATCHDOG
from triovit.machine.cycles import (
    LAYER_NORM_ROOT,
    MARGIN,
    compute_steps,
    drain,
    transfer_traffic,
    watchdog_cycles,
)
from triovit.machine.memory_timing import MemoryTiming

CONFIG = PRESETS["trio-tiny"]
ONE = {"groups": 3, "rows": 5, "cols": 7, "kernel_rows": 1, "kernel_cols": 1, "blocks": 1}


def test_traffic_counts_beats():
    """Three words of 4 bytes touch two beats of 8 bytes, whether they start at byte 4 or at byte 8."""
    load = {"words": 3, "rows": 2, "planes": 1, "memory": 4, "memory_row": 4, "buffer": 0}
    assert transfer_traffic(CONFIG, Instruction(Opcode.LOAD, load)) == (4, 2)
    three = dataclasses.replace(CONFIG, cores=3)
    assert transfer_traffic(three, Instruction(Opcode.LOAD, load)) == (12, 6)
    assert transfer_traffic(three, Instruction(Opcode.LOAD, {**load, "buffer": 2})) == (4, 2)
    assert transfer_traffic(CONFIG, Instruction(Opcode.STORE, {**load, "words": 4})) == (5, 2)


@pytest.mark.parametrize("seed", range(30))
def test_traffic_is_exact(seed):
    """Every run for itself, on beats of one to eight words and bursts of one to 256 beats."""
    rng = np.random.default_rng(seed)
    block = int(rng.choice([4, 8, 16]))
    beat = block << int(rng.integers(0, 4))
    burst = 1 << int(rng.integers(0, (4096 // beat).bit_length()))
    config = dataclasses.replace(CONFIG, block=block, data_bytes=beat, burst_beats=min(burst, 256))
    planes, rows, words = (int(rng.integers(1, n)) for n in (6, 40, 300))
    start, row_bytes, plane_bytes = (block * int(rng.integers(0, n)) for n in (5000, 700, 9000))
    fields = {"words": words, "rows": rows, "planes": planes, "memory": start}
    fields |= {"memory_row": row_bytes, "memory_plane": plane_bytes, "buffer": 0}
    beats = bursts = 0
    for plane in range(planes):
        for row in range(rows):
            first = start + plane * plane_bytes + row * row_bytes
            touched = range(first // beat, (first + words * block - 1) // beat + 1)
            beats += len(touched)
            bursts += len({number // config.burst_beats for number in touched})
    assert transfer_traffic(config, Instruction(Opcode.LOAD, fields)) == (beats, bursts)


def test_the_watchdog_follows_the_longest_transfer():
    """One LOAD of 1024 beats of 8 bytes, and a STORE of one."""
    runs = {"words": 2048, "rows": 1, "planes": 1}
    program = [Instruction(Opcode.LOAD, {**runs, "buffer": 2}), Instruction(Opcode.STORE, {**runs, "words": 2})]

    def watchdog(**memory) -> int:
        return watchdog_cycles(CONFIG, program, MemoryTiming(**memory))

    assert watchdog() == watchdog(bytes_per_cycle=1) == DEFAULT_WATCHDOG
    assert watchdog(bytes_per_cycle=1 / 64) > MARGIN * 1025 * 8 * 64
    assert watchdog(read_latency=100_000) > MARGIN * 64 * 100_000
    assert watchdog(bytes_per_cycle=1 / 64, stall_probability=0.9) >= watchdog(bytes_per_cycle=1 / 64)
    assert watchdog(read_latency=1 << 26) == 0  # more than the register holds: never


def steps(opcode: Opcode, **fields: int) -> int:
    return compute_steps(CONFIG, Instruction(opcode, {**ONE, **fields}))


def test_steps():
    assert steps(Opcode.RMAC_CONV) == 3 * 5 * 7
    # Two rows of results per step are more than the post-processing pipeline takes.
    assert steps(Opcode.RMAC_CONV, joint=1) == 2 * 3 * 5 * 7
    assert steps(Opcode.RMAC_CONV, mode=PostMode.WIDE) == 2 * 3 * 5 * 7
    assert steps(Opcode.RMAC_CONV, joint=1, blocks=4) == 4 * 3 * 5 * 7
    assert steps(Opcode.MAT_CONV, blocks=4, residual=1) == 4 * 3 * 5 * 7
    # Features and residual operands come through the same port.
    assert steps(Opcode.MAT_CONV, blocks=4, residual=1, source=1) == 5 * 3 * 5 * 7
    assert steps(Opcode.RMAC_CONV, blocks=4, residual=1, source=1, joint=1) == 6 * 3 * 5 * 7
    assert steps(Opcode.MAT_JOIN) == 0


def test_steps_of_what_only_the_rmac_unit_does():
    assert steps(Opcode.RMAC_DEPTHWISE, kernel_rows=3, kernel_cols=3) == 3 * 5 * 2 * 9
    assert steps(Opcode.RMAC_DEPTHWISE) == 3 * 5 * 2 * 4  # four rows of results leave one per cycle
    assert steps(Opcode.RMAC_DEPTHWISE, cols=3) == 3 * 5 * 3
    assert steps(Opcode.RMAC_OUTER, kernel_rows=2) == 3 * 2 * 5 * 7
    assert steps(Opcode.RMAC_OUTER, rows=1, cols=3) == 3 * 4
    assert steps(Opcode.RMAC_ROW_SUM) == 3 * 5 * 2
    assert steps(Opcode.RMAC_ROW_SUM, rows=1) == 3 * 4  # the sums of four lanes are added up one by one
    assert steps(Opcode.RMAC_LAYER_NORM, blocks=6) == 2 * 6 + LAYER_NORM_ROOT


@pytest.mark.parametrize("block", [4, 8, 16])
def test_latencies_are_those_of_the_hardware(block):
    """From a last step over operands, engine, results and semaphores to a first step, when nothing stalls."""
    config = dataclasses.replace(CONFIG, block=block)
    timing = EngineTiming(config)
    rows = {
        Opcode.RMAC_CONV: timing.conv_rows, Opcode.RMAC_DEPTHWISE: timing.alone_rows,
        Opcode.RMAC_OUTER: timing.alone_rows, Opcode.RMAC_ROW_SUM: timing.row_sum_rows,
        Opcode.MAT_CONV: timing.mat_rows,
    }  # fmt: skip
    start = Semaphores.latency + START
    for opcode, row in rows.items():
        assert OPERANDS + row - ROW_LEAD + 1 + WRITE - EARLY + start == drain(config, opcode)
    assert timing.solve <= LAYER_NORM_ROOT
