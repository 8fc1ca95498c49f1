"""One stream for all ports."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, ShapeLike, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped


class PortFork(wiring.Component):
    """Gives each item of a stream to every port, to each when it is ready; the next one follows when all have it.

    Parameters
    ----------
    shape : of an item
    ports : int, from 1 on

    Members
    -------
    i : In(stream of `shape`), o : Out(stream of `shape`).array(ports)

    Latency: 0 (combinational). Initiation interval: 1.

    Source: ours.
    """

    i: stream.Interface
    o: list[stream.Interface]

    def __init__(self, shape: ShapeLike, ports: int):
        super().__init__({"i": In(stream.Signature(shape)), "o": Out(stream.Signature(shape)).array(ports)})

    def elaborate(self, platform):
        m = Module()
        if len(self.o) == 1:
            connect(m, flipped(self.i), flipped(self.o[0]))
            return m
        has = Signal(len(self.o))  # ports that have the present item already
        taken = Signal(len(self.o))
        m.d.comb += [
            *(port.payload.eq(self.i.payload) for port in self.o),
            *(port.valid.eq(self.i.valid & ~had) for port, had in zip(self.o, has, strict=True)),
            taken.eq(has | Cat(port.ready for port in self.o)),
            self.i.ready.eq(taken.all()),
        ]
        with m.If(self.i.valid):
            m.d.sync += has.eq(taken)
            with m.If(self.i.ready):
                m.d.sync += has.eq(0)
        return m
