"""Nested loops in hardware: down counters and incremental addresses, one step per cycle.

The MAC sequencers walk six levels. A level is at its end in its last iteration; a step advances the innermost level
that is not at its end and restarts everything inside it. Addresses follow by one adder: the base of that level plus
its stride. Ends are registers, so that what a step does is known when it is given leave to go.
"""

from __future__ import annotations

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out


class LoopCounters(wiring.Component):
    """Counters of a loop nest; level 0 is the innermost.

    Parameters: levels (2..8), width: bits of a count.
    Members: advance (In, 1): do one step, or start the nest with `counts` if `load`; load (In, 1); counts (In, levels x
    width): iterations, at least 1; ends (Out, levels): bit i is high while level i is in its last iteration; starts
    (Out, levels): bit i is high while level i is in its first iteration; last (Out, 1): every level at its end.
    Latency: 1 cycle from `advance`. `ends` and `starts` are registers.
    """

    load: Signal
    counts: data.View
    advance: Signal
    ends: Signal
    starts: Signal
    last: Signal

    def __init__(self, levels: int, width: int):
        self.levels, self.width = levels, width
        super().__init__(
            {
                "load": In(1),
                "counts": In(data.ArrayLayout(unsigned(width), levels)),
                "advance": In(1),
                "ends": Out(levels),
                "starts": Out(levels),
                "last": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        inner_end = 1  # all levels inside this one are at their end
        for level in range(self.levels):
            count = Signal(self.width, name=f"count_{level}", reset_less=True)
            remaining = Signal(self.width, name=f"remaining_{level}", reset_less=True)
            started = Signal(name=f"started_{level}", reset_less=True)
            end = Signal(name=f"end_{level}", reset_less=True)
            once = Signal(name=f"once_{level}", reset_less=True)  # the level has one iteration
            m.d.comb += [self.ends[level].eq(end), self.starts[level].eq(~started)]
            with m.If(self.advance):
                with m.If(self.load):
                    single = self.counts[level] == 1
                    m.d.sync += [count.eq(self.counts[level]), remaining.eq(self.counts[level]), started.eq(0)]
                    m.d.sync += [end.eq(single), once.eq(single)]
                with m.Elif(inner_end):
                    m.d.sync += [remaining.eq(remaining - 1), started.eq(1), end.eq(remaining == 2)]
                    with m.If(end):
                        m.d.sync += [remaining.eq(count), started.eq(0), end.eq(once)]
            inner_end = inner_end & end
        m.d.comb += self.last.eq(inner_end)
        return m


class NestAddress(wiring.Component):
    """Address of a loop nest: base + sum of index * stride over its levels, with one adder.

    Parameters: levels, width: bits of the address. Strides are unsigned; sums wrap at 2**width.
    Members: advance (In, 1): do one step, or start at `base` with `strides` if `load`; load (In, 1), base (In, width),
    strides (In, levels x width); ends (In, levels): from LoopCounters; address (Out, width): of the current step.
    """

    load: Signal
    base: Signal
    strides: data.View
    advance: Signal
    ends: Signal
    address: Signal

    def __init__(self, levels: int, width: int):
        self.levels, self.width = levels, width
        super().__init__(
            {
                "load": In(1),
                "base": In(width),
                "strides": In(data.ArrayLayout(unsigned(width), levels)),
                "advance": In(1),
                "ends": In(levels),
                "address": Out(width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        bases = [Signal(self.width, name=f"base_{level}", reset_less=True) for level in range(self.levels)]
        strides = [Signal(self.width, name=f"stride_{level}", reset_less=True) for level in range(self.levels)]
        start = Signal(self.width)
        stride = Signal(self.width)
        stepped = Signal(self.width)
        m.d.comb += [self.address.eq(bases[0]), stepped.eq(start + stride)]
        # The innermost level that is not at its end moves; with all at their end the value is not used.
        m.d.comb += [start.eq(bases[-1]), stride.eq(strides[-1])]
        for level in reversed(range(self.levels)):
            with m.If(~self.ends[level]):
                m.d.comb += [start.eq(bases[level]), stride.eq(strides[level])]
        for level in range(self.levels):
            with m.If(self.advance):
                with m.If(self.load):
                    m.d.sync += [bases[level].eq(self.base), strides[level].eq(self.strides[level])]
                # Levels inside the moving one, and itself, restart from the stepped address.
                with m.Elif(_moving_at_or_above(self.ends, level)):
                    m.d.sync += bases[level].eq(stepped)
        return m


def _moving_at_or_above(ends, level: int):
    """The moving level is `level` or one outside it: every level inside `level` is at its end."""
    moving = 1
    for inner in range(level):
        moving = moving & ends[inner]
    return moving
