"""A depthwise convolution and the pointwise one behind it as one pipeline, the tensor between them on chip only.

The R-MAC engine computes the depthwise layer from buffer A into buffer O, item by item (rows of all channels; for a
grouped convolution channel blocks of all rows). At the same time the MAT engine reads the item before from O and does
as much of the pointwise layer alone as fits that time; then both engines do the rest together. Source: Trio-ViT,
inter-layer pipeline (MAT starts the pointwise layer while R-MAC is still in the depthwise one, then R-MAC joins).
"""

from __future__ import annotations

from dataclasses import dataclass

from triovit.compiler.context import Context, post_fields
from triovit.compiler.lower.depthwise import depthwise_tiles
from triovit.compiler.lower.features import FeatureRows
from triovit.compiler.lower.output_blocks import Constants, Family, PackedConvolution, Piece, resident
from triovit.compiler.memory.layout import TensorLayout
from triovit.compiler.schedule.pipeline import Geometry, Pipeline
from triovit.compiler.schedule.schedule import Schedule, Step, Tile, complete
from triovit.compiler.schedule.transfer import map_transfer
from triovit.golden.integer.nodes import Convolution
from triovit.hdl.isa.names import Buffer, Destination, Opcode


@dataclass
class Item:
    """One piece of work: output rows, input planes, groups of the second layer, places of both layers' results in O.

    constants: the tiles of weights and records of both layers, those of the depthwise layer first.
    """

    row: int
    rows: int
    plane: int
    planes: int
    group: int
    constants: tuple[Tile, Tile]
    pieces: list[tuple[Piece, int, int]]  # of the second layer, each with its first column and columns
    features: FeatureRows
    middle: int = 0
    out: int = 0


class FusedPair:
    """Makes the steps of one pair of layers."""

    def __init__(self, pipeline: Pipeline, first: Convolution, second: Convolution, layer: int, context: Context):
        self.pipeline, self.first, self.second, self.layer, self.context = pipeline, first, second, layer, context
        self.g = Geometry(context, first, second, context.tensors[first.input], context.tensors[second.name])
        self.width = self.g.target.shape[2]
        self.packed = PackedConvolution(second, context.config.block)
        self.residual = None if second.residual is None else context.tensors[second.residual]

    def items(self) -> list[Item]:
        g, height = self.g, self.g.target.shape[1]
        if g.groups > 1:
            return self._channel_items()
        tiles = depthwise_tiles(self.first, self.context, [(0, g.source.blocks)])[0]
        pieces = self._shared_pieces(tiles)
        features = FeatureRows(g.source, 0, g.source.blocks, self.first.padding, True)
        return [
            Item(row, min(self.pipeline.rows, height - row), 0, g.source.blocks, 0, tiles, pieces, features)
            for row in range(0, height, self.pipeline.rows)
        ]

    def _shared_pieces(self, tiles: tuple[Tile, Tile]) -> list[tuple[Piece, int, int]]:
        """Pairs for both engines, then the partly shared pair, then what the MAT engine does alone."""
        pairs, odd = divmod(self.g.out_blocks, 2)
        columns, alone = self.pipeline.columns, self.pipeline.alone
        split = 1 if columns else 0
        joint = pairs - alone
        work = []  # constants, first group, groups, first column, columns
        if joint:
            part = Constants(self.context, self.packed, Family(True, 0, joint, 2, 0), self.width)
            work += [(part, 0, joint - split, 0, self.width), (part, joint - split, split, 0, self.width - columns)]
        if alone or split or odd:
            first = 2 * (joint - split)
            family = Family(False, first, 2 * (alone + split) + odd, 1, 0, mat=True)
            part = Constants(self.context, self.packed, family, self.width)
            work += [(part, 0, 2 * split, self.width - columns, columns)]
            work += [(part, 2 * split, 2 * alone + odd, 0, self.width)]
        work = [piece for piece in work if piece[2] and piece[4]]
        return [(p, *w[3:]) for p, w in zip(resident([w[:3] for w in work], tiles), work, strict=True)]

    def _channel_items(self) -> list[Item]:
        g = self.g
        count = self.pipeline.blocks // g.in_blocks
        families = [Family(False, p, g.groups, g.out_blocks, g.in_blocks, mat=True) for p in range(g.out_blocks)]
        chosen = [Constants(self.context, self.packed, family, self.width) for family in families]
        chunks = [(group, min(count, g.groups - group)) for group in range(0, g.groups, count)]
        tiles = depthwise_tiles(self.first, self.context, [(a * g.in_blocks, n * g.in_blocks) for a, n in chunks])
        result = []
        for (group, groups), depthwise in zip(chunks, tiles, strict=True):
            pieces = [(p, 0, self.width) for p in resident([(part, group, groups) for part in chosen], depthwise)]
            plane, planes = group * g.in_blocks, groups * g.in_blocks
            features = FeatureRows(g.source, plane, planes, self.first.padding, False)
            result.append(Item(0, g.target.shape[1], plane, planes, group, depthwise, pieces, features))
        return result

    # ---- instructions ----
    def depthwise(self, schedule: Schedule, item: Item, place: tuple[int, int, int]) -> None:
        node, context = self.first, self.context
        (address, in_row, in_plane), plane_words = place, item.rows * self.width
        weights, records = item.constants
        schedule.layer = self.layer
        schedule.compute(
            Opcode.RMAC_DEPTHWISE,
            stride=node.stride - 1,
            groups=item.planes,
            rows=item.rows,
            cols=self.width,
            kernel_rows=node.kernel,
            kernel_cols=node.kernel,
            blocks=1,
            in_base=address,
            in_group=in_plane,
            in_row=in_row,
            weights=weights.address,
            parameters=records.address // context.record_words,
            out_base=item.middle,
            out_group=plane_words,
            out_row=self.width,
            destination=int(Destination.O),
            **post_fields(node.post),
        )
        if node.name in context.tensors:
            for transfer in map_transfer(
                context.tensors[node.name],
                plane=item.plane,
                planes=item.planes,
                row=item.row,
                rows=item.rows,
                column=0,
                columns=self.width,
                local_row=self.width,
                local_plane=plane_words,
            ):
                schedule.store(transfer, item.middle)

    def outputs(self, layout: TensorLayout, item: Item) -> list:
        """Transfers between an item's results in O and a map."""
        blocks = self.out_planes(item)
        return map_transfer(
            layout,
            plane=item.group * self.g.out_blocks,
            planes=blocks,
            row=item.row,
            rows=item.rows,
            column=0,
            columns=self.width,
            local_row=self.width,
            local_plane=item.rows * self.width,
        )

    def out_planes(self, item: Item) -> int:
        return item.planes // self.g.in_blocks * self.g.out_blocks

    def pointwise(self, schedule: Schedule, item: Item) -> None:
        schedule.layer = self.layer + 1
        # The MAT engine's own part first: it starts while the R-MAC engine is in the next item's depthwise layer.
        for piece, column, columns in sorted(item.pieces, key=lambda p: p[0].part.family.joint):
            self._convolution(schedule, item, piece, column, columns)
        for transfer in self.outputs(self.g.target, item):
            schedule.store(transfer, item.out)

    def _convolution(self, schedule: Schedule, item: Item, piece: Piece, column: int, columns: int) -> None:
        family, plane_words = piece.part.family, item.rows * self.width
        block = family.first + piece.first * family.step - item.group * self.g.out_blocks
        schedule.compute(
            Opcode.MAT_CONV if family.mat else Opcode.RMAC_CONV,
            source=1,
            joint=int(family.joint),
            groups=piece.count,
            rows=item.rows,
            cols=columns,
            kernel_rows=1,
            kernel_cols=1,
            blocks=self.packed.in_blocks,
            in_base=item.middle + column,
            in_group=family.in_step * plane_words,
            in_row=self.width,
            in_block=plane_words,
            weights=piece.weights.address + piece.weights_offset,
            parameters=(piece.records.address + piece.records_offset) // self.context.record_words,
            out_base=item.out + block * plane_words + column,
            out_group=plane_words if family.joint else family.step * plane_words,
            out_row=self.width,
            destination=int(Destination.O),
            residual=int(self.residual is not None),
            **post_fields(self.second.post),
        )
        if family.joint:
            schedule.compute(Opcode.MAT_JOIN)

    # ---- steps ----
    def steps(self) -> list[Step]:
        items = self.items()
        return [self._step(now, before) for now, before in zip([*items, None], [None, *items], strict=True)]

    def _step(self, now: Item | None, before: Item | None) -> Step:
        """The depthwise part of one item next to the pointwise part of the one before."""
        node, config = self.first, self.context.config
        place: list[tuple[int, int, int]] = []

        def prepare(schedule: Schedule) -> None:
            if now:
                rows = (now.rows - 1) * node.stride + node.kernel
                place.append(now.features.fetch(schedule, now.row * node.stride, rows))
                now.middle = schedule.take("O", now.planes * now.rows * self.width)
            if before:
                schedule.layer = self.layer + 1
                before.out = schedule.take("O", self.out_planes(before) * before.rows * self.width)
                if self.residual is not None:
                    for transfer in self.outputs(self.residual, before):
                        schedule.load(transfer, before.out, Buffer.O)

        def run(schedule: Schedule) -> None:
            if now:
                self.depthwise(schedule, now, place[0])
            if before:
                self.pointwise(schedule, before)

        constants, cycles, beats = [], 0, 0
        if now:
            constants += complete(*now.constants)
            cycles += now.rows * self.g.depthwise_cycles(now.planes)
            beats += now.features.beats(config, now.row * node.stride, now.rows * node.stride)
        if before:
            constants += complete(*before.constants)
            joint = [(p, columns) for p, _, columns in before.pieces if p.part.family.joint]
            cycles += sum(p.count * columns * before.rows * self.packed.in_blocks for p, columns in joint)
            moved = self.outputs(self.g.target, before) * (2 if self.residual else 1)
            beats += sum(t.beats(config.block, config.data_bytes) for t in moved)
        return Step(self.layer, constants, prepare, run, cycles, beats)
