"""First-in first-out memory whose words carry a parity bit."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import fifo, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.validation import check_integer


def queue(m: Module, name: str, width: int, depth: int, *, integrity: bool, buffered: bool = False) -> Any:
    """A submodule `name` of `m`: a queue of Amaranth's, or a `ParityQueue`, which has the same ports."""
    kind = ParityQueue if integrity else fifo.SyncFIFOBuffered if buffered else fifo.SyncFIFO
    extra = {"buffered": buffered} if integrity else {}
    made = kind(width=width, depth=depth, **extra)
    m.submodules[name] = made
    return made


class ParityQueue(wiring.Component):
    """Amaranth's `SyncFIFO` or `SyncFIFOBuffered` with a parity bit in each word, checked while it is the oldest.

    Parameters: width (1..4096), bits of a word; depth (1..2**16); buffered: a register behind the memory, a cycle more.
    Members: w_data, w_en, w_rdy, r_data, r_en, r_rdy, level: as of `fifo.SyncFIFO`. damaged (Out, 1): the oldest word
    had an odd number of flipped bits in the cycle before.
    Latency: as of the queue without; `alarm_latency = 1` cycle from a word to `damaged`.
    Numerics: none.
    Raises: TypeError or ValueError for a parameter outside its range.
    Source: ours.
    """

    w_data: Signal
    w_en: Signal
    w_rdy: Signal
    r_data: Signal
    r_en: Signal
    r_rdy: Signal
    level: Signal
    damaged: Signal

    alarm_latency = 1

    def __init__(self, width: int, depth: int, *, buffered: bool = False):
        width, depth = check_integer("width", width, 1, 4096), check_integer("depth", depth, 1, 1 << 16)
        self.inner: Any = (fifo.SyncFIFOBuffered if buffered else fifo.SyncFIFO)(width=width + 1, depth=depth)
        super().__init__(
            {
                "w_data": In(width),
                "w_en": In(1),
                "w_rdy": Out(1),
                "r_data": Out(width),
                "r_en": In(1),
                "r_rdy": Out(1),
                "level": Out(range(depth + 1)),
                "damaged": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.inner = inner = self.inner
        m.d.comb += [
            inner.w_data.eq(Cat(self.w_data, self.w_data.xor())),
            inner.w_en.eq(self.w_en),
            self.w_rdy.eq(inner.w_rdy),
            self.r_data.eq(inner.r_data),
            inner.r_en.eq(self.r_en),
            self.r_rdy.eq(inner.r_rdy),
            self.level.eq(inner.level),
        ]
        m.d.sync += self.damaged.eq(inner.r_rdy & inner.r_data.xor())
        return m
