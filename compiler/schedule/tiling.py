"""Choice of tiles: how many output rows and output-block groups a step takes, by an explicit estimate of cycles."""

from __future__ import annotations

from dataclasses import dataclass

from triovit.compiler.schedule.context import Context
from triovit.golden.integer.nodes import Convolution
from triovit.hdl.isa.limits import HIGHEST

STEP_OVERHEAD = 24  # cycles an instruction costs beside its steps (start, pipeline, drain that nothing overlaps)
LATENCY = 150  # cycles between a store, the load behind it and the first computation on it


@dataclass(frozen=True)
class Tiling:
    """rows: output rows per step. groups: output-block groups a step. resident: weights stay for the whole layer.

    chunk_outer: every chunk of weights sees all rows before the next chunk (features are loaded once a chunk).
    """

    rows: int
    groups: int
    resident: bool
    chunk_outer: bool
    cost: float


def parts(total: int, most: int | None = None) -> list[int]:
    """Distinct part sizes when `total` things are cut into equal parts."""
    sizes = {-(-total // n) for n in range(1, total + 1)}
    return sorted(s for s in sizes if most is None or s <= most)


def exposed(compute: float, transfer: float, overlapped: bool) -> float:
    """Cycles of work and traffic: side by side, or one after the other when a buffer has no room for two tiles."""
    return max(compute, transfer) if overlapped else compute + transfer


@dataclass(frozen=True)
class Totals:
    """What all groups of a convolution need: cycles and words of O of one output row, words of B, words of P."""

    families: int
    row_cycles: int
    output_line: int
    weight_words: int
    record_words: int


@dataclass(frozen=True, kw_only=True)
class ConvolutionSize:
    """What a convolution needs.

    rows: output rows. groups: output-block groups of the largest family. feature_line: words of A of one input row.
    output_line: words of O of one output row of one group. weight_words, record_words: of one group, in B and P.
    totals: of all groups of all families. residual: the operands of an addition are loaded as well.
    """

    rows: int
    groups: int
    feature_line: int
    kernel: int
    stride: int
    output_line: int
    weight_words: int
    record_words: int
    totals: Totals
    residual: bool

    def smallest(self) -> dict[str, int]:
        """Words of the smallest tile, one row of one group, by buffer."""
        features = self.kernel * self.feature_line
        return {"A": features, "O": self.output_line, "W": self.weight_words, "P": self.record_words}


def choose_convolution(size: ConvolutionSize, context: Context) -> Tiling | None:
    """Best tiling of one convolution, or None when not even its smallest tile fits."""
    config, capacity, totals = context.config, context.capacity, size.totals
    best = None
    for tile in parts(size.rows, HIGHEST["rows"]):
        input_rows = (tile - 1) * size.stride + size.kernel
        features, fresh = input_rows * size.feature_line, tile * size.stride * size.feature_line
        tiles = -(-size.rows // tile)
        if features > capacity["A"]:
            break
        for chunk in parts(size.groups, HIGHEST["groups"]):
            output = tile * chunk * size.output_line
            weights, records = chunk * size.weight_words, chunk * size.record_words
            if output > capacity["O"] or weights > capacity["W"] or records > capacity["P"]:
                break
            chunks = -(-size.groups // chunk)
            # Every chunk has a place of its own; two more keep a place in reach when the free ones are scattered.
            resident = tiles > 1 and totals.weight_words + 2 * weights <= capacity["W"]
            resident &= totals.record_words + 2 * records <= capacity["P"]
            comfortable = output * 3 <= capacity["O"] and (tiles == 1 or features + fresh <= capacity["A"])
            comfortable &= 2 * weights <= capacity["W"] or resident
            pieces = chunks * totals.families
            steps = tiles * pieces
            compute = totals.row_cycles * size.rows + steps * STEP_OVERHEAD
            stored = size.rows * totals.output_line * (2 if size.residual else 1)
            for chunk_outer in (False, True) if tiles > 1 and chunks > 1 and not resident else (False,):
                constants = (2 * totals.weight_words + totals.record_words) * (1 if resident or chunk_outer else tiles)
                loaded = (features + (tiles - 1) * fresh) * (pieces if chunk_outer else 1)
                # Instructions come through one port.
                traffic = ((stored + loaded) * config.cores + constants) / config.bus_words
                traffic += steps * context.step_words / config.beat_words
                bubble = ((features + output) * config.cores + 2 * weights + records) / config.bus_words + LATENCY
                cost = exposed(compute, traffic, comfortable) + bubble
                if best is None or cost < best.cost:
                    best = Tiling(tile, chunk, resident, chunk_outer, cost)
    return best


@dataclass(frozen=True)
class DepthwiseTiling:
    """rows: output rows per step. blocks: channel blocks a step (all rows of them before the next ones)."""

    rows: int
    blocks: int
    rolling: bool
    cost: float


@dataclass(frozen=True, kw_only=True)
class DepthwiseSize:
    """What a depthwise convolution needs.

    rows: output rows. blocks: channel blocks. row_cycles, feature_line, output_line: of one row of one channel block,
    in cycles and words of A and O. record_words: of one channel block, in P.
    """

    rows: int
    blocks: int
    row_cycles: int
    feature_line: int
    kernel: int
    stride: int
    output_line: int
    record_words: int

    def smallest(self) -> dict[str, int]:
        """Words of the smallest tile, one row of one channel block, by buffer."""
        features, taps = self.kernel * self.feature_line, self.kernel * self.kernel
        return {"A": features, "O": self.output_line, "W": taps, "P": self.record_words}


def depthwise_row_cycles(node: Convolution, width: int, block: int) -> int:
    """Cycles of an output row of a channel block: a window of `block` words gives its pixels a tap a cycle, and they go
    through post-processing one by one."""
    pixels = block // node.stride
    return -(-width // pixels) * max(node.kernel**2, pixels)


def choose_depthwise(size: DepthwiseSize, context: Context, by_channels: bool) -> DepthwiseTiling | None:
    """Best tiling of a depthwise convolution, or None when not even its smallest tile fits.

    by_channels: the producer delivers channel block after channel block, so that a step should not take all of them.
    """
    config, capacity = context.config, context.capacity
    best = None
    for chunk in parts(size.blocks, HIGHEST["groups"]):
        for tile in parts(size.rows, HIGHEST["rows"]):
            line = chunk * size.feature_line
            features = ((tile - 1) * size.stride + size.kernel) * line
            fresh, output = tile * size.stride * line, tile * chunk * size.output_line
            if features > capacity["A"] or output > capacity["O"] or chunk * size.kernel * size.kernel > capacity["W"]:
                break
            if chunk * size.record_words > capacity["P"]:
                break
            tiles, chunks = -(-size.rows // tile), -(-size.blocks // chunk)
            comfortable = output * 3 <= capacity["O"] and features + fresh <= capacity["A"]
            comfortable &= chunks == 1 or 2 * chunk * size.record_words <= capacity["P"]
            total_rows = (size.rows - 1) * size.stride + size.kernel
            if tiles > 1:  # rows shared with the step before are loaded again where the ring wraps
                total_rows += (total_rows * line // capacity["A"]) * max(size.kernel - size.stride, 0)
            compute = size.row_cycles * size.rows * size.blocks + tiles * chunks * STEP_OVERHEAD
            words = (total_rows * size.feature_line + size.rows * size.output_line) * size.blocks
            traffic = words * config.cores / config.bus_words
            traffic += tiles * chunks * context.step_words / config.beat_words
            last = tile * chunk * size.row_cycles
            bubble = (features + output) * config.cores / config.bus_words + LATENCY
            # The next layer needs all channels of its first rows: it waits for the last chunk of channels, while tiles
            # of rows with all channels let it start early. Towards the producer it is the other way round.
            if by_channels:
                bubble += features * config.cores / config.bus_words * (4 if chunks == 1 else 1)
            else:
                bubble += last if chunks > 1 else 0
            cost = exposed(compute, traffic, comfortable) + bubble
            if best is None or cost < best.cost:
                best = DepthwiseTiling(tile, chunk, tiles > 1, cost)
    return best
