"""A depthwise convolution and the pointwise one behind it as one pipeline, the tensor between them on chip only.

The R-MAC engine computes the depthwise layer from buffer A into buffer O, item by item (rows of all channels; for a
grouped convolution channel blocks of all rows). At the same time the MAT engine reads the item before from O and does
as much of the pointwise layer alone as fits that time; then both engines do the rest together. Source: Trio-ViT,
inter-layer pipeline (MAT starts the pointwise layer while R-MAC is still in the depthwise one, then R-MAC joins).
"""

from __future__ import annotations

from dataclasses import dataclass

from triovit.compiler.lower.depthwise import depthwise_fields, depthwise_tiles
from triovit.compiler.lower.features import FeatureRows
from triovit.compiler.lower.output_blocks import Constants, Family, PackedConvolution, Piece, resident
from triovit.compiler.schedule.context import Context, post_fields
from triovit.compiler.schedule.pipeline import Geometry, Pipeline
from triovit.compiler.schedule.rings import Area, Tile, complete, span
from triovit.compiler.schedule.schedule import Schedule, Step
from triovit.compiler.schedule.transfer import Part, map_transfer
from triovit.golden.integer.nodes import Convolution
from triovit.hdl.isa.names import Destination, Opcode


@dataclass(frozen=True)
class Share:
    """Some columns of a piece of the second layer."""

    piece: Piece
    column: int
    columns: int


@dataclass(frozen=True, eq=False)
class Item:
    """One piece of work: output rows of some input planes, and what the second layer makes of them.

    group: first group of the second layer. constants: the tiles of weights and records of both layers, those of the
    depthwise layer first. middle, results: places of both layers' results in O.
    """

    row: int
    rows: int
    group: int
    constants: tuple[Tile, Tile]
    shares: list[Share]
    features: FeatureRows
    middle: Area
    results: Area

    @property
    def work(self) -> str:
        """Which rows and channels, in words."""
        blocks = span(self.features.plane, self.features.planes)
        return f"rows {span(self.row, self.rows)} of channel blocks {blocks}"


class FusedPair:
    """Makes the steps of one pair of layers."""

    def __init__(self, pipeline: Pipeline, first: Convolution, second: Convolution, layer: int, context: Context):
        self.pipeline, self.first, self.second, self.layer, self.context = pipeline, first, second, layer, context
        self.g = Geometry(context, first, second, context.tensors[first.input], context.tensors[second.name])
        self.width = self.g.target.shape[2]
        self.packed = PackedConvolution(second, context.config.block)

    def items(self) -> list[Item]:
        """The pair's work in order."""
        g, height = self.g, self.g.target.shape[1]
        if g.groups > 1:
            return self._channel_items()
        tiles = depthwise_tiles(self.first, self.context, [(0, g.source.blocks)])[0]
        shares = self._row_shares(tiles)
        features = FeatureRows(g.source, 0, g.source.blocks, self.first.padding, True)
        return [
            self._item(row, min(self.pipeline.rows, height - row), 0, tiles, shares, features)
            for row in range(0, height, self.pipeline.rows)
        ]

    def _item(
        self, row: int, rows: int, group: int, tiles: tuple[Tile, Tile], shares: list[Share], features: FeatureRows
    ) -> Item:
        """An item with its places."""
        g, first, planes = self.g, group * self.g.out_blocks, features.planes
        outputs = planes // g.in_blocks * g.out_blocks
        middle = Area("O", planes * rows * self.width)
        if self.first.name in self.context.tensors:  # traced
            layout = self.context.tensors[self.first.name]
            middle.stores = map_transfer(layout, Part.of_rows(layout, features.plane, planes, row, rows))
        part = Part.of_rows(g.target, first, outputs, row, rows)
        results = Area("O", outputs * rows * self.width, stores=map_transfer(g.target, part))
        if self.second.residual is not None:
            results.loads = map_transfer(self.context.tensors[self.second.residual], part)
        return Item(row, rows, group, tiles, shares, features, middle, results)

    def _row_shares(self, tiles: tuple[Tile, Tile]) -> list[Share]:
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
        pieces = resident([piece[:3] for piece in work], tiles)
        return [Share(piece, *columns) for piece, (_, _, _, *columns) in zip(pieces, work, strict=True)]

    def _channel_items(self) -> list[Item]:
        g = self.g
        count = self.pipeline.blocks // g.in_blocks
        families = [Family(False, p, g.groups, g.out_blocks, g.in_blocks, mat=True) for p in range(g.out_blocks)]
        chosen = [Constants(self.context, self.packed, family, self.width) for family in families]
        chunks = [(group, min(count, g.groups - group)) for group in range(0, g.groups, count)]
        tiles = depthwise_tiles(self.first, self.context, [(a * g.in_blocks, n * g.in_blocks) for a, n in chunks])
        result = []
        for (group, groups), depthwise in zip(chunks, tiles, strict=True):
            pieces = resident([(part, group, groups) for part in chosen], depthwise)
            shares = [Share(piece, 0, self.width) for piece in pieces]
            plane, planes = group * g.in_blocks, groups * g.in_blocks
            features = FeatureRows(g.source, plane, planes, self.first.padding, False)
            result.append(self._item(0, g.target.shape[1], group, depthwise, shares, features))
        return result

    def steps(self) -> list[Step]:
        """A step more than items: the depthwise part of one next to the pointwise part of the one before."""
        items = self.items()
        return [self._step(now, before) for now, before in zip([*items, None], [None, *items], strict=True)]

    def _step(self, now: Item | None, before: Item | None) -> Step:
        stride = self.first.stride
        constants, places, cycles, beats = [], {}, 0, 0
        if now:
            constants += complete(*now.constants)
            places["middle"] = now.middle
            cycles += now.rows * self.g.depthwise_cycles(now.features.planes)
            beats += now.features.beats(self.context, now.row * stride, now.rows * stride)
        if before:
            constants += complete(*before.constants)
            places["results"] = before.results
            joint = [share for share in before.shares if share.piece.part.family.joint]
            cycles += sum(s.piece.count * s.columns * before.rows * self.packed.in_blocks for s in joint)
            beats += self.context.beats(before.results.stores) * (2 if before.results.loads else 1)
        return FusedStep(
            layer=self.layer,
            constants=constants,
            places=places,
            cycles=cycles,
            beats=beats,
            pair=self,
            now=now,
            before=before,
        )


@dataclass(eq=False, kw_only=True, repr=False)
class FusedStep(Step):
    """The depthwise part of item `now`, to `middle` in O, next to the pointwise part of the item `before`."""

    pair: FusedPair
    now: Item | None
    before: Item | None

    @property
    def work(self) -> str:
        parts = [f"depthwise {self.now.work}"] if self.now else []
        return ", ".join(parts + ([f"pointwise behind {self.before.work}"] if self.before else []))

    def prepare(self, schedule: Schedule) -> None:
        if self.now:
            node, rows = self.pair.first, self.now.rows
            self.now.features.fetch(schedule, self.now.row * node.stride, (rows - 1) * node.stride + node.kernel)
            schedule.fill(self.now.middle)
        if self.before:
            schedule.layer = self.layer + 1
            schedule.fill(self.before.results)

    def run(self, schedule: Schedule) -> None:
        if self.now:
            schedule.layer = self.layer
            self._depthwise(schedule, self.now)
            schedule.empty(self.now.middle)
        if self.before:
            schedule.layer = self.layer + 1
            # The MAT engine's own part first: it starts while the R-MAC engine is in the next item's depthwise layer.
            for share in sorted(self.before.shares, key=lambda share: share.piece.part.family.joint):
                self._pointwise(schedule, self.before, share)
            schedule.empty(self.before.results)

    def _depthwise(self, schedule: Schedule, item: Item) -> None:
        pair, out = self.pair, item.middle.at
        fields = depthwise_fields(pair.first, item.features, item.rows, pair.width, item.constants, out)
        schedule.compute(Opcode.RMAC_DEPTHWISE, **fields)

    def _pointwise(self, schedule: Schedule, item: Item, share: Share) -> None:
        pair, piece = self.pair, share.piece
        family, plane_words = piece.part.family, item.rows * pair.width
        block = family.first + piece.first * family.step - item.group * pair.g.out_blocks
        schedule.compute(
            Opcode.MAT_CONV if family.mat else Opcode.RMAC_CONV,
            source=1,
            joint=int(family.joint),
            groups=piece.count,
            rows=item.rows,
            cols=share.columns,
            blocks=pair.packed.in_blocks,
            in_base=item.middle.at + share.column,
            in_group=family.in_step * plane_words,
            in_row=pair.width,
            in_block=plane_words,
            **piece.constants(),
            out_base=item.results.at + block * plane_words + share.column,
            out_group=plane_words if family.joint else family.step * plane_words,
            out_row=pair.width,
            destination=int(Destination.O),
            residual=int(pair.second.residual is not None),
            **post_fields(pair.second.post),
        )
        if family.joint:
            schedule.compute(Opcode.MAT_JOIN)
