"""Depthwise convolutions, on the R-MAC engine."""

from __future__ import annotations

from dataclasses import dataclass

from triovit.compiler.lower.features import FeatureRows
from triovit.compiler.memory.pack import pack_depthwise, pack_records
from triovit.compiler.requirements import check_count
from triovit.compiler.schedule.context import Context, no_tiling, post_fields
from triovit.compiler.schedule.rings import Area, Tile, complete, span
from triovit.compiler.schedule.schedule import Schedule, Step
from triovit.compiler.schedule.tiling import DepthwiseSize, choose_depthwise, depthwise_row_cycles
from triovit.compiler.schedule.transfer import Part, constant_transfer, map_transfer
from triovit.golden.integer.nodes import Convolution
from triovit.hdl.isa.names import Buffer, Destination, Opcode
from triovit.hdl.isa.record import RECORD_BYTES


@dataclass(eq=False, kw_only=True, repr=False)
class DepthwiseStep(Step):
    """Some output rows of some channel blocks: `results` in O, where residual operands are loaded first."""

    node: Convolution
    features: FeatureRows
    row: int
    width: int

    @property
    def work(self) -> str:
        blocks = span(self.features.plane, self.features.planes)
        return f"rows {span(self.row, self.rows)} of channel blocks {blocks}"

    def prepare(self, schedule: Schedule) -> None:
        stride, kernel = self.node.stride, self.node.kernel
        self.features.fetch(schedule, self.row * stride, (self.rows - 1) * stride + kernel)
        super().prepare(schedule)

    def run(self, schedule: Schedule) -> None:
        (weights, _), (records, _) = self.constants
        results = self.places["results"].at
        fields = depthwise_fields(self.node, self.features, self.rows, self.width, (weights, records), results)
        schedule.compute(Opcode.RMAC_DEPTHWISE, **fields, residual=int(self.node.residual is not None))
        schedule.empty(self.places["results"])


def depthwise_fields(
    node: Convolution, features: FeatureRows, rows: int, width: int, tiles: tuple[Tile, Tile], out: int
) -> dict[str, int]:
    """Fields of the instruction for `rows` output rows of the channel blocks in `features`, with results from `out` on.

    width: output columns. tiles: of weights and of records.
    """
    address, in_row, in_plane = features.held
    weights, records = tiles
    return {
        "stride": node.stride - 1,
        "groups": features.planes,
        "rows": rows,
        "cols": width,
        "kernel_rows": node.kernel,
        "kernel_cols": node.kernel,
        "in_base": address,
        "in_group": in_plane,
        "in_row": in_row,
        "weights": weights.at,
        "parameters": records.at // RECORD_BYTES,
        "out_base": out,
        "out_group": rows * width,
        "out_row": width,
        "destination": int(Destination.O),
        **post_fields(node.post),
    }


def lower_depthwise(node: Convolution, layer: int, context: Context, by_channels: bool) -> list[Step]:
    """Steps of a depthwise convolution with as many outputs as inputs; by_channels: see `choose_depthwise`."""
    source, target = context.tensors[node.input], context.tensors[node.name]
    _, height, width = target.shape
    check_count(node.name, "kernel_rows", node.kernel, "kernel rows")
    check_count(node.name, "cols", width, "output columns")
    size = DepthwiseSize(
        rows=height,
        blocks=source.blocks,
        row_cycles=depthwise_row_cycles(node, width, context.config.block),
        feature_line=source.shape[2] + 2 * node.padding,
        kernel=node.kernel,
        stride=node.stride,
        output_line=width,
        record_words=context.record_words,
    )
    tiling = choose_depthwise(size, context, by_channels)
    if tiling is None:
        raise no_tiling(node.name, size.smallest(), context.config)
    residual = None if node.residual is None else context.tensors[node.residual]
    chunks = [(p, min(tiling.blocks, source.blocks - p)) for p in range(0, source.blocks, tiling.blocks)]
    steps: list[Step] = []
    for (plane, planes), tiles in zip(chunks, depthwise_tiles(node, context, chunks), strict=True):
        features = FeatureRows(source, plane, planes, node.padding, tiling.rolling)
        for row in range(0, height, tiling.rows):
            rows = min(tiling.rows, height - row)
            part = Part.of_rows(target, plane, planes, row, rows)
            loads = [] if residual is None else map_transfer(residual, part)
            words = planes * rows * width
            steps.append(
                DepthwiseStep(
                    layer=layer,
                    constants=complete(*tiles),
                    places={"results": Area("O", words, loads, stores=map_transfer(target, part))},
                    cycles=planes * rows * size.row_cycles,
                    beats=words // context.config.beat_words
                    + features.beats(context, row * node.stride, rows * node.stride),
                    rows=rows,
                    node=node,
                    features=features,
                    row=row,
                    width=width,
                )
            )
    return steps


def depthwise_tiles(node: Convolution, context: Context, chunks: list[tuple[int, int]]) -> list[tuple[Tile, Tile]]:
    """Weights and records of every chunk of channel blocks (first, count)."""
    block, taps, record = context.config.block, node.kernel * node.kernel, context.record_words
    weights = context.constant(pack_depthwise(node.weight, block))
    records = context.constant(pack_records(node.post, block))

    def tile(ring: str, buffer: Buffer, memory: int, words: int, first: int, count: int) -> Tile:
        return Tile(
            ring, count * words, constant_transfer(buffer, memory + first * words * block, count * words, block)
        )

    return [
        (tile("W", Buffer.B, weights, taps, *chunk), tile("P", Buffer.P, records, record, *chunk)) for chunk in chunks
    ]
