"""Controller: start, end, first error, watchdog, halt and soft reset of the machine."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.control.errors import ERROR
from triovit.hdl.control.ports import CommandInterface, Commands, Status, StatusInterface
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
    commands : In(Commands())
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
    status : Out(Status())
        For the registers. `interrupt` is set with `done` or `error` and cleared by `acknowledge_interrupt` or soft
        reset.
    irq : Out(1)
        `interrupt & interrupt_enable`: a level.

    Watchdog: WATCHDOG when no instruction finished for `watchdog` cycles of RUN; 0 is off.

    Latency: 1 cycle from an error to `halt`.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: ours.
    """

    commands: CommandInterface
    begin: Signal
    finished: Signal
    overflow: Signal
    finish: list[Signal]
    finish_index: list[Signal]
    dma_idle: Signal
    halt: Signal
    reset_units: Signal
    running: Signal
    irq: Signal
    status: StatusInterface
    unit_error: list[data.View]

    latency = 1

    def __init__(self, units: int, finishers: int):
        self.units = check_integer("units", units, 1, 8)
        self.finishers = check_integer("finishers", finishers, 1, 8)
        super().__init__(
            {
                "commands": In(Commands()),
                "begin": Out(1),
                "finished": In(1),
                "unit_error": In(ERROR).array(units),
                "overflow": In(1),
                "finish": In(1).array(finishers),
                "finish_index": In(INDEX_BITS).array(finishers),
                "dma_idle": In(1),
                "halt": Out(1),
                "reset_units": Out(1),
                "running": Out(1),
                "irq": Out(1),
                "status": Out(Status()),
            }
        )

    def _fault(self, m, state):
        """The error of this cycle, as an ERROR record."""
        silent = Signal(32)
        last_index = Signal(INDEX_BITS)
        latest = Signal(INDEX_BITS)
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
        expired = (self.commands.watchdog != 0) & (silent >= self.commands.watchdog)

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
        commands, status = self.commands, self.status
        state = Signal(State)
        count = Signal(range(RESET_CYCLES))
        fault = self._fault(m, state)
        m.d.comb += [
            self.begin.eq((state == State.READY) & commands.start & ~commands.soft_reset),
            self.running.eq(state == State.RUN),
            self.halt.eq((state == State.STOPPED) | (state == State.DRAIN)),
            self.reset_units.eq(state == State.RESET),
            status.busy.eq((state != State.READY) & ~((state == State.STOPPED) & self.dma_idle)),
            status.error.eq(status.error_code != ErrorCode.NONE),
            self.irq.eq(status.interrupt & commands.interrupt_enable),
        ]
        with m.If(commands.acknowledge_done):
            m.d.sync += status.done.eq(0)
        with m.If(commands.acknowledge_interrupt):
            m.d.sync += status.interrupt.eq(0)
        with m.Switch(state):
            with m.Case(State.READY):
                with m.If(self.begin):
                    m.d.sync += [state.eq(State.RUN), status.done.eq(0)]
            with m.Case(State.RUN):
                with m.If(fault.valid):
                    m.d.sync += [
                        state.eq(State.STOPPED),
                        status.error_code.eq(fault.code),
                        status.error_index.eq(fault.index),
                        status.interrupt.eq(1),
                    ]
                with m.Elif(self.finished):
                    m.d.sync += [state.eq(State.READY), status.done.eq(1), status.interrupt.eq(1)]
            with m.Case(State.DRAIN):
                with m.If(self.dma_idle):
                    m.d.sync += [state.eq(State.RESET), count.eq(RESET_CYCLES - 1)]
            with m.Case(State.RESET):
                m.d.sync += count.eq(count - 1)
                with m.If(count == 0):
                    m.d.sync += state.eq(State.READY)
        with m.If(commands.soft_reset & (state != State.RESET)):
            m.d.sync += [
                state.eq(State.DRAIN),
                *(flag.eq(0) for flag in (status.done, status.interrupt, status.error_code, status.error_index)),
            ]
        return m
