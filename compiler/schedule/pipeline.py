"""How a depthwise convolution and the pointwise one behind it are cut to run as one pipeline, if that gains time."""

from __future__ import annotations

from dataclasses import dataclass

from triovit.compiler.memory.layout import TensorLayout, align
from triovit.compiler.memory.pack import blocks_of, merged_groups
from triovit.compiler.schedule.context import Context
from triovit.compiler.schedule.tiling import depthwise_row_cycles, parts
from triovit.golden.integer.nodes import Convolution
from triovit.hdl.isa.limits import HIGHEST

ITEM_OVERHEAD = 150  # cycles of an item beside its steps
FEWEST_ITEMS = 4  # below, the first and the last item cost more than the overlap saves


@dataclass(frozen=True)
class Pipeline:
    """How a pair of layers is cut: output rows and channel blocks of an item, and what the MAT engine does alone.

    alone: pairs of output blocks, `columns` more of one further pair. cycles: of the whole pair of layers.
    """

    rows: int
    blocks: int
    alone: int
    columns: int
    cycles: float


@dataclass(frozen=True)
class Geometry:
    """Sizes of a pair of layers, all in words, blocks and cycles of one item row."""

    context: Context
    first: Convolution
    second: Convolution
    source: TensorLayout
    target: TensorLayout

    @property
    def groups(self) -> int:
        return merged_groups(self.second, self.context.config.block)

    @property
    def in_blocks(self) -> int:
        """Input blocks of a group."""
        return self.source.blocks // self.groups

    @property
    def out_blocks(self) -> int:
        """Output blocks of a group."""
        return blocks_of(self.second.weight.shape[0] // self.groups, self.context.config.block)

    def depthwise_cycles(self, blocks: int) -> int:
        return blocks * depthwise_row_cycles(self.first, self.target.shape[2], self.context.config.block)

    def tap_words(self, blocks: int) -> int:
        """Words of B of the depthwise weights of some channel blocks: whole rows, as other weights follow."""
        return align(blocks * self.first.kernel**2, self.context.config.block)

    @property
    def feature_line(self) -> int:
        return self.source.shape[2] + 2 * self.first.padding


def plan(first: Convolution, second: Convolution, context: Context) -> Pipeline | None:
    """The best way to run two layers as a pipeline, or None when they do not fit or gain nothing."""
    g = Geometry(context, first, second, context.tensors[first.input], context.tensors[second.name])
    if not _counts(g):
        return None
    options = _by_rows(g) if g.groups == 1 else _by_channels(g)
    best = min(options, key=lambda option: option.cycles, default=None)
    return best if best is not None and best.cycles < _separate_cycles(g) else None


def _counts(g: Geometry) -> bool:
    """The fields of the instructions hold the counts of every item, however the layers are cut."""
    groups = max(g.source.blocks, 2 * g.out_blocks) if g.groups == 1 else 0
    counts = {"groups": groups, "blocks": g.in_blocks, "cols": g.target.shape[2], "kernel_rows": g.first.kernel}
    return all(count <= HIGHEST[field] for field, count in counts.items())


def _separate_cycles(g: Geometry) -> float:
    """Cycles of the two layers one after the other, with the tensor between them in memory."""
    config = g.context.config
    _, height, width = g.target.shape
    rate = config.bus_words / config.cores
    middle = g.source.blocks * height * width
    loaded = g.source.blocks * g.source.shape[1] * g.feature_line
    results = g.target.blocks * height * width
    pointwise = -(-g.out_blocks // 2) * g.groups * height * width * g.in_blocks
    first = max(g.depthwise_cycles(g.source.blocks) * height, (loaded + middle) / rate)
    return first + max(pointwise, (middle + results * (2 if g.second.residual else 1)) / rate)


def _fits(g: Geometry, rows: int, blocks: int, outputs: int) -> bool:
    """Two items of features in A; two and a half of both layers' results in O, more with residuals loaded ahead.

    In O an item's results, the next item's and what the end of the ring leaves unused between them never meet.
    """
    capacity, s, k = g.context.capacity, g.first.stride, g.first.kernel
    features = ((rows - 1) * s + k + (rows * s if g.groups == 1 else (rows - 1) * s + k)) * blocks * g.feature_line
    results = rows * g.target.shape[2] * (5 * (blocks + outputs) + (4 * outputs if g.second.residual else 0))
    line = rows * g.target.shape[2]
    apart = line * (2 * (blocks + outputs) + max(blocks, outputs)) <= capacity["O"]
    return features <= capacity["A"] and results <= 2 * capacity["O"] and apart


def _by_rows(g: Geometry) -> list[Pipeline]:
    context, config = g.context, g.context.config
    _, height, width = g.target.shape
    residual = g.second.residual is not None
    depthwise = g.depthwise_cycles(g.source.blocks)
    # O has one read port: a residual operand costs the engine that reads its features there a cycle.
    together, single = g.in_blocks + (2 if residual else 0), g.in_blocks + (1 if residual else 0)
    pairs, odd = divmod(g.out_blocks, 2)
    wanted = max(0.0, (depthwise / single - odd * width) / 2)  # columns of a pair that fill the time
    alone = min(pairs, int(wanted // width))
    columns = min(width, round(wanted - alone * width)) if alone < pairs else 0
    mat = single * (2 * (alone * width + columns) + odd * width)
    joint = together * ((pairs - alone) * width - columns)
    doubled = alone + (columns > 0)
    weights = (pairs - alone + 2 * doubled + odd) * g.in_blocks * config.block + g.tap_words(g.source.blocks)
    records = (g.source.blocks + 2 * (pairs - alone) + 2 * doubled + odd) * context.record_words
    if weights > context.capacity["W"] or records > context.capacity["P"]:
        return []
    loaded = g.source.blocks * g.feature_line * g.first.stride
    moved = (loaded + g.target.blocks * width * (2 if residual else 1)) * config.cores / config.bus_words
    # Both engines read O all the time: STORE gets its turn late, and they then wait for it.
    stored = 1.5 * g.target.blocks * width / config.bus_words * config.cores
    options = []
    for rows in parts(height, HIGHEST["rows"]):
        items = -(-height // rows)
        if items < FEWEST_ITEMS or not _fits(g, rows, g.source.blocks, g.target.blocks):
            continue
        cycles = max(height * (max(depthwise, mat) + joint + stored), height * moved)
        cycles += items * ITEM_OVERHEAD + rows * max(depthwise, mat)
        options.append(Pipeline(rows, g.source.blocks, alone, columns, cycles))
    return options


def _by_channels(g: Geometry) -> list[Pipeline]:
    """Everything on the MAT engine: with few inputs a group it is done before the R-MAC engine.

    Constants of two items are on chip at a time; three places for them keep the rings free of gaps that are too small.
    """
    context, config = g.context, g.context.config
    _, height, width = g.target.shape
    options = []
    for count in parts(g.groups, HIGHEST["groups"]):
        items, blocks, outputs = -(-g.groups // count), count * g.in_blocks, count * g.out_blocks
        words = 3 * (outputs * g.in_blocks * config.block + g.tap_words(blocks))
        records = 3 * (blocks + outputs) * context.record_words
        if max(blocks, height) > HIGHEST["groups"]:
            continue
        if items < FEWEST_ITEMS or words > context.capacity["W"] or records > context.capacity["P"]:
            continue
        if not _fits(g, height, blocks, outputs):
            continue
        depthwise = height * g.depthwise_cycles(g.source.blocks)
        mat = g.groups * g.out_blocks * height * width * (g.in_blocks + (1 if g.second.residual else 0))
        longer = max(depthwise, mat)
        options.append(Pipeline(height, blocks, 0, 0, longer + items * ITEM_OVERHEAD + longer / items))
    return options
