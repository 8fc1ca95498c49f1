"""Controller: start, end, first error, watchdog, halt and soft reset of the machine."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, enum, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.control.errors import ERROR
from triovit.hdl.control.ports import CommandInterface, Commands, Status, StatusInterface
from triovit.hdl.integrity.monitor import FAULT
from triovit.hdl.isa.layouts import INDEX_BITS
from triovit.hdl.isa.names import ErrorCode
from triovit.hdl.validation import check_integer

RESET_CYCLES = 4


class State(enum.Enum, shape=2):
    """What the machine is doing."""

    READY = 0
    RUN = 1
    STOPPED = 2  # after an error: units are halted, only a soft reset helps
    RESET = 3  # soft reset: units are in reset


class Controller(wiring.Component):
    """Runs a program and brings the machine to rest whatever happens.

    Parameters
    ----------
    units : int, 1..8
        Sources of errors.
    finishers : int, 1..8
        Sources of "instruction finished".
    integrity : bool
        There is an `IntegrityMonitor`.

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
    overflow, broken : In(1)
        A semaphore overflowed, a rule of AXI was broken: SEMAPHORE_OVERFLOW, BUS_PROTOCOL, unless a unit's error comes
        in the same cycle; both: BUS_PROTOCOL.
    fault : In(FAULT), with `integrity` only
        Of stored words: goes before all other errors, of which it may be the cause. Takes `stop_latency` to `halt`.
    finish : In(1).array(finishers), finish_index : In(32).array(finishers)
        An instruction finished: restarts the watchdog. Its number stands for the place of an error that is no unit's.
    bus_idle : In(1)
        No burst is under way.
    halt : Out(1)
        The machine has stopped: queues give no instruction out, what is under way on the bus is finished without any
        effect. From an error or a soft reset command until the units are out of reset.
    reset_units : Out(1)
        Reset of all units: RESET_CYCLES cycles after a soft reset command. It does not wait for the memory.
    running : Out(1)
        State RUN (what the counters count).
    status : Out(Status())
        For the registers. `interrupt` is set with `done` or `error` and cleared by `acknowledge_interrupt` or soft
        reset. `busy` after an error until no burst is under way, else in RUN and during the reset. `bursts`: some are
        under way, of whatever program.
    irq : Out(1)
        `interrupt & interrupt_enable`: a level.

    Watchdog: WATCHDOG when no instruction finished for `watchdog` cycles of RUN, BUS_TIMEOUT if a burst is under way
    then; 0 is off.

    Latency: `latency = 2` cycles from a unit's error, or the cycle in which the watchdog runs out, to `halt`;
    `stop_latency = 1` from `overflow` and `broken`, which are registers where they come from. `halt`, `reset_units` and
    `status` are registers but for `busy` and `error`.

    Raises: TypeError or ValueError for a parameter outside its range.

    Source: ours.
    """

    commands: CommandInterface
    begin: Signal
    finished: Signal
    overflow: Signal
    finish: list[Signal]
    finish_index: list[Signal]
    broken: Signal
    bus_idle: Signal
    halt: Signal
    reset_units: Signal
    running: Signal
    irq: Signal
    status: StatusInterface
    unit_error: list[data.View]
    fault: data.View

    latency = 2
    stop_latency = 1

    def __init__(self, units: int, finishers: int, *, integrity: bool = False):
        self.integrity = integrity
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
                "broken": In(1),
                "bus_idle": In(1),
                "halt": Out(1),
                "reset_units": Out(1),
                "running": Out(1),
                "irq": Out(1),
                "status": Out(Status(integrity)),
                **({"fault": In(FAULT)} if integrity else {}),
            }
        )

    def _fault(self, m, state):
        """The error of this cycle, as an ERROR record. What units report goes through a register first."""
        errors = [Signal(ERROR, name=f"unit_error_{unit}") for unit in range(self.units)]
        m.d.sync += [kept.eq(error) for kept, error in zip(errors, self.unit_error, strict=True)]

        # Overflows are found two cycles after the instruction finished that gave the semaphore, and so are its number
        # here and, at the earliest, the end of a program.
        finish = Signal(self.finishers)
        last_index = Signal(INDEX_BITS)
        m.d.sync += finish.eq(Cat(self.finish))
        for source, index in enumerate(self.finish_index):
            kept = Signal(INDEX_BITS, name=f"finish_index_{source}", reset_less=True)
            m.d.sync += kept.eq(index)
            with m.If(finish[source]):
                m.d.sync += last_index.eq(kept)
        silent = Signal(32)
        expired = Signal()
        m.d.sync += [
            silent.eq(silent + 1),
            expired.eq((self.commands.watchdog != 0) & (silent >= self.commands.watchdog) & ~finish.any()),
        ]
        with m.If(finish.any() | (state != State.RUN)):
            m.d.sync += silent.eq(0)
        with m.If(self.begin):
            m.d.sync += [last_index.eq(0), expired.eq(0)]

        fault = Signal(FAULT if self.integrity else ERROR)
        m.d.comb += [
            fault.valid.eq(self.broken | self.overflow | expired),
            fault.code.eq(
                Mux(
                    self.broken,
                    ErrorCode.BUS_PROTOCOL,
                    Mux(
                        self.overflow,
                        ErrorCode.SEMAPHORE_OVERFLOW,
                        Mux(self.bus_idle, ErrorCode.WATCHDOG, ErrorCode.BUS_TIMEOUT),
                    ),
                )
            ),
            fault.index.eq(last_index),
        ]
        for error in reversed(errors):
            with m.If(error.valid):
                if self.integrity:
                    m.d.comb += [fault.valid.eq(1), fault.code.eq(error.code), fault.index.eq(error.index)]
                else:
                    m.d.comb += fault.eq(error)
        if self.integrity:
            with m.If(self.fault.valid):
                m.d.comb += [fault.eq(self.fault), fault.index.eq(Mux(self.fault.known, self.fault.index, last_index))]
        return fault

    def elaborate(self, platform):
        m = Module()
        commands, status = self.commands, self.status
        state = Signal(State)
        count = Signal(range(RESET_CYCLES + 1))
        finished = Signal()
        fault = self._fault(m, state)
        m.d.sync += [finished.eq(self.finished), status.bursts.eq(~self.bus_idle)]
        m.d.comb += [
            self.begin.eq((state == State.READY) & commands.start & ~commands.soft_reset),
            self.running.eq(state == State.RUN),
            status.busy.eq((state != State.READY) & ((state != State.STOPPED) | status.bursts)),
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
                        self.halt.eq(1),
                        status.error_code.eq(fault.code),
                        status.error_index.eq(fault.index),
                        status.interrupt.eq(1),
                    ]
                    if self.integrity:
                        m.d.sync += status.error_place.eq(fault.place)
                with m.Elif(finished):
                    m.d.sync += [state.eq(State.READY), status.done.eq(1), status.interrupt.eq(1)]
            with m.Case(State.RESET):
                # Units leave their reset a cycle after `reset_units`, so the machine is ready two cycles after it.
                m.d.sync += [count.eq(count - 1), self.reset_units.eq(count > 2)]
                with m.If(count == 0):
                    m.d.sync += [state.eq(State.READY), self.halt.eq(0)]
        with m.If(commands.soft_reset & (state != State.RESET)):
            m.d.sync += [
                state.eq(State.RESET),
                count.eq(RESET_CYCLES + 1),
                self.halt.eq(1),
                self.reset_units.eq(1),
                *(flag.eq(0) for flag in (status.done, status.interrupt, status.error_code, status.error_index)),
            ]
            if self.integrity:
                m.d.sync += status.error_place.eq(0)
        return m
