"""Controller: start, end, first error, watchdog, halt and soft reset of the machine."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.control.errors import ERROR, ERROR_CODE_BITS
from triovit.hdl.isa.layouts import INDEX_BITS
from triovit.hdl.isa.names import ErrorCode
from triovit.hdl.validation import check_integer

RESET_CYCLES = 4


class State(enum.Enum, shape=3):
    """What the machine is doing."""

    READY = 0
    RUN = 1
    STOPPED = 2  # after an error: units are halted, only a soft reset helps
    DRAIN = 3  # soft reset: waiting for bursts under way
    RESET = 4  # soft reset: units are in reset


class Controller(wiring.Component):
    """Runs a program and brings the machine to rest whatever happens.

    Parameters
    ----------
    units : int, 1..8
        Sources of errors.
    finishers : int, 1..8
        Sources of "instruction finished".

    Members
    -------
    start, soft_reset, acknowledge_done, acknowledge_interrupt, interrupt_enable : In(1), watchdog : In(32)
        From the registers. `start` counts in state READY only.
    begin : Out(1)
        A program begins: starts FETCH, clears semaphores and counters (one cycle).
    finished : In(1)
        FETCH has finished END.
    unit_error : In(ERROR).array(units)
        The first error stops the machine; of several in one cycle that of the lowest index counts.
    overflow : In(1)
        A semaphore overflowed: SEMAPHORE_OVERFLOW, unless a unit reports an error in the same cycle.
    finish : In(1).array(finishers), finish_index : In(32).array(finishers)
        An instruction finished: restarts the watchdog. Its number stands for the place of an overflow or a time-out.
    dma_idle : In(1)
        FETCH, LOAD and STORE are idle.
    halt : Out(1)
        Units take no instruction and start no burst: from the cycle after an error or a soft reset command until the
        units are reset.
    reset_units : Out(1)
        Reset of everything but the registers: RESET_CYCLES cycles, once `dma_idle` after a soft reset command. If the
        memory never answers a burst, the bus itself must be reset: an AXI burst cannot be taken back.
    running : Out(1)
        State RUN (what the counters count).
    busy, done, error, interrupt : Out(1), error_code : Out(4), error_index : Out(32)
        For the registers. `interrupt` is set with `done` or `error` and cleared by `acknowledge_interrupt` or soft
        reset.
    irq : Out(1)
        `interrupt & interrupt_enable`: a level.

    Watchdog: WATCHDOG when no instruction finished for `watchdog` cycles of RUN; 0 is off.

    Latency: 1 cycle from an error to `halt`.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: ours.
    """

    latency = 1

    def __init__(self, units: int, finishers: int):
        self.units = check_integer("units", units, 1, 8)
        self.finishers = check_integer("finishers", finishers, 1, 8)
        commands = ("start", "soft_reset", "acknowledge_done", "acknowledge_interrupt", "interrupt_enable")
        super().__init__(
            {
                **{name: In(1) for name in commands},
                "watchdog": In(32),
                "begin": Out(1),
                "finished": In(1),
                "unit_error": In(ERROR).array(units),
                "overflow": In(1),
                "finish": In(1).array(finishers),
                "finish_index": In(INDEX_BITS).array(finishers),
                "dma_idle": In(1),
                **{
                    name: Out(1)
                    for name in ("halt", "reset_units", "running", "busy", "done", "error", "interrupt", "irq")
                },
                "error_code": Out(ERROR_CODE_BITS),
                "error_index": Out(INDEX_BITS),
            }
        )

    def _fault(self, m, state):
        """The error of this cycle, as an ERROR record."""
        silent, last_index, latest = Signal(32), Signal(INDEX_BITS), Signal(INDEX_BITS)
        finish = Signal()
        # An instruction that finishes now may be the one whose signal overflows.
        m.d.comb += latest.eq(last_index)
        m.d.sync += last_index.eq(latest)
        for source in range(self.finishers):
            with m.If(self.finish[source]):
                m.d.comb += [finish.eq(1), latest.eq(self.finish_index[source])]
        with m.If(finish | (state != State.RUN)):
            m.d.sync += silent.eq(0)
        with m.Else():
            m.d.sync += silent.eq(silent + 1)
        with m.If(self.begin):
            m.d.sync += last_index.eq(0)
        expired = (self.watchdog != 0) & (silent >= self.watchdog)

        fault = Signal(ERROR)
        m.d.comb += [
            fault.valid.eq(self.overflow | expired),
            fault.code.eq(Mux(self.overflow, ErrorCode.SEMAPHORE_OVERFLOW, ErrorCode.WATCHDOG)),
            fault.index.eq(latest),
        ]
        for unit in reversed(range(self.units)):
            with m.If(self.unit_error[unit].valid):
                m.d.comb += fault.eq(self.unit_error[unit])
        return fault

    def elaborate(self, platform):
        m = Module()
        state = Signal(State)
        count = Signal(range(RESET_CYCLES))
        fault = self._fault(m, state)
        m.d.comb += [
            self.begin.eq((state == State.READY) & self.start & ~self.soft_reset),
            self.running.eq(state == State.RUN),
            self.halt.eq((state == State.STOPPED) | (state == State.DRAIN)),
            self.reset_units.eq(state == State.RESET),
            self.busy.eq((state != State.READY) & ~((state == State.STOPPED) & self.dma_idle)),
            self.error.eq(self.error_code != ErrorCode.NONE),
            self.irq.eq(self.interrupt & self.interrupt_enable),
        ]
        with m.If(self.acknowledge_done):
            m.d.sync += self.done.eq(0)
        with m.If(self.acknowledge_interrupt):
            m.d.sync += self.interrupt.eq(0)
        with m.Switch(state):
            with m.Case(State.READY):
                with m.If(self.begin):
                    m.d.sync += [state.eq(State.RUN), self.done.eq(0)]
            with m.Case(State.RUN):
                with m.If(fault.valid):
                    m.d.sync += [
                        state.eq(State.STOPPED),
                        self.error_code.eq(fault.code),
                        self.error_index.eq(fault.index),
                        self.interrupt.eq(1),
                    ]
                with m.Elif(self.finished):
                    m.d.sync += [state.eq(State.READY), self.done.eq(1), self.interrupt.eq(1)]
            with m.Case(State.DRAIN):
                with m.If(self.dma_idle):
                    m.d.sync += [state.eq(State.RESET), count.eq(RESET_CYCLES - 1)]
            with m.Case(State.RESET):
                m.d.sync += count.eq(count - 1)
                with m.If(count == 0):
                    m.d.sync += state.eq(State.READY)
        with m.If(self.soft_reset & (state != State.RESET)):
            m.d.sync += [
                state.eq(State.DRAIN),
                *(flag.eq(0) for flag in (self.done, self.interrupt, self.error_code, self.error_index)),
            ]
        return m
