"""Cycle and event counters."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.isa.engines import Counter


class Counters(wiring.Component):
    """Counts cycles and events of one run of a program.

    Parameters
    ----------
    counters : the event counters, see `hdl.isa.engines.counters`
    ports : int
        AXI ports: most events of one kind in a cycle.

    Members
    -------
    clear : In(1)
        All counters become zero, also of what happens in this cycle.
    count : In(1)
        Cycles and events of this cycle count (a program runs).
    events : In(range(ports + 1)).array(number of counters)
        How often each happens in this cycle.
    cycles : Out(64), counts : Out(32).array(number of counters)
        32 bits wrap.

    Latency: `latency = 2` cycles from an event to its count, 1 from a cycle to `cycles`.

    Source: ours.
    """

    clear: Signal
    count: Signal
    events: list[Signal]
    cycles: Signal
    counts: list[Signal]

    latency = 2

    def __init__(self, counters: Sequence[Counter], ports: int = 1):
        super().__init__(
            {
                "clear": In(1),
                "count": In(1),
                "events": In(range(ports + 1)).array(len(counters)),
                "cycles": Out(64),
                "counts": Out(32).array(len(counters)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        happened = [Signal.like(event, name=f"happened_{k}") for k, event in enumerate(self.events)]
        m.d.sync += [kept.eq(Mux(self.count, event, 0)) for kept, event in zip(happened, self.events, strict=True)]
        with m.If(self.count):
            m.d.sync += self.cycles.eq(self.cycles + 1)
        for event, count in zip(happened, self.counts, strict=True):
            with m.If(event != 0):
                m.d.sync += count.eq(count + event)
        with m.If(self.clear):
            m.d.sync += [self.cycles.eq(0), *(signal.eq(0) for signal in (*happened, *self.counts))]
        return m
