"""Instruction queue in front of a unit."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.control.ports import SemaphoreInterface, SemaphorePort
from triovit.hdl.integrity.check_byte import damaged
from triovit.hdl.isa.layouts import INDEX_BITS, INSTRUCTION_BITS, ISSUED, LAYOUT_OF
from triovit.hdl.isa.names import Opcode
from triovit.hdl.validation import check_integer


class UnitQueue(wiring.Component):
    """FIFO of issued instructions whose head leaves when its semaphores are available.

    Parameters
    ----------
    depth : int, 2..64
        Instructions that wait in front of the unit.
    integrity : bool
        The head is checked: its check byte, which FETCH has seen to be right, and a parity bit of its number.

    Members
    -------
    i, o : streams of ISSUED
        `o.valid` is high when there is a head, its `wait` semaphores are available and `halt` is low; the transfer on
        `o` takes them. A semaphore must have one taker only: then `o.valid`, once high, stays until the transfer or
        `halt`.
    semaphores : Out(SemaphorePort())
        `wait`: mask of the head, anything when the queue is empty; `available`: answer in the same cycle; `take`: the
        transfer on `o` takes place.
    halt : In(1)
        No instruction leaves.
    empty : Out(1)
        No instruction waits.
    damaged : Out(1), with `integrity` only
        Bits of the head have flipped, in the cycle before. It is not held back: the machine stops before it does
        anything to the memory.

    Latency: `latency = 1` cycle from `i` to `o`, initiation interval 1.

    Raises: TypeError or ValueError for a depth outside its range.

    Source: ours, after VTA's command queues.
    """

    i: stream.Interface
    o: stream.Interface
    semaphores: SemaphoreInterface
    halt: Signal
    empty: Signal
    damaged: Signal

    latency = 1

    def __init__(self, depth: int, *, integrity: bool = False):
        self.integrity = integrity
        self.depth = check_integer("depth", depth, 2, 64)
        super().__init__(
            {
                "i": In(stream.Signature(ISSUED)),
                "o": Out(stream.Signature(ISSUED)),
                "semaphores": Out(SemaphorePort()),
                "halt": In(1),
                "empty": Out(1),
                **({"damaged": Out(1)} if integrity else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        width = INSTRUCTION_BITS + INDEX_BITS
        m.submodules.fifo = queue = fifo.SyncFIFO(width=width + self.integrity, depth=self.depth)
        head = Signal(ISSUED)
        m.d.comb += [
            queue.w_data.eq(Cat(self.i.payload, self.i.payload.index.xor()) if self.integrity else self.i.payload),
            queue.w_en.eq(self.i.valid),
            self.i.ready.eq(queue.w_rdy),
            head.eq(queue.r_data),
            self.o.payload.eq(head),
            self.o.valid.eq(queue.r_rdy & self.semaphores.available & ~self.halt),
            queue.r_en.eq(self.semaphores.take),
            self.semaphores.take.eq(self.o.valid & self.o.ready),
            self.empty.eq(~queue.r_rdy),
            # Every instruction starts with the same header, END is nothing but one.
            self.semaphores.wait.eq(data.View(LAYOUT_OF[Opcode.END], head.word).wait),
        ]
        if self.integrity:
            number = queue.r_data[INSTRUCTION_BITS:]
            m.d.sync += self.damaged.eq(queue.r_rdy & (damaged(head.word) | number.xor()))
        return m
