"""A stream of all ports."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Shape, ShapeLike, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.integrity.parity_queue import queue


class PortJoin(wiring.Component):
    """Takes an item of every port's stream at once, whenever all have one; queues let the ports be apart.

    Parameters
    ----------
    shape : of an item
    ports : int, from 1 on
    depth : int
        Items that a port can be ahead of the slowest one.

    Members
    -------
    i : In(stream of `shape`).array(ports), o : Out(stream of ArrayLayout(shape, ports))
    damaged : Out(1), with `integrity` only
        A bit has flipped in a queue, whose words have a parity bit then.

    Latency: `latency`, 1 cycle with several ports, 0 (combinational) with one. Initiation interval: 1.

    Source: ours.
    """

    i: list[stream.Interface]
    o: stream.Interface
    damaged: Signal

    def __init__(self, shape: ShapeLike, ports: int, depth: int, *, integrity: bool = False):
        self.width, self.depth, self.latency = Shape.cast(shape).width, depth, int(ports > 1)
        layout = data.ArrayLayout(shape, ports)
        self.integrity = integrity
        streams = {"i": In(stream.Signature(shape)).array(ports), "o": Out(stream.Signature(layout))}
        super().__init__({**streams, **({"damaged": Out(1)} if integrity else {})})

    def elaborate(self, platform):
        m = Module()
        if len(self.i) == 1:
            m.d.comb += [
                self.o.payload.as_value().eq(self.i[0].payload),
                self.o.valid.eq(self.i[0].valid),
                self.i[0].ready.eq(self.o.ready),
            ]
            return m
        queues = [
            queue(m, f"port{port}", self.width, self.depth, integrity=self.integrity) for port in range(len(self.i))
        ]
        if self.integrity:
            m.d.comb += self.damaged.eq(Cat(kept.damaged for kept in queues).any())
        m.d.comb += self.o.valid.eq(Cat(kept.r_rdy for kept in queues).all())
        for port, (source, kept) in enumerate(zip(self.i, queues, strict=True)):
            m.d.comb += [
                kept.w_data.eq(source.payload),
                kept.w_en.eq(source.valid),
                source.ready.eq(kept.w_rdy),
                self.o.payload[port].eq(kept.r_data),
                kept.r_en.eq(self.o.valid & self.o.ready),
            ]
        return m
