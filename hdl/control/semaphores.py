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
        `wait`: semaphores that the taker wants; `available`: all of them are above zero (in the same cycle); an empty
        mask is always available, another one not in the cycle after `take`, when the counters still show what has been
        taken; `take`: decrement them, only while available.
    give : In(32).array(givers)
        Increment these. Several givers, and a taker, may meet at one semaphore.
    clear : In(1)
        All counters become zero; beats everything else, also what was given and taken in the cycle before.
    overflow : Out(1)
        A counter has left 0..255 (it wraps). Below 0 is possible only when two units wait for one semaphore, which no
        legal program does.

    Latency: `latency = 2` cycles from `give` or `take` to `available` and to `overflow`: what is given and taken goes
    through a register.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: ours, after the dependency queues of VTA. Counters are bit-sliced (plane p holds bit p of all 32), so that
    a simulator computes all of them with a few word operations.
    """

    takers: list[SemaphoreInterface]
    give: list[Signal]
    clear: Signal
    overflow: Signal

    latency = 2

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
        nonzero = Signal(SEMAPHORES)  # which counters are above zero, a register beside them: units take by it
        # How many name each semaphore, 0..7 in three planes.
        given = taken = [Const(0, SEMAPHORES)] * 3
        for number, give in enumerate(self.give):
            kept = Signal(SEMAPHORES, name=f"give_{number}")
            m.d.sync += kept.eq(Mux(self.clear, 0, give))
            given = _sum(m, f"given_{number}", given, [kept])
        for number, taker in enumerate(self.takers):
            took = Signal(name=f"took_{number}")
            kept = Signal(SEMAPHORES, name=f"take_{number}")
            m.d.comb += taker.available.eq(~(taker.wait & (~nonzero | took.replicate(SEMAPHORES))).any())
            m.d.sync += [took.eq(taker.take), kept.eq(Mux(taker.take & ~self.clear, taker.wait, 0))]
            taken = _sum(m, f"taken_{number}", taken, [kept])
        # The change, -7..7, first: it is known long before the counter's carry. A ninth plane shows a result outside
        # 0..255.
        sign = Const(0, SEMAPHORES)
        change = _sum(m, "change", [*given, sign], taken, borrow=True)
        change += [change[-1]] * (SEMAPHORE_BITS + 1 - len(change))
        following = _sum(m, "following", [*planes, sign], change)
        m.d.sync += self.overflow.eq(Mux(self.clear, 0, following[SEMAPHORE_BITS].any()))
        for plane, bits in zip(planes, following[:SEMAPHORE_BITS], strict=True):
            m.d.sync += plane.eq(Mux(self.clear, 0, bits))
        m.d.sync += nonzero.eq(Mux(self.clear, 0, functools.reduce(operator.or_, following[:SEMAPHORE_BITS])))
        return m
