"""Pointwise, generic and grouped convolutions and fully connected layers, on both engines where blocks pair up."""

from __future__ import annotations

from dataclasses import dataclass, replace

from triovit.compiler.errors import require
from triovit.compiler.lower.features import FeatureRows
from triovit.compiler.lower.output_blocks import Constants, Family, PackedConvolution, Piece, families, streamed
from triovit.compiler.memory.layout import TensorLayout
from triovit.compiler.requirements import check_count
from triovit.compiler.schedule.context import Context, no_tiling, post_fields
from triovit.compiler.schedule.rings import Area, span
from triovit.compiler.schedule.schedule import Schedule, Step
from triovit.compiler.schedule.tiling import ConvolutionSize, Totals, choose_convolution
from triovit.compiler.schedule.transfer import Part, Region, Transfer, map_transfer
from triovit.golden.integer.nodes import Convolution
from triovit.hdl.isa.names import Destination, Opcode


def output_transfers(
    layout: TensorLayout, family: Family, first: int, count: int, row: int, rows: int
) -> list[Transfer]:
    """Transfers between results in O (group by group, [block][row][column]) and a map in memory."""
    plane = family.first + first * family.step
    if family.contiguous:
        return map_transfer(layout, Part.of_rows(layout, plane, count * family.width, row, rows))
    words = rows * layout.shape[2]
    result = []
    for engine in range(family.width):
        part = replace(Part.of_rows(layout, plane + engine, count, row, rows), plane_step=family.step)
        result += map_transfer(layout, part, local=engine * words, local_plane=family.width * words)
    return result


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
    source, target = context.tensors[node.input], context.tensors[node.name]
    wide = node.post.activation == "wide"
    _, height, width = target.shape
    require(
        not wide or (height, width) == (1, 1), node.name, f"16-bit results need a 1 x 1 map, not {height} x {width}"
    )
    packed = PackedConvolution(node, context.config.block)
    check_count(node.name, "blocks", packed.in_blocks, f"input blocks of {context.config.block} channels")
    check_count(node.name, "kernel_rows", node.kernel, "kernel rows")
    check_count(node.name, "cols", width, "output columns")
    chosen = [
        Constants(context, packed, family, width, wide)
        for family in families(packed.groups, packed.out_blocks, packed.in_blocks)
    ]
    size = _size(node, context, chosen)
    tiling = choose_convolution(size, context)
    if tiling is None:
        raise no_tiling(node.name, size.smallest(), context.config)

    rolling = tiling.rows < height and node.kernel > 1
    make = Order(node, layer, context, FeatureRows(source, 0, source.blocks, node.padding, rolling)).step
    pieces = [
        (part, first, min(tiling.groups, part.family.count - first))
        for part in chosen
        for first in range(0, part.family.count, tiling.groups)
    ]
    row_tiles = [(row, min(tiling.rows, height - row)) for row in range(0, height, tiling.rows)]
    if tiling.chunk_outer:
        return [make(piece, row, rows, True) for piece in streamed(pieces) for row, rows in row_tiles]
    kept = streamed(pieces) if tiling.resident else None
    return [
        make(piece, row, rows, number == 0)
        for row, rows in row_tiles
        for number, piece in enumerate(kept or streamed(pieces))
    ]


def _size(node: Convolution, context: Context, chosen: list[Constants]) -> ConvolutionSize:
    source, (_, height, width) = context.tensors[node.input], context.tensors[node.name].shape
    lead = chosen[0]
    return ConvolutionSize(
        rows=height,
        groups=lead.family.count,
        feature_line=source.blocks * (source.shape[2] + 2 * node.padding),
        kernel=node.kernel,
        stride=node.stride,
        output_line=lead.family.width * width * (2 if node.post.activation == "wide" else 1),
        weight_words=lead.group_words,
        record_words=lead.record_words,
        totals=Totals(
            families=len(chosen),
            row_cycles=sum(part.row_cycles * part.family.count for part in chosen),
            output_line=sum(part.family.width * part.family.count for part in chosen) * width,
            weight_words=sum(part.group_words * part.family.count for part in chosen),
            record_words=sum(part.record_words * part.family.count for part in chosen),
        ),
        residual=node.residual is not None,
    )


@dataclass(frozen=True)
class Order:
    """Makes the steps of one convolution. features: shared by all of them."""

    node: Convolution
    layer: int
    context: Context
    features: FeatureRows

    def step(self, piece: Piece, row: int, rows: int, fetch: bool) -> Step:
        """Output rows row .. row + rows - 1 of a piece's channels; fetch: its input rows are not there yet."""
        node, context = self.node, self.context
        target, family, place = context.tensors[node.name], piece.part.family, (piece.first, piece.count, row, rows)
        words = piece.count * family.width * rows * target.shape[2]
        if node.post.activation == "wide":
            results = Area("O", 2 * words, stores=[wide_transfer(target, family, piece.first, piece.count)])
        else:
            results = Area("O", words, stores=output_transfers(target, family, *place))
        if node.residual is not None:
            results.loads = output_transfers(context.tensors[node.residual], family, *place)
        beats = context.beats(results.stores + results.loads)
        if fetch:
            input_rows = min((rows - 1) * node.stride + node.kernel, rows * node.stride)
            beats += self.features.beats(context, row * node.stride, input_rows)
        return ConvolutionStep(
            layer=self.layer,
            constants=list(zip((piece.weights, piece.records), piece.needs, strict=True)),
            places={"results": results},
            cycles=piece.count * rows * piece.part.row_cycles,
            beats=beats,
            rows=rows,
            node=node,
            piece=piece,
            features=self.features,
            fetch=fetch,
            row=row,
            width=target.shape[2],
        )


@dataclass(eq=False, kw_only=True, repr=False)
class ConvolutionStep(Step):
    """Some output rows of a piece's channels: `results` in O, where residual operands are loaded first.

    fetch: it loads its input rows; otherwise an earlier step has loaded them.
    """

    node: Convolution
    piece: Piece
    features: FeatureRows
    fetch: bool
    row: int
    width: int

    @property
    def work(self) -> str:
        engines = "both engines" if self.piece.part.family.joint else "R-MAC"
        work = f"rows {span(self.row, self.rows)} of output blocks {self.piece.blocks} on {engines}"
        return work if self.fetch else f"{work}, input rows of the step before"

    def prepare(self, schedule: Schedule) -> None:
        if self.fetch:
            stride, kernel = self.node.stride, self.node.kernel
            self.features.fetch(schedule, self.row * stride, (self.rows - 1) * stride + kernel)
        super().prepare(schedule)

    def run(self, schedule: Schedule) -> None:
        node, piece, family = self.node, self.piece, self.piece.part.family
        address, in_row, in_plane = self.features.held
        wide = node.post.activation == "wide"
        schedule.compute(
            Opcode.RMAC_CONV,
            joint=int(family.joint),
            stride=node.stride - 1,
            groups=piece.count,
            rows=self.rows,
            cols=self.width,
            kernel_rows=node.kernel,
            kernel_cols=node.kernel,
            blocks=piece.part.in_blocks,
            in_base=address + piece.first * family.in_step * in_plane,
            in_group=family.in_step * in_plane,
            in_row=in_row,
            in_block=in_plane,
            **piece.constants(),
            out_base=self.places["results"].at,
            out_group=1 if wide else self.rows * self.width,
            out_row=piece.count * family.width if wide else self.width,
            destination=int(Destination.O),
            residual=int(node.residual is not None),
            **post_fields(node.post),
        )
        if family.joint:
            schedule.compute(Opcode.MAT_JOIN)
        schedule.empty(self.places["results"])
