"""Cycles of one instruction: steps of a computation, traffic of a transfer, and what its start and end cost.

Steps and traffic are exact. The latencies are those of a machine without stalls, held against the RTL's own by a test:
importing them would bring Amaranth into the compiler.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.instructions import Instruction
from triovit.hdl.isa.names import Opcode, Unit
from triovit.hdl.isa.registers import DEFAULT_WATCHDOG
from triovit.machine.memory_timing import MemoryTiming
from triovit.machine.nests import NESTS, engines, nest
from triovit.machine.partitions import is_striped

# From an instruction's last step to the first step of one that waits for its signal: operands 5, engine 7, results 10,
# semaphores and start 4. A unit's own instructions follow each other without a gap.
DRAIN = 26
READ_OVERHEAD = 8  # of a LOAD beside the memory's latency and its beats
WRITE_OVERHEAD = 16  # of a STORE
BURST_OVERHEAD = 2  # of a burst beside latency and beats, until its place is free for the next
MARGIN = 4  # times the longest silence until the watchdog stops the machine
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
    if i.opcode in (Opcode.RMAC_OUTER, Opcode.RMAC_ROW_SUM):
        rows = max(rows, config.block)  # the sums of all lanes leave the array one after the other
    return loops.accumulations * max(loops.steps + stalls, rows) + root


def drain(config: AcceleratorConfig, opcode: Opcode) -> int:
    """Cycles from an instruction's last step to the first of one that waits for its signal; a convolution's sums are
    skewed by a block, those of a row sum are added up lane by lane."""
    late = {
        Opcode.RMAC_CONV: config.block - 2,
        Opcode.MAT_CONV: config.block - 3,
        Opcode.RMAC_ROW_SUM: config.block - 1,
    }
    return DRAIN + late.get(opcode, 0)


class Traffic(NamedTuple):
    """What a transfer asks of each AXI port, all its cores together."""

    beats: int
    bursts: int


def transfer_traffic(config: AcceleratorConfig, i: Instruction) -> Traffic:
    """Beats and bursts of a LOAD or STORE at each port. A run begins and ends anywhere in a beat, and a burst at a
    multiple of the longest burst at the latest; the cores' images are a multiple of it apart, as the compiler lays them
    out."""
    beat = config.bus_bytes if is_striped(i) else config.data_bytes
    longest = beat * config.burst_beats
    rows, row_counts = np.unique(i.memory_row * np.arange(i.rows) % longest, return_counts=True)
    planes, plane_counts = np.unique(i.memory_plane * np.arange(i.planes) % longest, return_counts=True)
    first = (i.memory + planes[:, None] + rows) % longest
    last, runs = first + i.words * config.block - 1, plane_counts[:, None] * row_counts
    beats, bursts = (int((runs * (last // size - first // size + 1)).sum()) for size in (beat, longest))
    copies = 1 if is_striped(i) else config.port_cores
    return Traffic(copies * beats, copies * bursts)


def watchdog_cycles(config: AcceleratorConfig, instructions: Iterable[Instruction], memory: MemoryTiming) -> int:
    """Value of the register WATCHDOG for a program and a memory: a healthy run is never stopped, a stuck one soon.

    Between two finished instructions lie at most the longest LOAD, the longest STORE and the longest computation, all
    bursts one after the other; MARGIN times that, and the register's reset value at least. 0, which is never, where 32
    bits do not hold it.
    """
    beat = memory.beat_cycles(config.bus_bytes)
    trip = max(memory.read_latency, memory.write_latency) + BURST_OVERHEAD * memory.stalls
    longest: dict[Unit, float] = {}
    for i in instructions:
        if i.opcode in (Opcode.LOAD, Opcode.STORE):
            beats, bursts = transfer_traffic(config, i)
            cycles = beats * beat + bursts * trip
        else:
            cycles = compute_steps(config, i)
        longest[i.unit] = max(longest.get(i.unit, 0), cycles)
    wanted = max(DEFAULT_WATCHDOG, math.ceil(MARGIN * sum(longest.values())))
    return wanted if wanted < 1 << 32 else 0
