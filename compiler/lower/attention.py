"""ReLU linear attention, head by head: K^T V and row sums on R-MAC, divisors and quotients on MAT."""

from __future__ import annotations

import numpy as np

from triovit.compiler.context import Context
from triovit.compiler.errors import require
from triovit.compiler.memory.layout import TensorLayout
from triovit.compiler.memory.pack import repeated_record
from triovit.compiler.schedule.schedule import Schedule, Step, Tile, complete
from triovit.compiler.schedule.transfer import Region, Transfer, constant_transfer, map_transfer
from triovit.golden.integer.nodes import Attention
from triovit.hdl.isa.names import Buffer, Destination, Opcode, PostMode
from triovit.hdl.isa.record import RECORD_DTYPE

ONE = {"groups": 1, "rows": 1, "cols": 1, "kernel_rows": 1, "kernel_cols": 1, "blocks": 1}


def lower_attention(node: Attention, layer: int, context: Context) -> list[Step]:
    """A step a head and branch; the queues let the R-MAC engine run a head ahead of the MAT engine."""
    config, block = context.config, context.config.block
    name, dim = node.name, node.dim
    require(dim % block == 0, name, f"heads of {dim} channels are not whole blocks of {block} channels")
    blocks = dim // block  # of q, k and v each
    require(blocks < 16, name, f"heads have {blocks} blocks of channels, the limit is 15")
    _, height, width = context.tensors[name].shape
    tokens = height * width
    require(tokens <= config.divisors, name, f"needs {tokens} words of the divisor buffer, which has {config.divisors}")
    require(tokens < 4096, name, f"has {tokens} tokens, the limit is 4095")
    require(
        2 * blocks * tokens <= config.feature_words,
        name,
        f"k and v of a head need {2 * blocks * tokens} words of buffer A, which has {config.feature_words}",
    )
    place_words = (blocks + 1) * blocks * block
    require(
        place_words <= config.attention_words,
        name,
        f"a head needs {place_words} words of buffer K, which has {config.attention_words}",
    )
    result_words = 2 * blocks * tokens + (blocks * (dim + 1) + tokens if context.trace else 0)
    require(
        result_words <= config.output_words,
        name,
        f"a head's queries and results need {result_words} words of buffer O, which has {config.output_words}",
    )

    # Records of a head: K^T V, row sums, divisors (zeros), and as many equal ones for the quotients as it has v blocks.
    head_blocks = 3 + blocks
    head_words = head_blocks * context.record_words
    heads_a_tile = min(max(1, config.parameter_words // 4 // head_words), node.heads)
    require(
        head_words <= config.parameter_words,
        name,
        f"a head's records need {head_words} words of buffer P, which has {config.parameter_words}",
    )
    steps = []
    for branch in range(len(node.inputs)):
        for first in range(0, node.heads, heads_a_tile):
            heads = range(first, min(first + heads_a_tile, node.heads))
            records = np.stack([_head_records(node, branch, head, blocks, block) for head in heads])
            words = len(heads) * head_words
            tile = Tile("P", words, constant_transfer(Buffer.P, context.constant(records), words, block))
            steps += [_step(node, layer, context, branch, head, tile, (head - first) * head_blocks) for head in heads]
    return steps


def _head_records(node: Attention, branch: int, head: int, blocks: int, block: int) -> np.ndarray:
    rows = [
        repeated_record(node.product[branch], head, block),
        repeated_record(node.key_sum[branch], head, block),
        np.zeros(block, dtype=RECORD_DTYPE),
    ]
    return np.stack(rows + [repeated_record(node.divide[branch], head, block)] * blocks)


def _plane_transfer(layout: TensorLayout, plane: int, words: int) -> Transfer:
    return Transfer(Region.MAPS, layout.address(plane), words, tensor=layout)


def _step(node: Attention, layer: int, context: Context, branch: int, head: int, tile: Tile, record: int) -> Step:
    config, block = context.config, context.config.block
    source, target = context.tensors[node.inputs[branch]], context.tensors[node.name]
    _, height, width = target.shape
    blocks, tokens = node.dim // block, height * width
    out_plane = (branch * node.heads + head) * blocks
    whole = {"row": 0, "rows": height, "column": 0, "columns": width, "local_row": width, "local_plane": tokens}
    queries = map_transfer(source, plane=3 * head * blocks, planes=blocks, **whole)
    loads = map_transfer(source, plane=(3 * head + 1) * blocks, planes=2 * blocks, **whole)
    stores = map_transfer(target, plane=out_plane, planes=blocks, **whole)
    place: list[int] = []

    def prepare(schedule: Schedule) -> None:
        # The engines read from different buffers, or one would wait for the other: R-MAC k and v from A, MAT q from O.
        place.extend((schedule.take("A", 2 * blocks * tokens), schedule.take("O", blocks * tokens)))
        for transfer in loads:
            schedule.load(transfer, place[0], Buffer.A)
        for transfer in queries:
            schedule.load(transfer, place[1], Buffer.O)

    def run(schedule: Schedule) -> None:
        k, q = place
        v = k + blocks * tokens
        kv = schedule.take("K", (blocks + 1) * blocks * block)
        sums = kv + blocks * blocks * block
        out = schedule.take("O", blocks * tokens)
        records = tile.address // context.record_words + record
        kept = int(Destination.O) if context.trace else 0
        kv_out = schedule.take("O", blocks * node.dim) if kept else 0
        sum_out = schedule.take("O", blocks) if kept else 0
        code_out = schedule.take("O", tokens) if kept else 0
        row = {**ONE, "cols": tokens, "in_block": tokens, "in_row": tokens, "in_group": tokens, "relu": 1}
        schedule.compute(
            Opcode.RMAC_OUTER,
            **{**row, "groups": blocks, "kernel_rows": blocks},
            in_base=k,
            in_value=v,
            parameters=records,
            destination=int(Destination.K) | kept,
            attention=kv,
            out_base=kv_out,
            out_group=blocks * block,
            out_row=block,
        )
        schedule.compute(
            Opcode.RMAC_ROW_SUM,
            **{**row, "groups": blocks},
            in_base=k,
            parameters=records + 1,
            destination=int(Destination.K) | kept,
            attention=sums,
            out_base=sum_out,
            out_group=1,
        )
        # Each weight of the row sums is lane 0 of a block of K words.
        matmul = {**row, "in_group": 0, "blocks": blocks, "stationary": 1, "source": 1, "in_base": q}
        schedule.compute(
            Opcode.MAT_CONV,
            **matmul,
            weights=sums,
            parameters=records + 2,
            mode=PostMode.LOG2,
            out_base=code_out,
            out_row=tokens,
            log2_offset=node.log2_offset[branch],
            destination=int(Destination.DIVISOR) | kept,
        )
        schedule.compute(
            Opcode.MAT_CONV,
            **{**matmul, "groups": blocks},
            weights=kv,
            parameters=records + 3,
            mode=PostMode.DIVIDE,
            out_base=out,
            out_group=tokens,
            out_row=tokens,
            destination=int(Destination.O),
        )
        if kept:
            for kind, words, address in (
                ("kv", blocks * node.dim, kv_out),
                ("sum", blocks, sum_out),
                ("code", tokens, code_out),
            ):
                schedule.store(_plane_transfer(context.tensors[f"{node.name}.{kind}{branch}"], head, words), address)
        for transfer in stores:
            schedule.store(transfer, out)

    beats = sum(t.beats(block, config.data_bytes) for t in queries + loads + stores)
    cycles = (1 + blocks) * blocks * tokens
    return Step(layer, complete(tile), prepare, run, cycles, beats)
