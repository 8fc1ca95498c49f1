"""Result control: rows of psums from all engines, through one post-processing pipeline, to their buffers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out

from triovit.hdl.aux.post_processing import PostProcessing
from triovit.hdl.compute.ports import CompletionInterface, CompletionPort
from triovit.hdl.compute.row_queue import RowQueue, queue_depth
from triovit.hdl.compute.steps import RESULT, WORD_ADDRESS_BITS
from triovit.hdl.compute.timing import GRANT, PINS, START, TAKEN
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.control.semaphores import Semaphores
from triovit.hdl.delay_line import delayed
from triovit.hdl.integrity.alarms import ALARMS
from triovit.hdl.integrity.parity_queue import queue
from triovit.hdl.isa.engines import Engine
from triovit.hdl.isa.instructions import SEMAPHORES
from triovit.hdl.isa.layouts import INDEX_BITS
from triovit.hdl.isa.names import Destination, PostMode

INSTRUCTIONS_IN_FLIGHT = 16
WRITE = TAKEN + PostProcessing.latency
"""From the choice of a row to the cycle in which its result is at the buffers' write ports."""
EARLY = Semaphores.latency + START + PINS - 1
"""An instruction is done so many cycles before its last result is at the write ports: whoever waits for that takes its
instruction `Semaphores.latency` cycles later, and its first read is at the pins of a RAM after the write."""


def row_control(units: int) -> data.StructLayout:
    """A row's way through a core: it leaves its unit's queue, and its divisor code is read."""
    return data.StructLayout({"take": unsigned(units), "code_en": 1, "code_address": unsigned(12)})


def post_control(units: int) -> data.StructLayout:
    """A row before post-processing, a cycle after `row_control`; unit: whose it is."""
    return data.StructLayout(
        {
            "unit": range(max(2, units)),
            "mode": PostMode,
            "fraction_bits": unsigned(4),
            "use_residual": 1,
            "log2_offset": signed(6),
            "high_byte": 1,
        }
    )


# A result's writes: a bit for each `Destination`; out: its word in A and O; attention: in K; pixel: its divisor code.
WRITES = data.StructLayout(
    {"destination": unsigned(4), "out": unsigned(WORD_ADDRESS_BITS), "attention": unsigned(13), "pixel": unsigned(12)}
)


@dataclass(frozen=True)
class _Unit:
    """A unit's oldest result, from registers.

    result: its descriptor. waits: a row of it is announced. gone: rows of it that have been taken. last: the next row
    is its last one.
    """

    result: data.View
    waits: Signal
    gone: Signal
    last: Signal


class ResultControl(wiring.Component):
    """Descriptors of results under way, places in the row queues, the choice of rows, writes and signals.

    Parameters: config; engines: the units that compute.
    Members:
      units (Out, an array of CompletionPort): descriptors and rows, in order, and instructions of each unit.
      p_en, p_block (Out), o_en, o_address (Out): records, by channel block, and residual operand of the row that was
      chosen `GRANT` cycles ago; o_en is a register.
      row (Out, row_control): `TAKEN - 2` cycles after the choice: a register in each core is to follow. post (Out,
      post_control): a cycle later.
      writes (Out, WRITES): `WRITE - 2` cycles after the choice.
      alarms (Out, ALARMS), with `integrity` only: of the queues here, registers. Then a record that is not there is not
      read, and a divisor code only where it is used.
    Latency: `WRITE` cycles from the choice of a row to its write. One row per cycle; a `wide` row takes two cycles (low
    bytes, high bytes). Units take turns. `done` and faults come `EARLY` cycles before the write.
    """

    units: list[CompletionInterface]
    p_en: Signal
    p_block: Signal
    o_en: Signal
    o_address: Signal
    row: data.View
    post: data.View
    writes: data.View
    alarms: data.View

    def __init__(self, config: AcceleratorConfig, engines: Sequence[Engine]):
        self.config, self.engines = config, engines
        super().__init__(
            {
                "units": Out(CompletionPort()).array(len(engines)),
                "p_en": Out(1),
                "p_block": Out(13),
                "o_en": Out(1),
                "o_address": Out(WORD_ADDRESS_BITS),
                "row": Out(row_control(len(engines))),
                "post": Out(post_control(len(engines))),
                "writes": Out(WRITES),
                **({"alarms": Out(ALARMS)} if config.integrity else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        self._queues: dict = {engine.unit: [] for engine in self.engines}
        # ---- T0: units that have rows take turns ----
        which = range(max(2, len(self.engines)))
        unit = Signal(which)
        chosen_before = Signal(which)
        take = Signal()
        leaves = Signal()
        second = Signal()
        wide = Signal()
        offers = [self._unit(m, number, leaves & (unit == number)) for number in range(len(self.engines))]
        for number, offer in reversed(list(enumerate(offers))):
            with m.If(offer.waits):
                m.d.comb += [unit.eq(number), take.eq(1)]
        for number, offer in reversed(list(enumerate(offers))):
            with m.If(offer.waits & (chosen_before < number)):  # behind the one before
                m.d.comb += unit.eq(number)
        with m.If(second):  # the second byte of a wide row follows its first one at once
            m.d.comb += unit.eq(chosen_before)
        result = Signal(RESULT)
        gone = Signal(8)
        last = Signal()
        with m.Switch(unit):
            for number, offer in enumerate(offers):
                with m.Case(number):
                    m.d.comb += [
                        result.eq(offer.result),
                        gone.eq(offer.gone),
                        last.eq(offer.last),
                        wide.eq(offer.result.mode == PostMode.WIDE),
                    ]
        m.d.comb += leaves.eq(take & (~wide | second))
        m.d.sync += [second.eq(take & ~leaves), chosen_before.eq(unit)]

        # ---- T1: its place ----
        chosen = Signal(RESULT, name="chosen", reset_less=True)
        offset = Signal(21, reset_less=True)
        t1_gone = Signal(8, reset_less=True)
        m.d.sync += [chosen.eq(result), offset.eq(Mux(second, result.high, 0) + gone), t1_gone.eq(gone)]
        # ---- T2: its reads ----
        placed = Signal(RESULT, name="placed", reset_less=True)
        m.d.sync += [
            placed.eq(chosen),
            placed.out.eq(chosen.out + offset),
            placed.attention.eq(chosen.attention + t1_gone),
            self.o_en.eq(delayed(m, take, GRANT - 1, "chosen_valid", reset=True)[-1] & chosen.residual),
        ]
        valid, integrity = delayed(m, take, GRANT, "valid", reset=True)[-1], self.config.integrity
        m.d.comb += [
            self.p_en.eq(valid & (placed.parameters < self.config.parameter_blocks) if integrity else valid),
            self.p_block.eq(placed.parameters),
            self.o_address.eq(placed.out),
        ]
        self._way_through_a_core(m, placed, valid, take, second, unit)
        self._writes(m, placed, valid, leaves & last & result.final, unit)
        if integrity:
            m.d.comb += [
                self.alarms.queues[unit].eq(Cat(queue.damaged for queue in queues).any())
                for unit, queues in self._queues.items()
            ]
        return m

    def _queue(self, m, name: str, engine: Engine, width: int, depth: int):
        """A queue of one unit, with a register behind its memory."""
        made = queue(m, name, width, depth, integrity=self.config.integrity, buffered=True)
        self._queues[engine.unit].append(made)
        return made

    def _unit(self, m, number: int, leaves) -> _Unit:
        """A unit's queue of descriptors, where a descriptor goes with its last row, and the count of its rows."""
        port, name = self.units[number], self.engines[number].unit.name.lower()
        depth, block = queue_depth(self.config), self.config.block
        descriptors = self._queue(m, f"{name}_results", self.engines[number], RESULT.size, depth)
        result = data.View(RESULT, descriptors.r_data)
        gone = Signal(8, name=f"{name}_gone")
        last = Signal(name=f"{name}_last")
        waiting = Signal(range(depth + 1), name=f"{name}_waiting")  # announced and not taken
        following = Signal.like(waiting, name=f"{name}_following")
        waits = Signal(name=f"{name}_waits")
        owed = Signal(range(depth + 1), name=f"{name}_owed")  # places in the row queue that are given away
        pushed = port.results
        m.d.comb += [
            last.eq(gone == result.rows - 1),
            # Whether there is a result is known late in its cycle.
            descriptors.w_data.eq(delayed(m, pushed.result.as_value(), 1, f"{name}_result")[-1]),
            descriptors.w_en.eq(delayed(m, pushed.push, 1, f"{name}_pushed", reset=True)[-1]),
            descriptors.r_en.eq(leaves & last),
            following.eq(waiting + port.row - leaves),
        ]
        m.d.sync += [
            waiting.eq(following),
            waits.eq(following != 0),
            owed.eq(Mux(pushed.push, owed + pushed.result.rows - leaves, owed - leaves)),
            # What is pushed in this cycle and the next one is not in it yet.
            pushed.space.eq(owed <= depth - 2 * block),
        ]
        with m.If(leaves):
            m.d.sync += gone.eq(Mux(last, 0, gone + 1))
        return _Unit(result, waits, gone, last)

    def _way_through_a_core(self, m, placed, valid, take, second, unit):
        """Control of the row queues, the divisor buffer and post-processing."""
        row, post = self.row, self.post
        # A register in each core follows what is said here.
        rows, posts = TAKEN - RowQueue.latency - 1, TAKEN - 1
        takes = Cat(take & ~second & (unit == number) for number in range(len(self.engines)))
        code = valid & (placed.mode == PostMode.DIVIDE) & (placed.pixel < self.config.divisors)
        line = {
            "mode": placed.mode,
            "fraction_bits": placed.fraction_bits,
            "use_residual": placed.residual,
            "log2_offset": placed.log2_offset,
        }
        m.d.comb += [
            row.take.eq(delayed(m, takes, rows, "takes", reset=True)[-1]),
            row.code_en.eq(delayed(m, code, rows - GRANT, "code_en", reset=True)[-1] if self.config.integrity else 1),
            row.code_address.eq(delayed(m, placed.pixel[:12], rows - GRANT, "code_address")[-1]),
            post.unit.eq(delayed(m, unit, posts, "post_unit")[-1]),
            post.high_byte.eq(delayed(m, second, posts, "high_byte")[-1]),
            *(post[name].eq(delayed(m, value, posts - GRANT, name)[-1]) for name, value in line.items()),
        ]

    def _writes(self, m, placed, valid, final, unit):
        """Delay line beside the pipeline, the writes at its end, and the signals of finished instructions."""
        config = self.config
        o, a, k, divisor = (
            placed.destination[d.position] for d in (Destination.O, Destination.A, Destination.K, Destination.DIVISOR)
        )
        beyond = Signal(reset_less=True)
        destination = Signal(4)
        m.d.sync += [
            # A record block or a code that was never there is as bad as a result that goes nowhere.
            beyond.eq(
                (placed.parameters >= config.parameter_blocks)
                | ((placed.mode == PostMode.DIVIDE) & (placed.pixel >= config.divisors))
                | (o & (placed.out >= config.output_words))
                | (a & (placed.out >= config.feature_words))
                | (k & (placed.attention >= config.attention_words))
                | (divisor & (placed.pixel >= config.divisors))
            ),
            destination.eq(Mux(valid, placed.destination, 0)),
        ]
        checked = GRANT + 1
        before = WRITE - 2 - checked
        writes = self.writes
        m.d.comb += [
            writes.destination.eq(delayed(m, Mux(beyond, 0, destination), before, "destination", reset=True)[-1]),
            writes.out.eq(delayed(m, placed.out, before + 1, "write_out")[-1]),
            writes.attention.eq(delayed(m, placed.attention, before + 1, "write_attention")[-1]),
            writes.pixel.eq(delayed(m, placed.pixel[:12], before + 1, "write_pixel")[-1]),
        ]
        self._completion(m, Mux(destination.any(), beyond, 0), final, unit)

    def _completion(self, m, beyond, final, unit):
        """Instructions end with their last row; a result beyond its buffer is a fault of the oldest one."""
        end = WRITE - EARLY
        ended = delayed(m, final, end, "final", reset=True)[-1]
        fault = delayed(m, beyond, end - GRANT - 1, "beyond", reset=True)[-1]
        whose = delayed(m, unit, end, "unit")[-1]
        for number, (port, engine) in enumerate(zip(self.units, self.engines, strict=True)):
            name = engine.unit.name.lower()
            size = SEMAPHORES + INDEX_BITS
            instructions = self._queue(m, f"{name}_instructions", engine, size, INSTRUCTIONS_IN_FLIGHT)
            m.d.comb += [
                instructions.w_data.eq(Cat(port.signal, port.index)),
                instructions.w_en.eq(port.accepted),
                # Places are kept for the instruction whose acceptance is about to be told, and for the next one.
                port.room.eq(instructions.level < INSTRUCTIONS_IN_FLIGHT - 2),
                port.done.eq(ended & (whose == number)),
                instructions.r_en.eq(port.done),
                port.done_signal.eq(instructions.r_data[:SEMAPHORES]),
                port.done_index.eq(instructions.r_data[SEMAPHORES:]),
                port.fault.eq(fault & (whose == number)),
                port.fault_index.eq(instructions.r_data[SEMAPHORES:]),
                port.idle.eq(instructions.level == 0),
            ]
