"""Layer norm of a vector of channels, on the R-MAC unit."""

from __future__ import annotations

from dataclasses import dataclass

from triovit.compiler.memory.pack import pack_depthwise, pack_records
from triovit.compiler.requirements import check_count, check_words
from triovit.compiler.schedule.context import Context, post_fields
from triovit.compiler.schedule.rings import Area, Tile, complete
from triovit.compiler.schedule.schedule import Schedule, Step
from triovit.compiler.schedule.transfer import Part, constant_transfer, map_transfer
from triovit.golden.integer.nodes import LayerNorm
from triovit.hdl.isa.names import Buffer, Destination, Opcode
from triovit.hdl.isa.record import RECORD_BYTES


@dataclass(eq=False, kw_only=True, repr=False)
class LayerNormStep(Step):
    """All channels: `features` in A, `results` in O, as many words."""

    node: LayerNorm

    @property
    def work(self) -> str:
        return f"{self.node.weight.shape[0]} channels"

    def run(self, schedule: Schedule) -> None:
        (weights, _), (records, _) = self.constants
        schedule.compute(
            Opcode.RMAC_LAYER_NORM,
            cols=self.node.weight.shape[0],
            blocks=self.places["features"].words,
            in_base=self.places["features"].at,
            in_block=1,
            weights=weights.at,
            parameters=records.at // RECORD_BYTES,
            out_base=self.places["results"].at,
            out_group=1,
            epsilon=self.node.epsilon,
            destination=int(Destination.O),
            **post_fields(self.node.post),
        )
        schedule.empty(self.places["results"])


def lower_layer_norm(node: LayerNorm, layer: int, context: Context) -> list[Step]:
    """One instruction: the mean needs all channels."""
    config, block = context.config, context.config.block
    source, target = context.tensors[node.input], context.tensors[node.name]
    blocks, record_words = source.blocks, source.blocks * context.record_words
    for buffer, words in (("A", blocks), ("O", blocks), ("B", blocks), ("P", record_words)):
        check_words(config, node.name, buffer, words)
    check_count(node.name, "blocks", blocks, f"blocks of {block} channels")
    check_count(node.name, "cols", node.weight.shape[0], "channels")
    weights = context.constant(pack_depthwise(node.weight.reshape(-1, 1, 1, 1), block))
    records = context.constant(pack_records(node.post, block))
    step = LayerNormStep(
        layer=layer,
        constants=complete(
            Tile("W", blocks, constant_transfer(Buffer.B, weights, blocks, block)),
            Tile("P", record_words, constant_transfer(Buffer.P, records, record_words, block)),
        ),
        places={
            "features": Area("A", blocks, map_transfer(source, Part.of_planes(source, 0, blocks))),
            "results": Area("O", blocks, stores=map_transfer(target, Part.of_planes(target, 0, blocks))),
        },
        cycles=2 * blocks,
        beats=2 * blocks,
        node=node,
    )
    return [step]
