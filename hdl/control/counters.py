"""Cycle and event counters."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.isa.registers import COUNTERS


class Counters(wiring.Component):
    """Counts cycles and events of one run of a program.

    Members
    -------
    clear : In(1)
        All counters become zero.
    count : In(1)
        Counters count in this cycle (a program runs).
    load_busy, store_busy, rmac_busy, mat_busy, rmac_stall, mat_stall, beats_read, beats_written : In(1)
        Events.
    cycles : Out(64), <event>_count : Out(32)
        Counts; 32 bits wrap.

    Latency: 1 cycle from an event to its count.

    Source: ours.
    """

    latency = 1

    def __init__(self):
        super().__init__(
            {
                "clear": In(1),
                "count": In(1),
                "cycles": Out(64),
                **{name.lower(): In(1) for name, _ in COUNTERS},
                **{f"{name.lower()}_count": Out(32) for name, _ in COUNTERS},
            }
        )

    def elaborate(self, platform):
        m = Module()
        with m.If(self.count):
            m.d.sync += self.cycles.eq(self.cycles + 1)
            for name, _ in COUNTERS:
                count = getattr(self, f"{name.lower()}_count")
                with m.If(getattr(self, name.lower())):
                    m.d.sync += count.eq(count + 1)
        with m.If(self.clear):
            m.d.sync += [self.cycles.eq(0), *(getattr(self, f"{name.lower()}_count").eq(0) for name, _ in COUNTERS)]
        return m
