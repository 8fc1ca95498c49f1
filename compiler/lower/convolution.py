"""Pointwise, generic and grouped convolutions and fully connected layers, on both engines where blocks pair up."""

from __future__ import annotations

from dataclasses import dataclass

from triovit.compiler.context import Context, no_tiling, post_fields
from triovit.compiler.errors import require
from triovit.compiler.lower.features import FeatureRows
from triovit.compiler.lower.output_blocks import Constants, Family, PackedConvolution, Piece, families, streamed
from triovit.compiler.memory.layout import TensorLayout
from triovit.compiler.schedule.schedule import Schedule, Step
from triovit.compiler.schedule.tiling import Totals, choose_convolution
from triovit.compiler.schedule.transfer import Region, Transfer, map_transfer
from triovit.golden.integer.nodes import Convolution
from triovit.hdl.isa.names import Buffer, Destination, Opcode


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
    packed = PackedConvolution(node, block)
    require(packed.in_blocks < 1024, node.name, f"needs {packed.in_blocks} input blocks, the limit is 1023")
    require(kernel < 16, node.name, f"kernel {kernel} is beyond the limit of 15")
    chosen = [
        Constants(context, packed, family, width, wide)
        for family in families(packed.groups, packed.out_blocks, packed.in_blocks)
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
    kept = streamed(pieces) if tiling.resident else None
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
