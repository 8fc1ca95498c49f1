"""ReLU linear attention, head by head: K^T V and row sums on R-MAC, divisors and quotients on MAT."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from triovit.compiler.errors import require
from triovit.compiler.memory.layout import TensorLayout
from triovit.compiler.memory.pack import repeated_record
from triovit.compiler.requirements import check_count, check_words
from triovit.compiler.schedule.context import Context
from triovit.compiler.schedule.rings import Area, Tile, complete
from triovit.compiler.schedule.schedule import Schedule, Step
from triovit.compiler.schedule.transfer import Part, Region, Transfer, constant_transfer, map_transfer
from triovit.golden.integer.nodes import Attention
from triovit.hdl.isa.limits import HIGHEST
from triovit.hdl.isa.names import Buffer, Destination, Opcode, PostMode
from triovit.hdl.isa.record import RECORD_BYTES, RECORD_DTYPE


def lower_attention(node: Attention, layer: int, context: Context) -> list[Step]:
    """A step per head and branch; the queues let the R-MAC engine run a head ahead of the MAT engine."""
    config, block = context.config, context.config.block
    name, dim = node.name, node.dim
    require(dim % block == 0, name, f"heads of {dim} channels are not whole blocks of {block} channels")
    blocks = dim // block  # of q, k and v each
    check_count(name, "kernel_rows", blocks, f"blocks of {block} channels per head")
    _, height, width = context.tensors[name].shape
    tokens = height * width
    check_words(config, name, "divisor", tokens)
    check_count(name, "rows", height, "rows")
    check_count(name, "cols", width, "columns")
    result_words = 2 * blocks * tokens + (blocks * (dim + 1) + tokens if context.trace else 0)
    for buffer, words, needs in (
        ("A", 2 * blocks * tokens, "k and v of a head need"),
        ("K", (blocks + 1) * blocks * block, "a head needs"),
        ("O", result_words, "a head's queries and results need"),
    ):
        check_words(config, name, buffer, words, needs)

    # Records of a head: K^T V, row sums, divisors (zeros), and as many equal ones for the quotients as it has v blocks.
    head_blocks = 3 + blocks
    head_words = head_blocks * context.record_words
    heads_a_tile = min(max(1, config.parameter_words // 4 // head_words), node.heads)
    check_words(config, name, "P", head_words, "a head's records need")
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


def _step(node: Attention, layer: int, context: Context, branch: int, head: int, tile: Tile, record: int) -> Step:
    block, blocks = context.config.block, node.dim // context.config.block
    source, target = context.tensors[node.inputs[branch]], context.tensors[node.name]
    tokens = target.shape[1] * target.shape[2]
    vectors = blocks * tokens  # words of q, k, v or the quotients

    def planes(layout: TensorLayout, first: int, count: int) -> list[Transfer]:
        return map_transfer(layout, Part.of_planes(layout, first, count))

    # The engines read from different buffers, or one would wait for the other: R-MAC k and v from A, MAT q from O.
    places = {
        "keys and values": Area("A", 2 * vectors, planes(source, (3 * head + 1) * blocks, 2 * blocks)),
        "queries": Area("O", vectors, planes(source, 3 * head * blocks, blocks)),
        "weights": Area("K", (blocks + 1) * blocks * block),
        "results": Area("O", vectors, stores=planes(target, (branch * node.heads + head) * blocks, blocks)),
    }
    beats = sum(context.beats(place.loads + place.stores) for place in places.values())
    if context.trace:
        for name, kind, words in (
            ("products", "kv", blocks * node.dim),
            ("sums", "sum", blocks),
            ("codes", "code", tokens),
        ):
            layout = context.tensors[f"{node.name}.{kind}{branch}"]
            store = Transfer(Region.MAPS, layout.address(head), words, tensor=layout)
            places[name] = Area("O", words, stores=[store])
    return AttentionStep(
        layer=layer,
        constants=complete(tile),
        places=places,
        cycles=(1 + blocks) * vectors,
        beats=beats,
        node=node,
        branch=branch,
        head=head,
        record=record,
        block=block,
        tokens=tokens,
        width=target.shape[2],
    )


@dataclass(eq=False, kw_only=True, repr=False)
class AttentionStep(Step):
    """One head of one branch: k and v in A, q and the quotients in O, K^T V and row sums in K.

    record: its first channel block of records in the tile. products, sums and codes have places in O when they are
    traced.
    """

    node: Attention
    branch: int
    head: int
    record: int
    block: int
    tokens: int
    width: int

    @property
    def work(self) -> str:
        return f"head {self.head} of branch {self.branch}, {self.tokens} tokens"

    def _traced(self, name: str) -> dict[str, int]:
        """Fields that put an intermediate into O as well, if it is traced."""
        return {"out_base": self.places[name].at} if name in self.places else {}

    def run(self, schedule: Schedule) -> None:
        block, blocks, tokens = self.block, self.node.dim // self.block, self.tokens
        (tile, _), places = self.constants[0], self.places
        records = tile.at // RECORD_BYTES + self.record
        kept = int(Destination.O) if "products" in places else 0
        keys, products = places["keys and values"].at, places["weights"].at
        sums = products + blocks * blocks * block
        # One long row has the fewest cut windows of tokens; a map that is too large for it goes row by row.
        columns = tokens if tokens <= HIGHEST["cols"] else self.width
        rows = tokens // columns
        row = {"rows": rows, "cols": columns, "in_block": tokens, "in_row": columns, "in_group": tokens, "relu": 1}
        schedule.compute(
            Opcode.RMAC_OUTER,
            **row,
            groups=blocks,
            kernel_rows=blocks,
            in_base=keys,
            in_value=keys + blocks * tokens,
            parameters=records,
            destination=int(Destination.K) | kept,
            attention=products,
            **self._traced("products"),
            out_group=blocks * block,
            out_row=block,
        )
        schedule.compute(
            Opcode.RMAC_ROW_SUM,
            **row,
            groups=blocks,
            in_base=keys,
            parameters=records + 1,
            destination=int(Destination.K) | kept,
            attention=sums,
            **self._traced("sums"),
            out_group=1,
        )
        # Each weight of the row sums is lane 0 of a block of K words.
        matmul = {**row, "in_group": 0, "blocks": blocks, "stationary": 1, "source": 1, "in_base": places["queries"].at}
        schedule.compute(
            Opcode.MAT_CONV,
            **matmul,
            weights=sums,
            parameters=records + 2,
            mode=PostMode.LOG2,
            **self._traced("codes"),
            out_row=columns,
            log2_offset=self.node.log2_offset[self.branch],
            destination=int(Destination.DIVISOR) | kept,
        )
        schedule.compute(
            Opcode.MAT_CONV,
            **matmul,
            groups=blocks,
            weights=products,
            parameters=records + 3,
            mode=PostMode.DIVIDE,
            out_base=places["results"].at,
            out_group=tokens,
            out_row=columns,
            destination=int(Destination.O),
        )
        for name in ("products", "sums", "codes", "results"):
            if name in places:
                schedule.empty(places[name])
