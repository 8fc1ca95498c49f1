"""Cycles of single instructions, by hand, and the latencies against those of the RTL."""

from __future__ import annotations

import dataclasses

from triovit.hdl.aux.layer_norm import LayerNorm
from triovit.hdl.compute.results import ResultControl
from triovit.hdl.config.accelerator import PRESETS
from triovit.hdl.isa.instructions import Instruction
from triovit.hdl.isa.names import Opcode, PostMode
from triovit.hdl.rmac.engine import RMACEngine, RMACMode
from triovit.machine.cycles import DRAIN, LAYER_NORM_ROOT, compute_steps, transfer_beats

CONFIG = PRESETS["trio-tiny"]
ONE = {"groups": 3, "rows": 5, "cols": 7, "kernel_rows": 1, "kernel_cols": 1, "blocks": 1}


def test_traffic_counts_beats():
    """Three words of 4 bytes touch two beats of 8 bytes, whether they start at byte 4 or at byte 8."""
    load = {"words": 3, "rows": 2, "planes": 1, "memory": 4, "memory_row": 4, "buffer": 0}
    assert transfer_beats(CONFIG, Instruction(Opcode.LOAD, load)) == 4
    assert transfer_beats(dataclasses.replace(CONFIG, cores=3), Instruction(Opcode.LOAD, load)) == 12
    assert transfer_beats(dataclasses.replace(CONFIG, cores=3), Instruction(Opcode.LOAD, {**load, "buffer": 2})) == 4
    assert transfer_beats(CONFIG, Instruction(Opcode.STORE, {**load, "words": 4})) == 5


def steps(opcode: Opcode, **fields: int) -> int:
    return compute_steps(CONFIG, Instruction(opcode, {**ONE, **fields}))


def test_steps():
    assert steps(Opcode.RMAC_CONV) == 3 * 5 * 7
    # Two rows of results a step are more than the post-processing pipeline takes.
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
    assert steps(Opcode.RMAC_DEPTHWISE) == 3 * 5 * 2 * 4  # four rows of results leave one a cycle
    assert steps(Opcode.RMAC_DEPTHWISE, cols=3) == 3 * 5 * 3
    assert steps(Opcode.RMAC_OUTER, kernel_rows=2) == 3 * 2 * 5 * 7
    assert steps(Opcode.RMAC_OUTER, rows=1, cols=3) == 3 * 4
    assert steps(Opcode.RMAC_ROW_SUM) == 3 * 5 * 2
    assert steps(Opcode.RMAC_LAYER_NORM, blocks=6) == 2 * 6 + LAYER_NORM_ROOT


def test_latencies_are_those_of_the_hardware():
    """What an 8 x 8 machine needs when nothing stalls: two cycles for the operands, three for the semaphores."""
    engine = RMACEngine(8, 8).latency(RMACMode.POINTWISE)
    assert 2 + engine + ResultControl.LATENCY + 3 == DRAIN
    assert LayerNorm(8).solve_cycles <= LAYER_NORM_ROOT
