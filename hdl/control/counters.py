"""Cycle and event counters."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.isa.engines import Counter


class Counters(wiring.Component):
    """Counts cycles and events of one run of a program.

    Parameters
    ----------
    counters : the event counters, see `hdl.isa.engines.counters`

    Members
    -------
    clear : In(1)
        All counters become zero.
    count : In(1)
        Counters count in this cycle (a program runs).
    events : In(1).array(number of counters)
    cycles : Out(64), counts : Out(32).array(number of counters)
        32 bits wrap.

    Latency: 1 cycle from an event to its count.

    Source: ours.
    """

    clear: Signal
    count: Signal
    events: list[Signal]
    cycles: Signal
    counts: list[Signal]

    latency = 1

    def __init__(self, counters: Sequence[Counter]):
        super().__init__(
            {
                "clear": In(1),
                "count": In(1),
                "events": In(1).array(len(counters)),
                "cycles": Out(64),
                "counts": Out(32).array(len(counters)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        with m.If(self.count):
            m.d.sync += self.cycles.eq(self.cycles + 1)
            for event, count in zip(self.events, self.counts, strict=True):
                with m.If(event):
                    m.d.sync += count.eq(count + 1)
        with m.If(self.clear):
            m.d.sync += [self.cycles.eq(0), *(count.eq(0) for count in self.counts)]
        return m
