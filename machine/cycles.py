"""Cycles of one instruction: steps of a computation, beats of a transfer, and what its start and end cost.

Steps are exact. The latencies are those of an 8 x 8 machine without stalls, held against the RTL's own by a test
(importing them would bring Amaranth into the compiler), and for memory a usual one.
"""

from __future__ import annotations

from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.instructions import Instruction
from triovit.hdl.isa.names import Buffer, Opcode, Unit
from triovit.machine.nests import NESTS, engines, nest

START = 3  # cycles between a unit's instructions: what is idle, and the first step's way
DRAIN = 28  # from the last step to the signal being seen: operands 2, engine 12, results 11, semaphores 3
READ_LATENCY = 40  # from a burst's address to its first beat
WRITE_LATENCY = 24  # from a burst's last beat to its response
LAYER_NORM_ROOT = 64  # sums, square root and reciprocal between the two passes: 43, and what waits around them


def compute_steps(config: AcceleratorConfig, i: Instruction) -> int:
    """Cycles an engine, or the post-processing pipeline behind it, needs for an instruction's steps."""
    if i.opcode not in NESTS:
        return 0  # a MAT_JOIN: its steps are the joint convolution's
    loops = nest(i, config.block)
    rows = loops.together * len(engines(i)) * (2 if loops.high else 1)
    # Residual operands take cycles of O's read port.
    stalls = rows if i.residual and i.source else 0
    root = LAYER_NORM_ROOT if i.opcode == Opcode.RMAC_LAYER_NORM else 0
    return loops.accumulations * max(loops.steps + stalls, rows) + root


def transfer_beats(config: AcceleratorConfig, i: Instruction) -> int:
    """AXI beats of a LOAD or STORE, all cores together; the first two rows and planes stand for the alignment of all.

    Exact where twice the memory strides are multiples of a beat.
    """
    size, total = i.words * config.block, 0
    for plane in range(min(i.planes, 2)):
        planes = (i.planes + 1 - plane) // 2
        for row in range(min(i.rows, 2)):
            rows = (i.rows + 1 - row) // 2
            start = (i.memory + plane * i.memory_plane + row * i.memory_row) % config.data_bytes
            total += planes * rows * -(-(start + size) // config.data_bytes)
    per_core = i.unit == Unit.STORE or i.buffer in (Buffer.A, Buffer.O)
    return total * (config.cores if per_core else 1)
