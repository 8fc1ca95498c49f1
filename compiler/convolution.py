"""Pointwise, generic and grouped convolutions and fully connected layers, on both engines together where blocks pair up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compiler.context import Context, no_tiling, post_fields
from compiler.errors import require
from compiler.layout import TensorLayout
from compiler.pack import merged_groups, pack_convolution, pack_records
from compiler.schedule import FeatureRows, Schedule, Step, Tile
from compiler.tiling import choose_convolution
from compiler.transfer import Region, Transfer, constant_transfer, map_transfer
from golden.integer.network import Convolution
from hdl.isa import Buffer, Destination, Opcode


@dataclass(frozen=True)
class Family:
    """Output blocks that one kind of instruction computes: `count` groups, the next one `step` output blocks further on.

    joint: a group is a pair of neighbouring blocks, the even one for the R-MAC engine (buffer B), the odd one for the MAT
    engine (buffer C); otherwise a group is one block, on the R-MAC engine. in_step: input planes from group to group.
    """

    joint: bool
    first: int
    count: int
    step: int
    in_step: int

    @property
    def width(self) -> int:
        """Output blocks of a group."""
        return 2 if self.joint else 1

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


class Constants:
    """Weights and records of one family in memory."""

    def __init__(self, context: Context, weights: np.ndarray, records: np.ndarray, family: Family):
        blocks = family.blocks()
        self.family, self.block = family, context.config.block
        self.group_words = int(np.prod(weights.shape[1:-1]))  # words of one output block
        chosen = weights[blocks].reshape(family.count, family.width, -1)
        self.engines = [context.constant(chosen[:, engine]) for engine in range(family.width)]
        self.records = context.constant(records[blocks])
        self.record_words = context.record_words * family.width

    def tiles(self, first: int, count: int) -> list[Tile]:
        """Weights and records of groups first .. first + count - 1."""
        words = count * self.group_words
        loads = []
        for buffer, memory in zip((Buffer.B, Buffer.C), self.engines, strict=False):
            loads += constant_transfer(buffer, memory + first * self.group_words * self.block, words, self.block)
        records = count * self.record_words
        record_loads = constant_transfer(Buffer.P, self.records + first * self.record_words * self.block, records, self.block)
        return [Tile("W", words, loads), Tile("P", records, record_loads)]


def output_transfers(layout: TensorLayout, family: Family, first: int, count: int, row: int, rows: int) -> list[Transfer]:
    """Transfers between results in O (group by group, [block][row][column]) and a map in memory."""
    columns = layout.shape[2]
    words = rows * columns
    plane = family.first + first * family.step
    common = {"row": row, "rows": rows, "column": 0, "columns": columns, "local_row": columns}
    if family.contiguous:
        return map_transfer(layout, plane=plane, planes=count * family.width, local_plane=words, **common)
    return [t for engine in range(family.width)
            for t in map_transfer(layout, plane=plane + engine, planes=count, plane_step=family.step, local=engine * words,
                                  local_plane=family.width * words, **common)]


def wide_transfer(layout: TensorLayout, family: Family, first: int, count: int) -> Transfer:
    """Low bytes, then high bytes of some blocks of 16-bit logits."""
    blocks = count * family.width
    return Transfer(Region.MAPS, layout.address(0, 0, family.first + first * family.step), blocks, planes=2,
                    memory_plane=layout.plane_bytes, local_plane=blocks, tensor=layout)


def lower_convolution(node: Convolution, layer: int, context: Context) -> list[Step]:
    """Steps of a convolution that is not depthwise. Raises CompileError when its smallest tile fits no buffer."""
    config, block = context.config, context.config.block
    source, target = context.tensors[node.input], context.tensors[node.name]
    wide = node.post.activation == "wide"
    kernel, stride = node.kernel, node.stride
    _, height, width = target.shape
    require(not wide or (height, width) == (1, 1), node.name, f"16-bit results need a 1 x 1 map, not {height} x {width}")
    groups = merged_groups(node, block)
    weights = pack_convolution(node, block)
    out_blocks, in_blocks = weights.shape[1], weights.shape[4]
    weights = weights.reshape(groups * out_blocks, *weights.shape[2:])
    records = pack_records(node.post, block)
    steps_a_pixel = kernel * kernel * in_blocks
    require(in_blocks < 1024, node.name, f"needs {in_blocks} input blocks, the limit is 1023")
    require(kernel < 16, node.name, f"kernel {kernel} is beyond the limit of 15")
    # A 1 x 1 convolution without stride sees no geometry: rows that follow each other in memory are one long row.
    chosen = [Constants(context, weights, records, family) for family in families(groups, out_blocks, in_blocks)]
    lead = chosen[0]
    feature_line = source.blocks * (source.shape[2] + 2 * node.padding)
    output_line = lead.family.width * width * (2 if wide else 1)
    tiling = choose_convolution(
        rows=height, groups=lead.family.count,
        row_cycles=width * max(steps_a_pixel, lead.family.width * (2 if wide else 1)),
        feature_line=feature_line, kernel=kernel, stride=stride, output_line=output_line,
        weight_words=lead.group_words, record_words=lead.record_words, capacity=context.capacity,
        beat_words=config.beat_words, residual=node.residual is not None)
    if tiling is None:
        raise no_tiling(node.name, {"A": kernel * feature_line, "O": output_line, "W": lead.group_words,
                                    "P": lead.record_words}, context.capacity)

    def make_step(part: Constants, tiles: list[Tile], features: FeatureRows, row: int, rows: int, first: int, count: int,
                  fetch: bool) -> Step:
        family = part.family
        input_row, input_rows = row * stride, (rows - 1) * stride + kernel
        residual = node.residual is not None
        place: list[tuple[int, int, int]] = []

        def prepare(schedule: Schedule) -> None:
            if fetch:
                features.place = features.fetch(schedule, input_row, input_rows)
            blocks = count * family.width
            out = schedule.take("O", blocks * rows * width * (2 if wide else 1))
            place.append(out)
            if residual:
                for transfer in output_transfers(context.tensors[node.residual], family, first, count, row, rows):
                    schedule.load(transfer, out, Buffer.O)

        def run(schedule: Schedule) -> None:
            address, in_row, in_plane = features.place
            out = place[0]
            schedule.compute(
                Opcode.RMAC_CONV, joint=int(family.joint), stride=stride - 1, groups=count, rows=rows, cols=width,
                kernel_rows=kernel, kernel_cols=kernel, blocks=in_blocks,
                in_base=address + first * family.in_step * in_plane, in_group=family.in_step * in_plane, in_row=in_row,
                in_block=in_plane, weights=tiles[0].address, parameters=tiles[1].address // context.record_words,
                out_base=out, out_group=1 if wide else rows * width, out_row=count * family.width if wide else width,
                destination=int(Destination.O), residual=int(residual), **post_fields(node.post))
            if family.joint:
                schedule.compute(Opcode.MAT_JOIN)
            if wide:
                schedule.store(wide_transfer(target, family, first, count), out)
            else:
                for transfer in output_transfers(target, family, first, count, row, rows):
                    schedule.store(transfer, out)

        cycles = count * rows * width * max(steps_a_pixel, family.width)
        beats = sum(t.beats(block, config.data_bytes) for t in output_transfers(target, family, first, count, row, rows)
                    ) * (2 if residual else 1) if not wide else 2
        if fetch:
            beats += features.beats(config, input_row, input_rows)
        return Step(layer, tiles, prepare, run, cycles, beats, rows)

    # Pieces of weights: (constants, first group, groups, tiles while resident).
    pieces = [(part, first, min(tiling.groups, part.family.count - first))
              for part in chosen for first in range(0, part.family.count, tiling.groups)]
    resident = {id(piece): piece[0].tiles(*piece[1:]) for piece in pieces} if tiling.resident else {}
    rolling = tiling.rows < height and kernel > 1
    result = []
    row_tiles = [(row, min(tiling.rows, height - row)) for row in range(0, height, tiling.rows)]
    if tiling.chunk_outer:
        for part, first, count in pieces:
            tiles = part.tiles(first, count)
            features = FeatureRows(source, 0, source.blocks, node.padding, rolling)
            result += [make_step(part, tiles, features, row, rows, first, count, True) for row, rows in row_tiles]
        return result
    features = FeatureRows(source, 0, source.blocks, node.padding, rolling)
    for row, rows in row_tiles:
        for number, piece in enumerate(pieces):
            part, first, count = piece
            tiles = resident[id(piece)] if tiling.resident else part.tiles(first, count)
            result.append(make_step(part, tiles, features, row, rows, first, count, number == 0))
    return result
