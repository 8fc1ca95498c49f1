"""Room for two steps between a sequencer and the issue control."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.compute.steps import step_layout


class StepBuffer(wiring.Component):
    """Keeps the issue of a step apart from the loops that make the next one: whether a step goes decides only what
    this buffer holds, and a sequencer moves as long as there was room for a step in the cycle before.

    Parameters: block.
    Members: i (In, stream of steps): `ready` is a register. o (Out, stream of steps): `valid` and the step are
    registers.
    Latency: `latency = 1` cycle; then a step per cycle, in order.
    """

    i: stream.Interface
    o: stream.Interface

    latency = 1

    def __init__(self, block: int):
        self.block = block
        steps = stream.Signature(step_layout(block))
        super().__init__({"i": In(steps), "o": Out(steps)})

    def elaborate(self, platform):
        m = Module()
        shown = Signal(step_layout(self.block), reset_less=True)
        spare = Signal(step_layout(self.block), reset_less=True)  # came while the one that is shown had to wait
        full = Signal()
        m.d.comb += [self.i.ready.eq(~full), self.o.payload.eq(shown)]
        with m.If(~full):
            m.d.sync += spare.eq(self.i.payload)
        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += [shown.eq(Mux(full, spare, self.i.payload)), self.o.valid.eq(full | self.i.valid), full.eq(0)]
        with m.Elif(self.i.valid):
            m.d.sync += full.eq(1)
        return m
