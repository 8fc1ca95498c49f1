"""A distance between two events that the issue control keeps."""

from __future__ import annotations

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.validation import check_integer


class Timer(wiring.Component):
    """Is free again a number of cycles after it was started.

    Parameters: most (1..4096): cycles.
    Members:
      start (In, 1), cycles (In, range(most + 1)): after a start in cycle t, `free` is low until cycle t + `cycles`
      (0 and 1: not at all). A start while it runs begins anew.
      free (Out, 1): a register.
    """

    start: Signal
    cycles: Signal
    free: Signal

    def __init__(self, most: int):
        check_integer("most", most, 1, 4096)
        super().__init__({"start": In(1), "cycles": In(range(most + 1)), "free": Out(1)})

    def elaborate(self, platform):
        m = Module()
        left = Signal.like(self.cycles, reset_less=True)
        free = Signal(init=1)
        m.d.comb += self.free.eq(free)
        with m.If(self.start):
            m.d.sync += [left.eq(self.cycles), free.eq(self.cycles < 2)]
        with m.Else():
            m.d.sync += left.eq(left - 1)
            with m.If(left == 2):
                m.d.sync += free.eq(1)
        return m
