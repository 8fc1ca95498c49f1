"""Depthwise convolutions, on the R-MAC engine."""

from __future__ import annotations

from triovit.compiler.context import Context, no_tiling, post_fields
from triovit.compiler.errors import require
from triovit.compiler.lower.features import FeatureRows
from triovit.compiler.memory.pack import pack_depthwise, pack_records
from triovit.compiler.schedule.schedule import Schedule, Step, Tile, complete
from triovit.compiler.schedule.tiling import choose_depthwise
from triovit.compiler.schedule.transfer import constant_transfer, map_transfer
from triovit.golden.integer.nodes import Convolution
from triovit.hdl.isa.names import Buffer, Destination, Opcode


def lower_depthwise(node: Convolution, layer: int, context: Context, by_channels: bool) -> list[Step]:
    """Steps of a depthwise convolution with as many outputs as inputs; by_channels: see `choose_depthwise`."""
    config, block = context.config, context.config.block
    source, target = context.tensors[node.input], context.tensors[node.name]
    kernel, stride, taps = node.kernel, node.stride, node.kernel**2
    _, height, width = target.shape
    require(kernel < 16, node.name, f"kernel {kernel} is beyond the limit of 15")
    line = source.shape[2] + 2 * node.padding
    tiling = choose_depthwise(
        rows=height,
        blocks=source.blocks,
        row_cycles=-(-width // block) * max(taps, block),
        feature_line=line,
        kernel=kernel,
        stride=stride,
        output_line=width,
        record_words=context.record_words,
        capacity=context.capacity,
        beat_words=config.beat_words,
        cores=config.cores,
        step_words=context.step_words,
        by_channels=by_channels,
    )
    if tiling is None:
        raise no_tiling(
            node.name, {"A": kernel * line, "O": width, "W": taps, "P": context.record_words}, context.capacity
        )
    residual = None if node.residual is None else context.tensors[node.residual]
    chunks = [(p, min(tiling.blocks, source.blocks - p)) for p in range(0, source.blocks, tiling.blocks)]
    result = []
    for (plane, planes), tiles in zip(chunks, depthwise_tiles(node, context, chunks), strict=True):
        features = FeatureRows(source, plane, planes, node.padding, tiling.rolling)
        for row in range(0, height, tiling.rows):
            rows = min(tiling.rows, height - row)
            result.append(_step(node, layer, context, tiles, features, residual, target, plane, planes, row, rows))
    return result


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


def _step(node, layer, context, tiles, features, residual, target, plane, planes, row, rows) -> Step:
    config, kernel, stride = context.config, node.kernel, node.stride
    width = target.shape[2]
    input_row, input_rows = row * stride, (rows - 1) * stride + kernel
    transfers = {
        "plane": plane,
        "planes": planes,
        "row": row,
        "rows": rows,
        "column": 0,
        "columns": width,
        "local_row": width,
        "local_plane": rows * width,
    }
    place: list[tuple] = []

    def prepare(schedule: Schedule) -> None:
        place.append(features.fetch(schedule, input_row, input_rows))
        out = schedule.take("O", planes * rows * width)
        place.append(out)
        if residual is not None:
            for transfer in map_transfer(residual, **transfers):
                schedule.load(transfer, out, Buffer.O)

    def run(schedule: Schedule) -> None:
        (address, in_row, in_plane), out = place
        schedule.compute(
            Opcode.RMAC_DEPTHWISE,
            stride=stride - 1,
            groups=planes,
            rows=rows,
            cols=width,
            kernel_rows=kernel,
            kernel_cols=kernel,
            blocks=1,
            in_base=address,
            in_group=in_plane,
            in_row=in_row,
            weights=tiles[0].address,
            parameters=tiles[1].address // context.record_words,
            out_base=out,
            out_group=rows * width,
            out_row=width,
            destination=int(Destination.O),
            residual=int(residual is not None),
            **post_fields(node.post),
        )
        for transfer in map_transfer(target, **transfers):
            schedule.store(transfer, out)

    cycles = planes * rows * -(-width // config.block) * max(kernel * kernel, config.block)
    beats = planes * rows * width // config.beat_words + features.beats(config, input_row, rows * stride)
    return Step(layer, complete(*tiles), prepare, run, cycles, beats)
