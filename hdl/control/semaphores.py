"""Counting semaphores that order the instructions of different units."""

from __future__ import annotations

import functools
import operator

from amaranth.hdl import Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.control.ports import SemaphoreInterface, SemaphorePort
from triovit.hdl.isa.instructions import SEMAPHORE_BITS, SEMAPHORES
from triovit.hdl.validation import check_integer


def _sum(m, name: str, x: list, y: list, borrow: bool = False) -> list:
    """x + y (or x - y) of bit-sliced counters, modulo 2**len(x): element p holds bit p of every counter."""
    result = [Signal(SEMAPHORES, name=f"{name}_{bit}") for bit in range(len(x))]
    carry = Const(0, SEMAPHORES)
    for bit, (plane, total) in enumerate(zip(x, result, strict=True)):
        other = y[bit] if bit < len(y) else Const(0, SEMAPHORES)
        onward = Signal(SEMAPHORES, name=f"{name}_carry_{bit}")
        left = ~plane if borrow else plane
        m.d.comb += [total.eq(plane ^ other ^ carry), onward.eq((left & (other | carry)) | (other & carry))]
        carry = onward
    return result


class Semaphores(wiring.Component):
    """32 counters of 8 bits, given and taken through masks (`isa.SEMAPHORES`, `isa.SEMAPHORE_BITS`).

    Parameters
    ----------
    givers, takers : int, 1..7
        Units that give and units that take.

    Members
    -------
    takers : In(SemaphorePort()).array(takers)
        `wait`: semaphores that the taker wants; `available`: all of them are above zero (combinational; an empty mask
        is always available); `take`: decrement them at the end of this cycle, only while available.
    give : In(32).array(givers)
        Increment these at the end of this cycle. Several givers, and a taker, may meet at one semaphore.
    clear : In(1)
        All counters become zero; beats everything else.
    overflow : Out(1)
        A counter leaves 0..255 at the end of this cycle (it wraps). Below 0 is possible only when two units wait for
        one semaphore, which no legal program does.

    Latency: 1 cycle from `give` or `take` to `available`.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: ours, after the dependency queues of VTA. Counters are bit-sliced (plane p holds bit p of all 32), so that
    a simulator computes all of them with a few word operations.
    """

    takers: list[SemaphoreInterface]
    give: list[Signal]
    clear: Signal
    overflow: Signal

    latency = 1

    def __init__(self, givers: int, takers: int):
        check_integer("givers", givers, 1, 7)
        check_integer("takers", takers, 1, 7)
        super().__init__(
            {
                "takers": In(SemaphorePort()).array(takers),
                "give": In(SEMAPHORES).array(givers),
                "clear": In(1),
                "overflow": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        planes = [Signal(SEMAPHORES, name=f"count_{bit}") for bit in range(SEMAPHORE_BITS)]
        nonzero = Signal(SEMAPHORES)
        m.d.comb += nonzero.eq(functools.reduce(operator.or_, planes))
        for taker in self.takers:
            m.d.comb += taker.available.eq(~(taker.wait & ~nonzero).any())

        # How many name each semaphore, 0..7 in three planes.
        given = taken = [Const(0, SEMAPHORES)] * 3
        for number, give in enumerate(self.give):
            given = _sum(m, f"given_{number}", given, [give])
        for number, taker in enumerate(self.takers):
            taken = _sum(m, f"taken_{number}", taken, [Mux(taker.take, taker.wait, 0)])
        # One plane more shows a result outside 0..255: 256..262, or -7..-1 modulo 512.
        increased = _sum(m, "increased", [*planes, Const(0, SEMAPHORES)], given)
        following = _sum(m, "following", increased, taken, borrow=True)
        m.d.comb += self.overflow.eq(following[SEMAPHORE_BITS].any() & ~self.clear)
        for plane, bits in zip(planes, following[:SEMAPHORE_BITS], strict=True):
            m.d.sync += plane.eq(Mux(self.clear, 0, bits))
        return m
