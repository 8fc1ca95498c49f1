"""LayerNorm between streams that may wait."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.aux.layer_norm import LayerNorm


class LayerNormStream(wiring.Component):
    """A `LayerNorm` that keeps its own times: it takes a beat when the one before has been worked on.

    Parameters: as of `LayerNorm`.

    Members
    -------
    i, o : In, Out(stream), with the payloads of `LayerNorm`.

    Latency: a beat is taken `interval` cycles after the one before in pass 1, after `solve_cycles` behind its last one,
    and in pass 2 when the result before has been taken.

    Source: ours.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, block: int, lanes: int = 1, accumulator_bits: int = 32, multiplier_style: str = "generic"):
        self.engine = LayerNorm(block, lanes, accumulator_bits, multiplier_style)
        super().__init__(
            {
                "i": In(stream.Signature(self.engine.i.payload.shape())),
                "o": Out(stream.Signature(self.engine.o.payload.shape())),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.engine = engine = self.engine
        second = Signal()
        rest = Signal(range(engine.solve_cycles))  # cycles until the next beat may come
        waits = Signal()  # for a result, or for its being taken
        accept = Signal()
        m.d.comb += [
            self.i.ready.eq((rest == 0) & ~waits),
            accept.eq(self.i.valid & self.i.ready),
            engine.i.valid.eq(accept),
            engine.i.payload.eq(self.i.payload),
        ]
        with m.If(rest != 0):
            m.d.sync += rest.eq(rest - 1)
        with m.If(accept):
            solves = self.i.payload.last & ~second
            m.d.sync += [
                rest.eq(Mux(solves, engine.solve_cycles, engine.interval) - 1),
                second.eq(second ^ self.i.payload.last),
                waits.eq(second),
            ]
        with m.If(engine.o.valid):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(engine.o.payload)]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [self.o.valid.eq(0), waits.eq(0)]
        return m
