"""The loops of every computing instruction, and of LOAD and STORE: the table of docs/architecture.md as data.

An instruction of a unit is one nest of loops. The outer ones choose a row of `block` results, the inner ones
accumulate it, and every operand is a walk through one buffer. A new opcode is one row of NESTS; loops of a new kind are
a function here and their sums one in `machine.compute`.

Three readers: `machine.compute` takes the operands that the functional simulator computes with, `machine.accesses` the
words that the compiler's semaphores protect, `machine.cycles` the number of steps. Two things do not read it, and so
can contradict it. The RTL has counters of its own: a wrong nest would be wrong in the functional simulator and in the
semaphores alike, and shows where random programs leave another memory on the RTL (tests/sim). `machine.races` knows
only the words that the functional simulator really touched: a semaphore missing for any other reason shows there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from triovit.hdl.isa.instructions import Instruction
from triovit.hdl.isa.names import Buffer, Destination, Opcode, PostMode, Unit
from triovit.hdl.isa.record import RECORD_BYTES
from triovit.machine.walk import Walk

A, O, B, C, P, K = "A", "O", "B", "C", "P", "K"  # noqa: E741
DIVISOR, MEMORY = "divisor", "memory"


@dataclass(frozen=True, kw_only=True)
class Nest:
    """What one engine does for an instruction, on every core.

    Parameters
    ----------
    block : channels per word
    rows : counts of the loops that choose a row of `block` results, outermost first
    sums : counts of the loops inside them that accumulate it
    parallel : the loop, counted over rows and sums, that the engine takes several turns of at a time
    at_once : how many of them; by default `block`
    passes : how often a result's sums run through
    features : words of A or O; fetches: the engine's own unit reads them
    values : v of an outer product
    weights : words of B, C or K
    records : post-processing records of a row, in P
    out : a row's place in O and A; high: that of its high bytes, when they are two
    kept : its place in K
    code : its place in the divisor buffer
    """

    block: int
    rows: tuple[int, ...]
    sums: tuple[int, ...] = ()
    parallel: int | None = None
    at_once: int = 0
    passes: int = 1
    features: Walk
    fetches: bool = True
    values: Walk | None = None
    weights: Walk | None = None
    records: Walk
    out: Walk
    high: Walk | None = None
    kept: Walk | None = None
    code: Walk | None = None

    @property
    def counts(self) -> tuple[int, ...]:
        """Of all loops."""
        return self.rows + self.sums

    def operand(self, name: str) -> Walk:
        """One that not every computation has: "values", "weights", "high", "kept" or "code".

        Raises ValueError when this one lacks it, which only an instruction does that breaks the rules.
        """
        walk = getattr(self, name)
        if walk is None:
            raise ValueError(f"the computation has no {name}, yet its fields ask for it")
        return walk

    def _turns(self) -> list[int]:
        """Of all loops, the parallel one's taken together."""
        at_once = self.at_once or self.block
        return [-(-n // at_once) if level == self.parallel else n for level, n in enumerate(self.counts)]

    @property
    def accumulations(self) -> int:
        """Groups of rows that are summed together, one group after the other."""
        return math.prod(self._turns()[: len(self.rows)])

    @property
    def steps(self) -> int:
        """Steps of one accumulation."""
        return self.passes * math.prod(self._turns()[len(self.rows) :])

    @property
    def together(self) -> int:
        """Most rows of results that one accumulation makes."""
        if self.parallel is None or self.parallel >= len(self.rows):
            return 1
        return min(self.at_once or self.block, self.rows[self.parallel])


def engines(i: Instruction) -> tuple[Unit, ...]:
    """Units whose engines an instruction drives; the MAT's share of a joint convolution is that of its MAT_JOIN."""
    return (Unit.RMAC, Unit.MAT) if i.opcode == Opcode.RMAC_CONV and i.joint else (i.unit,)


def nest(i: Instruction, block: int, unit: Unit | None = None) -> Nest:
    """Loops of a computing instruction; unit: whose half of a joint convolution.

    Raises ValueError for an instruction that computes nothing by itself.
    """
    if i.opcode not in NESTS:
        raise ValueError(f"{i.opcode.name} computes nothing, so it has no loops; those that do: {_names()}")
    loops = NESTS[i.opcode](i, block, i.unit if unit is None else unit)
    if i.mode == PostMode.WIDE:
        return replace(loops, high=replace(loops.out, base=loops.out.base + i.out_row))
    return loops


Loops = Callable[[Instruction, int, Unit], Nest]


def _names() -> str:
    return ", ".join(opcode.name for opcode in NESTS)


def _records(first: int, *strides: int) -> Walk:
    """Records from channel block `first` on; strides in channel blocks."""
    return Walk(P, first * RECORD_BYTES, tuple(s * RECORD_BYTES for s in strides), RECORD_BYTES)


def convolution(i: Instruction, block: int, unit: Unit) -> Nest:
    """group, row, column | kernel row, kernel column, input block. Of a joint one the engines share the features."""
    pixel = i.stride + 1
    pair = len(engines(i))
    odd = int(pair == 2 and unit == Unit.MAT)
    tiles = i.kernel_rows * i.kernel_cols * i.blocks
    return Nest(
        block=block,
        rows=(i.groups, i.rows, i.cols),
        sums=(i.kernel_rows, i.kernel_cols, i.blocks),
        features=Walk(O if i.source else A, i.in_base, (i.in_group, pixel * i.in_row, pixel, i.in_row, 1, i.in_block)),
        fetches=not odd,
        weights=Walk(
            K if i.stationary else C if unit == Unit.MAT else B,
            i.weights,
            (tiles * block, 0, 0, i.kernel_cols * i.blocks * block, i.blocks * block, block),
            block,
        ),
        records=_records(i.parameters + odd, pair),
        out=Walk(O, i.out_base + odd * i.out_group, (pair * i.out_group, i.out_row, 1)),
        code=Walk(DIVISOR, 0, (0, i.cols, 1)),
    )


def depthwise(i: Instruction, block: int, unit: Unit) -> Nest:
    """group, row, column (the pixels of `block` neighbouring words at a time) | kernel row, kernel column."""
    pixel = i.stride + 1
    return Nest(
        block=block,
        rows=(i.groups, i.rows, i.cols),
        sums=(i.kernel_rows, i.kernel_cols),
        parallel=2,
        at_once=block // pixel,
        features=Walk(A, i.in_base, (i.in_group, pixel * i.in_row, pixel, i.in_row, 1)),
        weights=Walk(B, i.weights, (i.kernel_rows * i.kernel_cols, 0, 0, i.kernel_cols, 1)),
        records=_records(i.parameters, 1),
        out=Walk(O, i.out_base, (i.out_group, i.out_row, 1)),
    )


def outer(i: Instruction, block: int, unit: Unit) -> Nest:
    """v block, k block, v channel (all at a time) | token row, token."""
    return Nest(
        block=block,
        rows=(i.groups, i.kernel_rows, block),
        sums=(i.rows, i.cols),
        parallel=2,
        features=Walk(A, i.in_base, (0, i.in_block, 0, i.in_row, 1)),
        values=Walk(A, i.in_value, (i.in_group, 0, 0, i.in_row, 1)),
        records=_records(i.parameters),
        out=Walk(O, i.out_base, (i.out_group, i.out_row, 1)),
        kept=Walk(K, i.attention, (i.kernel_rows * block, block, 1)),
    )


def row_sum(i: Instruction, block: int, unit: Unit) -> Nest:
    """channel block | token row, token (some at a time). Sums for K are of one head, whose records are one block."""
    return Nest(
        block=block,
        rows=(i.groups,),
        sums=(i.rows, i.cols),
        parallel=2,
        features=Walk(A, i.in_base, (i.in_group, i.in_row, 1)),
        records=_records(i.parameters, 0 if i.destination & Destination.K else 1),
        out=Walk(O, i.out_base, (i.out_group,)),
        kept=Walk(K, i.attention, (block,)),
    )


def layer_norm(i: Instruction, block: int, unit: Unit) -> Nest:
    """channel block: once for the sums of all, once for the results."""
    return Nest(
        block=block,
        rows=(i.blocks,),
        passes=2,
        features=Walk(A, i.in_base, (i.in_block,)),
        weights=Walk(B, i.weights, (1,)),
        records=_records(i.parameters, 1),
        out=Walk(O, i.out_base, (i.out_group,)),
    )


# Which loops an opcode runs; engines that differ in hardware may share them.
NESTS: dict[Opcode, Loops] = {
    Opcode.RMAC_CONV: convolution,
    Opcode.MAT_CONV: convolution,
    Opcode.RMAC_DEPTHWISE: depthwise,
    Opcode.RMAC_OUTER: outer,
    Opcode.RMAC_ROW_SUM: row_sum,
    Opcode.RMAC_LAYER_NORM: layer_norm,
}


@dataclass(frozen=True)
class TransferNest:
    """counts: planes and rows; every turn is a run of words. memory: in words, for the first core."""

    counts: tuple[int, int]
    local: Walk
    memory: Walk


def transfer_nest(i: Instruction, block: int) -> TransferNest:
    """Loops of a LOAD or STORE whose memory offsets are multiples of the word size."""
    space = Buffer(i.buffer).name if i.opcode == Opcode.LOAD else O
    return TransferNest(
        (i.planes, i.rows),
        Walk(space, i.local, (i.local_plane, i.local_row), i.words),
        Walk(MEMORY, i.memory // block, (i.memory_plane // block, i.memory_row // block), i.words),
    )
