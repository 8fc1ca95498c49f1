"""Which output blocks an instruction computes on which engine, and the constants it needs for that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from triovit.compiler.memory.layout import align
from triovit.compiler.memory.pack import merged_groups, pack_convolution, pack_records
from triovit.compiler.schedule.context import Context
from triovit.compiler.schedule.rings import Tile, span
from triovit.compiler.schedule.transfer import Transfer, constant_transfer
from triovit.golden.integer.nodes import Convolution
from triovit.hdl.isa.names import Buffer
from triovit.hdl.isa.record import RECORD_BYTES


@dataclass(frozen=True)
class Family:
    """Output blocks that one kind of instruction computes: `count` groups, the next one `step` blocks further on.

    joint: a group is a pair of neighbouring blocks, the even one for the R-MAC engine (buffer B), the odd one for the
    MAT engine (buffer C); otherwise a group is one block, on the R-MAC engine, or on the MAT engine if `mat`.
    in_step: input planes from group to group.
    """

    joint: bool
    first: int
    count: int
    step: int
    in_step: int
    mat: bool = False

    @property
    def width(self) -> int:
        """Output blocks of a group."""
        return 2 if self.joint else 1

    @property
    def buffers(self) -> tuple[Buffer, ...]:
        """Weight buffers of a group's blocks."""
        if self.joint:
            return Buffer.B, Buffer.C
        return (Buffer.C,) if self.mat else (Buffer.B,)

    def blocks(self) -> np.ndarray:
        """Output blocks in the order of the records and results: group by group, even one first."""
        first = self.first + self.step * np.arange(self.count)
        return (first[:, None] + np.arange(self.width)).reshape(-1)

    @property
    def contiguous(self) -> bool:
        return self.step == self.width


def families(groups: int, out_blocks: int, in_blocks: int) -> list[Family]:
    """Families of a convolution with `groups` groups of out_blocks outputs and in_blocks inputs each."""
    if groups == 1:
        result = [Family(True, 0, out_blocks // 2, 2, 0)] if out_blocks > 1 else []
        return result + ([Family(False, out_blocks - 1, 1, 1, 0)] if out_blocks % 2 else [])
    if out_blocks % 2 == 0:
        return [Family(True, first, groups, out_blocks, in_blocks) for first in range(0, out_blocks, 2)]
    return [Family(False, first, groups, out_blocks, in_blocks) for first in range(out_blocks)]


class PackedConvolution:
    """Packed weights and records of a convolution: `groups` groups of `out_blocks` outputs and `in_blocks` inputs."""

    def __init__(self, node: Convolution, block: int):
        self.groups = merged_groups(node, block)
        weights = pack_convolution(node, block)
        self.out_blocks, self.in_blocks = weights.shape[1], weights.shape[4]
        self.weights = weights.reshape(self.groups * self.out_blocks, *weights.shape[2:])
        self.records = pack_records(node.post, block)


class Constants:
    """Weights and records of one family in memory. row_cycles: cycles of one output row of one group."""

    def __init__(self, context: Context, packed: PackedConvolution, family: Family, width: int, wide: bool = False):
        blocks = family.blocks()
        weights, records = packed.weights, packed.records
        self.family, self.block, self.in_blocks = family, context.config.block, packed.in_blocks
        self.group_words = int(np.prod(weights.shape[1:-1]))  # words of one output block
        chosen = weights[blocks].reshape(family.count, family.width, -1)
        self.engines = [context.constant(chosen[:, engine]) for engine in range(family.width)]
        self.records = context.constant(records[blocks])
        self.record_words = context.record_words * family.width
        # The post-processing pipeline takes a row of results per cycle, which bounds very short sums.
        steps, rows = self.group_words // self.block, family.width * (2 if wide else 1)
        self.row_cycles = width * max(steps, rows)

    def loads(
        self, first: int, count: int, weights: int = 0, records: int = 0
    ) -> tuple[list[Transfer], list[Transfer]]:
        """Transfers of the weights and records of some groups; weights, records: words of the tiles before them."""
        loads = []
        for buffer, memory in zip(self.family.buffers, self.engines, strict=True):
            loads += constant_transfer(
                buffer, memory + first * self.group_words * self.block, count * self.group_words, self.block, weights
            )
        return loads, constant_transfer(
            Buffer.P,
            self.records + first * self.record_words * self.block,
            count * self.record_words,
            self.block,
            records,
        )


@dataclass(frozen=True)
class Piece:
    """Groups first .. first + count - 1 of a family, the tiles that hold their constants, the places in those."""

    part: Constants
    first: int
    count: int
    weights: Tile
    records: Tile
    weights_offset: int = 0
    records_offset: int = 0
    needs: tuple[int, int] = (0, 0)  # loads of the two tiles up to this piece

    @property
    def blocks(self) -> str:
        """Numbers of the output blocks, as text."""
        family = self.part.family
        if family.contiguous:
            return span(family.first + self.first * family.step, self.count * family.width)
        return ", ".join(
            span(family.first + n * family.step, family.width) for n in range(self.first, self.first + self.count)
        )

    def constants(self) -> dict[str, int]:
        """Instruction fields that say where the constants are."""
        return {
            "weights": self.weights.at + self.weights_offset,
            "parameters": (self.records.at + self.records_offset) // RECORD_BYTES,
        }


def streamed(pieces: list[tuple[Constants, int, int]]) -> list[Piece]:
    """Every piece has tiles of its own."""
    result = []
    for part, first, count in pieces:
        weights, records = part.loads(first, count)
        result.append(
            Piece(
                part,
                first,
                count,
                Tile("W", count * part.group_words, weights),
                Tile("P", count * part.record_words, records),
                needs=(len(weights), len(records)),
            )
        )
    return result


def resident(pieces: list[tuple[Constants, int, int]], before: tuple[Tile, Tile] | None = None) -> list[Piece]:
    """All pieces share one tile of weights and one of records.

    before: constants of another layer that come first in the same tiles.
    """
    weights, records = before or (Tile("W", 0), Tile("P", 0))
    result = []
    for part, first, count in pieces:
        weights.words = align(weights.words, part.block)  # what is before may end within a row
        offsets = weights.words, records.words
        for tile, loads in zip((weights, records), part.loads(first, count, *offsets), strict=True):
            tile.loads += loads
        weights.words += count * part.group_words
        records.words += count * part.record_words
        needs = len(weights.loads), len(records.loads)
        result.append(Piece(part, first, count, weights, records, *offsets, needs))
    return result
