"""Transfers between memory and the on-chip buffers, before they have an on-chip address."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from triovit.compiler.memory.layout import TensorLayout
from triovit.hdl.isa.instructions import TRANSFER
from triovit.hdl.isa.names import Buffer

CONSTANT_BYTES = 8192  # of one LOAD of constants
LIMITS = {field.name: field.highest for field in TRANSFER}


class Region(enum.Enum):
    """Part of memory that an offset is relative to."""

    CONSTANTS = "constants"
    MAPS = "maps"


@dataclass(frozen=True)
class Transfer:
    """planes x rows runs of `words` words. `local` is relative to an address that is known when it is issued.

    tensor, plane, plane_step, row: what of a feature map is moved (None for constants).
    """

    region: Region
    memory: int
    words: int
    rows: int = 1
    planes: int = 1
    memory_row: int = 0
    memory_plane: int = 0
    local: int = 0
    local_row: int = 0
    local_plane: int = 0
    buffer: Buffer | None = None
    tensor: TensorLayout | None = None
    plane: int = 0
    plane_step: int = 1
    row: int = 0
    row_count: int = 1

    def fields(self, base: int) -> dict[str, int]:
        """Instruction fields with the on-chip base address filled in (`memory` still relative to its region)."""
        names = ("words", "rows", "planes", "local_row", "local_plane", "memory", "memory_row", "memory_plane")
        return {**{name: getattr(self, name) for name in names}, "local": self.local + base}

    def beats(self, block: int, data_bytes: int) -> int:
        """AXI beats the runs occupy (alignment of the first plane's runs taken for all planes)."""
        total = 0
        for row in range(min(self.rows, 2)):
            start = (self.memory + row * self.memory_row) % data_bytes
            count = self.rows - self.rows // 2 if row == 0 else self.rows // 2
            total += count * -(-(start + self.words * block) // data_bytes)
        return total * self.planes


@dataclass(frozen=True)
class Part:
    """Rows and columns (counted from the interior's first, negative in the border) of some planes of a map."""

    plane: int
    planes: int
    row: int
    rows: int
    column: int
    columns: int
    plane_step: int = 1

    @staticmethod
    def of_rows(layout: TensorLayout, plane: int, planes: int, row: int, rows: int) -> Part:
        """All columns of some rows, without the border."""
        return Part(plane, planes, row, rows, 0, layout.shape[2])

    @staticmethod
    def of_planes(layout: TensorLayout, plane: int, planes: int) -> Part:
        """Whole planes, without the border."""
        return Part.of_rows(layout, plane, planes, 0, layout.shape[1])


def map_transfer(
    layout: TensorLayout,
    part: Part,
    *,
    local: int = 0,
    local_row: int | None = None,
    local_plane: int | None = None,
) -> list[Transfer]:
    """Transfers of a part of a map; on chip it begins at word `local` of its place.

    local_row, local_plane: on-chip words from row to row and from plane to plane; without a gap when not given.
    Runs that follow each other without a gap on both sides become one.
    The result is a list because counters are finite.
    """
    words, runs, memory_row = part.columns, part.rows, layout.row_words * layout.block
    local_row = part.columns if local_row is None else local_row
    local_plane = part.rows * part.columns if local_plane is None else local_plane
    whole = words == layout.row_words and local_row == words and words * runs <= LIMITS["words"]
    if whole or runs == 1:
        words, runs, memory_row, local_row = words * runs, 1, 0, 0
    elif runs > LIMITS["rows"]:
        result = []
        for first in range(0, runs, LIMITS["rows"]):
            some = replace(part, row=part.row + first, rows=min(LIMITS["rows"], runs - first))
            start = local + first * local_row
            result += map_transfer(layout, some, local=start, local_row=local_row, local_plane=local_plane)
        return result
    transfer = Transfer(
        Region.MAPS,
        layout.address(part.plane, part.row, part.column),
        words,
        runs,
        part.planes,
        memory_row,
        part.plane_step * layout.plane_bytes if part.planes > 1 else 0,
        local,
        local_row,
        local_plane if part.planes > 1 else 0,
        tensor=layout,
        plane=part.plane,
        plane_step=part.plane_step,
        row=part.row,
        row_count=part.rows,
    )
    return split_planes(transfer, LIMITS["planes"])


def split_planes(transfer: Transfer, most: int) -> list[Transfer]:
    """The same transfer in parts of at most `most` planes."""
    return [
        take_planes(transfer, first, min(most, transfer.planes - first)) for first in range(0, transfer.planes, most)
    ]


def take_planes(transfer: Transfer, first: int, count: int) -> Transfer:
    """Planes first .. first + count - 1 of a transfer."""
    return replace(
        transfer,
        planes=count,
        memory=transfer.memory + first * transfer.memory_plane,
        local=transfer.local + first * transfer.local_plane,
        plane=transfer.plane + first * transfer.plane_step,
    )


def constant_transfer(buffer: Buffer, memory: int, words: int, block: int, local: int = 0) -> list[Transfer]:
    """Consecutive constants for one buffer, from word `local` of its tile on, in parts that delay nobody for long."""
    most = max(1, CONSTANT_BYTES // block)
    return [
        Transfer(Region.CONSTANTS, memory + first * block, min(most, words - first), local=local + first, buffer=buffer)
        for first in range(0, words, most)
    ]
