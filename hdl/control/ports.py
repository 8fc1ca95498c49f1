"""Bundles of signals between the units and what controls them, a signature for each kind of port."""

from __future__ import annotations

from amaranth.hdl import Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.bus.axi4 import AXI_ADDRESS_BITS
from triovit.hdl.control.errors import ERROR, ERROR_CODE_BITS
from triovit.hdl.integrity.monitor import CODE_BITS, PLACE_BITS
from triovit.hdl.isa.instructions import SEMAPHORES
from triovit.hdl.isa.layouts import INDEX_BITS, ISSUED


class TraceInterface(wiring.PureInterface):
    """Members of a `TracePort`."""

    start: Signal
    start_index: Signal
    done: Signal
    done_index: Signal


class TracePort(wiring.Signature):
    """Instructions that a unit accepts and ends: `start` and `done` are strobes, the indices their numbers."""

    def __init__(self):
        super().__init__(
            {"start": Out(1), "start_index": Out(INDEX_BITS), "done": Out(1), "done_index": Out(INDEX_BITS)}
        )


class UnitInterface(wiring.PureInterface):
    """Members of a `UnitPort`."""

    i: stream.Interface
    trace: TraceInterface
    signal: Signal
    error: data.View
    busy: Signal
    stall: Signal
    idle: Signal


class UnitPort(wiring.Signature):
    """A unit as its queue and the controller see it; directions of the unit.

    Members
    -------
    i : In(stream of ISSUED)
        Its instructions, their semaphores already taken.
    trace : Out(TracePort())
        An instruction is accepted; its last effect is done.
    signal : Out(32)
        Semaphores that an instruction gives, in the cycle of `trace.done`; else zero.
    error : Out(ERROR)
    busy, stall : Out(1)
        For the counters: it has work; a step has to wait in this cycle.
    idle : Out(1)
        No instruction is under way.
    """

    def __init__(self):
        super().__init__(
            {
                "i": In(stream.Signature(ISSUED)),
                "trace": Out(TracePort()),
                "signal": Out(SEMAPHORES),
                "error": Out(ERROR),
                "busy": Out(1),
                "stall": Out(1),
                "idle": Out(1),
            }
        )


class SemaphoreInterface(wiring.PureInterface):
    """Members of a `SemaphorePort`."""

    wait: Signal
    available: Signal
    take: Signal


class SemaphorePort(wiring.Signature):
    """Semaphores as their taker sees them: the mask it waits for, whether all are above zero, that it takes them."""

    def __init__(self):
        super().__init__({"wait": Out(SEMAPHORES), "available": In(1), "take": Out(1)})


class MemoryInterface(wiring.PureInterface):
    """Members of a `MemoryWindow`."""

    base: data.View
    size: Signal


class MemoryWindow(wiring.Signature):
    """Memory that programs may touch: address of offset 0 of each port's partition (a multiple of 4096), and bytes of a
    partition. Out at the registers."""

    def __init__(self, ports: int = 1):
        super().__init__({"base": Out(data.ArrayLayout(AXI_ADDRESS_BITS, ports)), "size": Out(32)})


class CommandInterface(wiring.PureInterface):
    """Members of `Commands`."""

    start: Signal
    soft_reset: Signal
    acknowledge_done: Signal
    acknowledge_interrupt: Signal
    interrupt_enable: Signal
    watchdog: Signal


class Commands(wiring.Signature):
    """What the host tells the controller, see `Controller`. Out at the registers."""

    def __init__(self):
        super().__init__(
            {
                "start": Out(1),
                "soft_reset": Out(1),
                "acknowledge_done": Out(1),
                "acknowledge_interrupt": Out(1),
                "interrupt_enable": Out(1),
                "watchdog": Out(32),
            }
        )


class StatusInterface(wiring.PureInterface):
    """Members of `Status`."""

    busy: Signal
    done: Signal
    error: Signal
    interrupt: Signal
    bursts: Signal
    error_code: Signal
    error_index: Signal
    error_place: Signal


class Status(wiring.Signature):
    """What the controller tells the host, see `Controller`; with `integrity` the place of an error too. Out at the
    controller."""

    def __init__(self, integrity: bool = False):
        super().__init__(
            {
                "busy": Out(1),
                "done": Out(1),
                "error": Out(1),
                "interrupt": Out(1),
                "bursts": Out(1),
                "error_code": Out(CODE_BITS if integrity else ERROR_CODE_BITS),
                "error_index": Out(INDEX_BITS),
                **({"error_place": Out(PLACE_BITS)} if integrity else {}),
            }
        )
