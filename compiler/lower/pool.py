"""Global average pool: sums of all pixels, on the R-MAC unit."""

from __future__ import annotations

from dataclasses import dataclass

from triovit.compiler.memory.pack import pack_records
from triovit.compiler.requirements import check_count, check_words
from triovit.compiler.schedule.context import Context, post_fields
from triovit.compiler.schedule.rings import Area, Tile, complete, span
from triovit.compiler.schedule.schedule import Schedule, Step
from triovit.compiler.schedule.transfer import Part, constant_transfer, map_transfer
from triovit.golden.integer.nodes import Pool
from triovit.hdl.isa.limits import HIGHEST
from triovit.hdl.isa.names import Buffer, Destination, Opcode
from triovit.hdl.isa.record import RECORD_BYTES


@dataclass(eq=False, kw_only=True, repr=False)
class PoolStep(Step):
    """Sums of some channel blocks: `features` in A, `results`, a word each, in O."""

    node: Pool
    plane: int
    planes: int
    height: int
    width: int

    @property
    def work(self) -> str:
        return f"{self.height} x {self.width} pixels of channel blocks {span(self.plane, self.planes)}"

    def run(self, schedule: Schedule) -> None:
        pixels = self.height * self.width
        rows, cols = (1, pixels) if pixels <= HIGHEST["cols"] else (self.height, self.width)
        records, _ = self.constants[0]
        schedule.compute(
            Opcode.RMAC_ROW_SUM,
            groups=self.planes,
            rows=rows,
            cols=cols,
            in_base=self.places["features"].at,
            in_group=pixels,
            in_row=self.width,
            parameters=records.at // RECORD_BYTES,
            out_base=self.places["results"].at,
            out_group=1,
            destination=int(Destination.O),
            **post_fields(self.node.post),
        )
        schedule.empty(self.places["results"])


def lower_pool(node: Pool, layer: int, context: Context) -> list[Step]:
    """Row sums of all pixels, some channel blocks a step."""
    config, block = context.config, context.config.block
    source, target = context.tensors[node.input], context.tensors[node.name]
    _, height, width = source.shape
    pixels = height * width
    check_words(config, node.name, "A", pixels, "a channel block needs")
    check_count(node.name, "rows", height, "rows")
    check_count(node.name, "cols", width, "columns")
    most = min(
        config.feature_words // 2 // pixels,
        config.parameter_blocks // 2,
        config.output_words // 2,
        source.blocks,
        HIGHEST["groups"],
    )
    # Four parts at least: their loads overlap the sums of the part before.
    most = max(1, min(most, -(-source.blocks // 4)))
    records = context.constant(pack_records(node.post, block))
    steps: list[Step] = []
    for plane in range(0, source.blocks, most):
        planes = min(most, source.blocks - plane)
        words = planes * context.record_words
        constants = constant_transfer(Buffer.P, records + plane * context.block_bytes(), words, block)
        loads = map_transfer(source, Part.of_planes(source, plane, planes))
        stores = map_transfer(target, Part.of_planes(target, plane, planes))
        steps.append(
            PoolStep(
                layer=layer,
                constants=complete(Tile("P", words, constants)),
                places={"features": Area("A", planes * pixels, loads), "results": Area("O", planes, stores=stores)},
                cycles=planes * -(-pixels // block),
                beats=context.beats(loads + stores),
                node=node,
                plane=plane,
                planes=planes,
                height=height,
                width=width,
            )
        )
    return steps
