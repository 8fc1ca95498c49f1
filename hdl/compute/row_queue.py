"""Queue of a unit's rows of psums in a core, in front of post-processing."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from triovit.hdl.compute.ports import RowInterface, RowPort, row_layout
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.memory.ram import Ram


def queue_depth(config: AcceleratorConfig) -> int:
    """Rows that a queue holds: enough for those that are on their way while two results of `block` rows each wait."""
    return max(32, 4 * config.block)


class RowQueue(wiring.Component):
    """First-in first-out memory; who takes rows knows how many there are, so nothing here tells.

    Parameters: config.
    Members:
      i (In, RowPort): a row, never refused.
      take (In, 1): the oldest row leaves. o (Out, row_layout): it, `latency` cycles later, until the next one.
      damaged (Out, 1), with `integrity` only: a bit of the row that was taken `latency` + 1 cycles ago had flipped.
    Latency: `latency = 1` cycle from `take`; a row may be taken in the cycle after it came.
    """

    i: RowInterface
    take: Signal
    o: data.View
    damaged: Signal

    latency = 1

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self.ram = Ram(row_layout(config).size + config.integrity, queue_depth(config), "distributed")
        ports = {"i": In(RowPort(config)), "take": In(1), "o": Out(row_layout(config))}
        super().__init__({**ports, **({"damaged": Out(1)} if config.integrity else {})})

    def elaborate(self, platform):
        m = Module()
        integrity = self.config.integrity
        m.submodules.ram = ram = self.ram
        newest = Signal(ceil_log2(ram.depth))
        oldest = Signal(ceil_log2(ram.depth))
        m.d.comb += [
            ram.write_en.eq(self.i.valid),
            ram.write_address.eq(newest),
            ram.write_data.eq(Cat(self.i.acc, self.i.acc.as_value().xor()) if integrity else self.i.acc),
            ram.read_en.eq(self.take),
            ram.read_address.eq(oldest),
            self.o.eq(ram.read_data),
        ]
        with m.If(self.i.valid):
            m.d.sync += newest.eq(newest + 1)
        with m.If(self.take):
            m.d.sync += oldest.eq(oldest + 1)
        if integrity:
            fresh = Signal()
            m.d.sync += [fresh.eq(self.take), self.damaged.eq(fresh & ram.read_data.xor())]
        return m
