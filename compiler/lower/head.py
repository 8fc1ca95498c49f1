"""The head's other layers: global average pool and layer norm."""

from __future__ import annotations

from triovit.compiler.context import Context, post_fields
from triovit.compiler.errors import require
from triovit.compiler.memory.pack import pack_depthwise, pack_records
from triovit.compiler.schedule.schedule import Schedule, Step, Tile, complete
from triovit.compiler.schedule.transfer import constant_transfer, map_transfer
from triovit.golden.integer.nodes import LayerNorm, Pool
from triovit.hdl.isa.names import Buffer, Destination, Opcode

ONE = {"groups": 1, "rows": 1, "cols": 1, "kernel_rows": 1, "kernel_cols": 1, "blocks": 1}


def lower_pool(node: Pool, layer: int, context: Context) -> list[Step]:
    """Row sums of all pixels, some channel blocks a step."""
    config, block = context.config, context.config.block
    source, target = context.tensors[node.input], context.tensors[node.name]
    _, height, width = source.shape
    pixels = height * width
    require(
        pixels <= config.feature_words,
        node.name,
        f"a channel block needs {pixels} words of buffer A, which has {config.feature_words}",
    )
    require(width < 4096 and height < 4096, node.name, f"a {height} x {width} map is beyond the limit of 4095")
    most = min(
        config.feature_words // 2 // pixels, config.parameter_blocks // 2, config.output_words // 2, source.blocks
    )
    # Four parts at least: their loads overlap the sums of the part before.
    most = max(1, min(most, -(-source.blocks // 4)))
    rows, cols = (1, pixels) if pixels < 4096 else (height, width)
    records = context.constant(pack_records(node.post, block))
    steps = []
    for plane in range(0, source.blocks, most):
        planes = min(most, source.blocks - plane)
        tile = Tile(
            "P",
            planes * context.record_words,
            constant_transfer(Buffer.P, records + plane * context.block_bytes(), planes * context.record_words, block),
        )
        loads = map_transfer(
            source,
            plane=plane,
            planes=planes,
            row=0,
            rows=height,
            column=0,
            columns=width,
            local_row=width,
            local_plane=pixels,
        )
        stores = map_transfer(
            target, plane=plane, planes=planes, row=0, rows=1, column=0, columns=1, local_row=1, local_plane=1
        )
        place: list[int] = []

        def prepare(schedule: Schedule, place=place, planes=planes, loads=loads) -> None:
            place += [schedule.take("A", planes * pixels), schedule.take("O", planes)]
            for transfer in loads:
                schedule.load(transfer, place[0], Buffer.A)

        def run(schedule: Schedule, place=place, planes=planes, stores=stores, tile=tile) -> None:
            schedule.compute(
                Opcode.RMAC_ROW_SUM,
                **{**ONE, "groups": planes, "rows": rows, "cols": cols},
                in_base=place[0],
                in_group=pixels,
                in_row=width,
                parameters=tile.address // context.record_words,
                out_base=place[1],
                out_group=1,
                destination=int(Destination.O),
                **post_fields(node.post),
            )
            for transfer in stores:
                schedule.store(transfer, place[1])

        beats = sum(t.beats(block, config.data_bytes) for t in loads + stores)
        steps.append(Step(layer, complete(tile), prepare, run, planes * -(-pixels // block), beats))
    return steps


def lower_layer_norm(node: LayerNorm, layer: int, context: Context) -> list[Step]:
    """One instruction: the mean needs all channels."""
    config, block = context.config, context.config.block
    source, target = context.tensors[node.input], context.tensors[node.name]
    blocks = source.blocks
    for buffer, need, limit in (
        ("A", blocks, config.feature_words),
        ("O", blocks, config.output_words),
        ("B", blocks, config.weight_words),
        ("P", blocks * context.record_words, config.parameter_words),
    ):
        require(need <= limit, node.name, f"needs {need} words of buffer {buffer}, which has {limit}")
    require(blocks < 1024, node.name, f"needs {blocks} blocks, the limit is 1023")
    tiles = [
        Tile(
            "W",
            blocks,
            constant_transfer(
                Buffer.B, context.constant(pack_depthwise(node.weight.reshape(-1, 1, 1, 1), block)), blocks, block
            ),
        ),
        Tile(
            "P",
            blocks * context.record_words,
            constant_transfer(
                Buffer.P, context.constant(pack_records(node.post, block)), blocks * context.record_words, block
            ),
        ),
    ]
    vector = {
        "plane": 0,
        "planes": blocks,
        "row": 0,
        "rows": 1,
        "column": 0,
        "columns": 1,
        "local_row": 1,
        "local_plane": 1,
    }
    place: list[int] = []

    def prepare(schedule: Schedule) -> None:
        place.extend([schedule.take("A", blocks), schedule.take("O", blocks)])
        for transfer in map_transfer(source, **vector):
            schedule.load(transfer, place[0], Buffer.A)

    def run(schedule: Schedule) -> None:
        schedule.compute(
            Opcode.RMAC_LAYER_NORM,
            **{**ONE, "cols": node.weight.shape[0], "blocks": blocks},
            in_base=place[0],
            in_block=1,
            weights=tiles[0].address,
            parameters=tiles[1].address // context.record_words,
            out_base=place[1],
            out_group=1,
            epsilon=node.epsilon,
            destination=int(Destination.O),
            **post_fields(node.post),
        )
        for transfer in map_transfer(target, **vector):
            schedule.store(transfer, place[1])

    return [Step(layer, complete(*tiles), prepare, run, 2 * blocks, 2 * blocks)]
