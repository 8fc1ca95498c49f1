"""A stream of all ports."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Shape, ShapeLike
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out


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

    Latency: `latency`, 1 cycle with several ports, 0 (combinational) with one. Initiation interval: 1.

    Source: ours.
    """

    i: list[stream.Interface]
    o: stream.Interface

    def __init__(self, shape: ShapeLike, ports: int, depth: int):
        self.width, self.depth, self.latency = Shape.cast(shape).width, depth, int(ports > 1)
        layout = data.ArrayLayout(shape, ports)
        super().__init__({"i": In(stream.Signature(shape)).array(ports), "o": Out(stream.Signature(layout))})

    def elaborate(self, platform):
        m = Module()
        if len(self.i) == 1:
            m.d.comb += [
                self.o.payload.as_value().eq(self.i[0].payload),
                self.o.valid.eq(self.i[0].valid),
                self.i[0].ready.eq(self.o.ready),
            ]
            return m
        queues = [fifo.SyncFIFO(width=self.width, depth=self.depth) for _ in self.i]
        m.d.comb += self.o.valid.eq(Cat(queue.r_rdy for queue in queues).all())
        for port, (source, queue) in enumerate(zip(self.i, queues, strict=True)):
            m.submodules[f"port{port}"] = queue
            m.d.comb += [
                queue.w_data.eq(source.payload),
                queue.w_en.eq(source.valid),
                source.ready.eq(queue.w_rdy),
                self.o.payload[port].eq(queue.r_data),
                queue.r_en.eq(self.o.valid & self.o.ready),
            ]
        return m
