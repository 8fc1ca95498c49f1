"""Pointwise, generic and grouped convolutions and fully connected layers, on both engines where blocks pair up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compiler.context import Context, no_tiling, post_fields
from compiler.errors import require
from compiler.layout import TensorLayout
from compiler.pack import merged_groups, pack_convolution, pack_records
from compiler.schedule import FeatureRows, Schedule, Step, Tile
from compiler.tiling import Totals, choose_convolution
from compiler.transfer import Region, Transfer, constant_transfer, map_transfer
from golden.integer.network import Convolution
from hdl.isa import Buffer, Destination, Opcode


@dataclass(frozen=True)
class Family:
    """Output blocks that one kind of instruction computes: `count` groups, the next one `step` blocks further on.

    joint: a group is a pair of neighbouring blocks, the even one for the R-MAC engine (buffer B), the odd one for the
    MAT engine (buffer C); otherwise a group is one block, on the R-MAC engine. in_step: input planes from group to
    group.
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
    """Weights and records of one family in memory. row_cycles: cycles of one output row of one group."""

    def __init__(
        self, context: Context, weights: np.ndarray, records: np.ndarray, family: Family, width: int, wide: bool
    ):
        blocks = family.blocks()
        self.family, self.block, self.in_blocks = family, context.config.block, weights.shape[3]
        self.group_words = int(np.prod(weights.shape[1:-1]))  # words of one output block
        chosen = weights[blocks].reshape(family.count, family.width, -1)
        self.engines = [context.constant(chosen[:, engine]) for engine in range(family.width)]
        self.records = context.constant(records[blocks])
        self.record_words = context.record_words * family.width
        # The post-processing pipeline takes a row of results a cycle, which bounds very short sums.
        steps, rows = self.group_words // self.block, family.width * (2 if wide else 1)
        self.row_cycles = width * max(steps, rows)

    def loads(
        self, first: int, count: int, weights: int = 0, records: int = 0
    ) -> tuple[list[Transfer], list[Transfer]]:
        """Transfers of the weights and records of some groups; weights, records: words of the tiles before them."""
        loads = []
        for buffer, memory in zip((Buffer.B, Buffer.C), self.engines, strict=False):
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


def streamed(pieces: list[tuple[Constants, int, int]]) -> list[Piece]:
    """Every piece has tiles of its own, which are loaded for it."""
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


def resident(pieces: list[tuple[Constants, int, int]]) -> list[Piece]:
    """All pieces share one tile of weights and one of records, which stay for the whole layer."""
    places, weights, records, weight_loads, record_loads = [], 0, 0, [], []
    for part, first, count in pieces:
        loads = part.loads(first, count, weights, records)
        weight_loads += loads[0]
        record_loads += loads[1]
        places.append((weights, records, (len(weight_loads), len(record_loads))))
        weights += count * part.group_words
        records += count * part.record_words
    tiles = Tile("W", weights, weight_loads), Tile("P", records, record_loads)
    return [Piece(*piece, *tiles, *place) for piece, place in zip(pieces, places, strict=True)]


def output_transfers(
    layout: TensorLayout, family: Family, first: int, count: int, row: int, rows: int
) -> list[Transfer]:
    """Transfers between results in O (group by group, [block][row][column]) and a map in memory."""
    columns = layout.shape[2]
    words = rows * columns
    plane = family.first + first * family.step
    common = {"row": row, "rows": rows, "column": 0, "columns": columns, "local_row": columns}
    if family.contiguous:
        return map_transfer(layout, plane=plane, planes=count * family.width, local_plane=words, **common)
    return [
        t
        for engine in range(family.width)
        for t in map_transfer(
            layout,
            plane=plane + engine,
            planes=count,
            plane_step=family.step,
            local=engine * words,
            local_plane=family.width * words,
            **common,
        )
    ]


def wide_transfer(layout: TensorLayout, family: Family, first: int, count: int) -> Transfer:
    """Low bytes, then high bytes of some blocks of 16-bit logits."""
    blocks = count * family.width
    return Transfer(
        Region.MAPS,
        layout.address(0, 0, family.first + first * family.step),
        blocks,
        planes=2,
        memory_plane=layout.plane_bytes,
        local_plane=blocks,
        tensor=layout,
    )


def lower_convolution(node: Convolution, layer: int, context: Context) -> list[Step]:
    """Steps of a convolution that is not depthwise. Raises CompileError when its smallest tile fits no buffer."""
    config, block = context.config, context.config.block
    source, target = context.tensors[node.input], context.tensors[node.name]
    wide = node.post.activation == "wide"
    kernel, stride = node.kernel, node.stride
    _, height, width = target.shape
    require(
        not wide or (height, width) == (1, 1), node.name, f"16-bit results need a 1 x 1 map, not {height} x {width}"
    )
    groups = merged_groups(node, block)
    weights = pack_convolution(node, block)
    out_blocks, in_blocks = weights.shape[1], weights.shape[4]
    weights = weights.reshape(groups * out_blocks, *weights.shape[2:])
    records = pack_records(node.post, block)
    require(in_blocks < 1024, node.name, f"needs {in_blocks} input blocks, the limit is 1023")
    require(kernel < 16, node.name, f"kernel {kernel} is beyond the limit of 15")
    chosen = [
        Constants(context, weights, records, family, width, wide) for family in families(groups, out_blocks, in_blocks)
    ]
    lead = chosen[0]
    feature_line = source.blocks * (source.shape[2] + 2 * node.padding)
    output_line = lead.family.width * width * (2 if wide else 1)
    tiling = choose_convolution(
        rows=height,
        groups=lead.family.count,
        feature_line=feature_line,
        kernel=kernel,
        stride=stride,
        output_line=output_line,
        weight_words=lead.group_words,
        record_words=lead.record_words,
        totals=Totals(
            families=len(chosen),
            row_cycles=sum(part.row_cycles * part.family.count for part in chosen),
            output_line=sum(part.family.width * part.family.count for part in chosen) * width,
            weight_words=sum(part.group_words * part.family.count for part in chosen),
            record_words=sum(part.record_words * part.family.count for part in chosen),
        ),
        capacity=context.capacity,
        beat_words=config.beat_words,
        cores=config.cores,
        step_words=context.step_words,
        residual=node.residual is not None,
    )
    if tiling is None:
        raise no_tiling(
            node.name,
            {"A": kernel * feature_line, "O": output_line, "W": lead.group_words, "P": lead.record_words},
            context.capacity,
        )

    features = FeatureRows(source, 0, source.blocks, node.padding, tiling.rows < height and kernel > 1)
    pieces = [
        (part, first, min(tiling.groups, part.family.count - first))
        for part in chosen
        for first in range(0, part.family.count, tiling.groups)
    ]
    row_tiles = [(row, min(tiling.rows, height - row)) for row in range(0, height, tiling.rows)]
    order = Order(node, layer, context, features)
    if tiling.chunk_outer:
        return [order.step(piece, row, rows, True) for piece in streamed(pieces) for row, rows in row_tiles]
    kept = resident(pieces) if tiling.resident else None
    return [
        order.step(piece, row, rows, number == 0)
        for row, rows in row_tiles
        for number, piece in enumerate(kept or streamed(pieces))
    ]


@dataclass
class Order:
    """Makes the steps of one convolution."""

    node: Convolution
    layer: int
    context: Context
    features: FeatureRows
    place: tuple[int, int, int] = (0, 0, 0)  # of the features in A, for the steps that share them

    def step(self, piece: Piece, row: int, rows: int, fetch: bool) -> Step:
        """Output rows row .. row + rows - 1 of a piece's channels; fetch: its input rows are not there yet."""
        node, context, config = self.node, self.context, self.context.config
        target = context.tensors[node.name]
        family, first, count = piece.part.family, piece.first, piece.count
        width, blocks = target.shape[2], piece.count * piece.part.family.width
        input_row, input_rows = row * node.stride, (rows - 1) * node.stride + node.kernel
        residual = None if node.residual is None else context.tensors[node.residual]
        wide = node.post.activation == "wide"
        if wide:
            stores = [wide_transfer(target, family, first, count)]
        else:
            stores = output_transfers(target, family, first, count, row, rows)
        loads = output_transfers(residual, family, first, count, row, rows) if residual else []
        out: list[int] = []

        def prepare(schedule: Schedule) -> None:
            if fetch:
                self.place = self.features.fetch(schedule, input_row, input_rows)
            out.append(schedule.take("O", blocks * rows * width * (2 if wide else 1)))
            for transfer in loads:
                schedule.load(transfer, out[0], Buffer.O)

        def run(schedule: Schedule) -> None:
            address, in_row, in_plane = self.place
            schedule.compute(
                Opcode.RMAC_CONV,
                joint=int(family.joint),
                stride=node.stride - 1,
                groups=count,
                rows=rows,
                cols=width,
                kernel_rows=node.kernel,
                kernel_cols=node.kernel,
                blocks=piece.part.in_blocks,
                in_base=address + first * family.in_step * in_plane,
                in_group=family.in_step * in_plane,
                in_row=in_row,
                in_block=in_plane,
                weights=piece.weights.address + piece.weights_offset,
                parameters=(piece.records.address + piece.records_offset) // context.record_words,
                out_base=out[0],
                out_group=1 if wide else rows * width,
                out_row=blocks if wide else width,
                destination=int(Destination.O),
                residual=int(residual is not None),
                **post_fields(node.post),
            )
            if family.joint:
                schedule.compute(Opcode.MAT_JOIN)
            for transfer in stores:
                schedule.store(transfer, out[0])

        beats = sum(t.beats(config.block, config.data_bytes) for t in stores + loads)
        if fetch:
            beats += self.features.beats(config, input_row, min(input_rows, rows * node.stride))
        constants = list(zip((piece.weights, piece.records), piece.needs, strict=True))
        return Step(self.layer, constants, prepare, run, count * rows * piece.part.row_cycles, beats, rows)
