"""Register slice: cuts every path of a stream, forward and backward."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class RegisterSlice(wiring.Component):
    """Two items of room: valid, payload and ready all come from registers, and no cycle is lost.

    Parameters
    ----------
    shape : of the payload

    Members
    -------
    i, o : streams of `shape`
        `i.ready` is high while the second place is free, whatever `i.valid` and `o.ready` are.

    Latency: `latency = 1` cycle from `i` to `o`. Initiation interval: 1.

    Source: ours; AXI interconnects call it a fully registered slice.
    """

    i: stream.Interface
    o: stream.Interface

    latency = 1

    def __init__(self, shape: ShapeLike):
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        first = Signal.like(self.o.payload, reset_less=True)
        second = Signal.like(self.i.payload, reset_less=True)
        full = Signal()  # the second place, where an item waits while the first one is held up
        m.d.comb += [self.i.ready.eq(~full), self.o.payload.eq(first)]
        with m.If(~full):
            m.d.sync += second.eq(self.i.payload)
        with m.If(~self.o.valid | self.o.ready):
            m.d.sync += [self.o.valid.eq(full | self.i.valid), full.eq(0)]
            m.d.sync += first.eq(Mux(full, second, self.i.payload))
        with m.Elif(self.i.valid):
            m.d.sync += full.eq(1)
        return m
