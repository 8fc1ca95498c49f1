"""Result control: rows of psums from all engines, through one post-processing pipeline, to their buffers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, fifo, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.aux.post_processing import PostProcessing
from triovit.hdl.compute.ports import CompletionInterface, CompletionPort, RowInterface, RowOffer
from triovit.hdl.compute.steps import RESULT, WORD_ADDRESS_BITS
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.engines import Engine
from triovit.hdl.isa.instructions import SEMAPHORES
from triovit.hdl.isa.layouts import INDEX_BITS
from triovit.hdl.isa.names import Destination, PostMode
from triovit.hdl.isa.record import RECORD_BYTES

RESULTS_IN_FLIGHT = 16  # more than the engines hold between their first beat and their last row
INSTRUCTIONS_IN_FLIGHT = 8


def result_control(rows: int) -> data.StructLayout:
    """What the result control drives in every core; rows: engines that give rows of psums."""
    return data.StructLayout(
        {
            # T0: a row leaves its engine
            "take": 1,
            "source": range(rows),
            "ready": unsigned(rows),
            "code_address": unsigned(12),
            "code_en": 1,
            # T1: the row enters post-processing
            "mode": PostMode,
            "fraction_bits": unsigned(4),
            "use_residual": 1,
            "log2_offset": signed(6),
            "high_byte": 1,
            # the result is written
            "write": unsigned(4),
            "out": unsigned(WORD_ADDRESS_BITS),
            "attention": unsigned(13),
            "pixel": unsigned(12),
        }
    )


def _write_layout(units: int) -> data.StructLayout:
    """What travels beside a row through the pipeline."""
    return data.StructLayout(
        {
            "valid": 1,
            "final": 1,
            "unit": range(max(2, units)),
            "bad": 1,
            "destination": unsigned(4),
            "out": unsigned(WORD_ADDRESS_BITS),
            "attention": unsigned(13),
            "pixel": unsigned(24),
        }
    )


@dataclass(frozen=True)
class _Offer:
    """What a unit has for the arbiter.

    result: its oldest descriptor. valid: a row of it is on offer. source: the engine that offers it. last: it is the
    last row of the descriptor. gone: rows of the descriptor that have been taken.
    """

    result: data.View
    valid: Value
    source: Value
    last: Value
    gone: Signal


class ResultControl(wiring.Component):
    """Descriptors of results under way, the arbiter of the post-processing pipeline, writes and signals.

    Parameters: config; engines: the units that compute, in order of priority.
    Members:
      units (Out, an array of CompletionPort): descriptors, in order, and instructions of each unit.
      rows (In, an array of RowOffer): core 0's engines, in the order of the units' `rows`.
      control (Out, result_control). p_en, p_address (Out): records of the row, in words. o_en, o_address (Out):
      residual operand.
    Latency: a row taken in cycle t is written at the end of cycle t + 1 + PostProcessing.latency. One row per cycle; a
    `wide` row takes two cycles (low bytes, high bytes).
    """

    units: list[CompletionInterface]
    rows: list[RowInterface]
    control: data.View
    p_en: Signal
    p_address: Signal
    o_en: Signal
    o_address: Signal

    LATENCY = 1 + PostProcessing.latency

    def __init__(self, config: AcceleratorConfig, engines: Sequence[Engine]):
        self.config, self.engines = config, engines
        rows = sum(len(engine.rows) for engine in engines)
        super().__init__(
            {
                "units": Out(CompletionPort()).array(len(engines)),
                "rows": In(RowOffer()).array(rows),
                "control": Out(result_control(rows)),
                "p_en": Out(1),
                "p_address": Out(WORD_ADDRESS_BITS),
                "o_en": Out(1),
                "o_address": Out(WORD_ADDRESS_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        control = self.control

        # ---- T0: choose a row; the first unit that has one ----
        row = Signal(RESULT)
        source = Signal(control.source.shape())
        last_row = Signal()
        gone = Signal(8)
        which = range(max(2, len(self.engines)))
        unit = Signal(which)
        chosen_before = Signal(which)
        take = Signal()
        leaves = Signal()
        second = Signal()
        offers = [self._offer(m, number, leaves, unit) for number in range(len(self.engines))]
        for number, offer in reversed(list(enumerate(offers))):
            with m.If(offer.valid):
                m.d.comb += [unit.eq(number), take.eq(1)]
        with m.If(second):  # the second byte of a wide row follows its first one at once
            m.d.comb += unit.eq(chosen_before)
        with m.Switch(unit):
            for number, offer in enumerate(offers):
                with m.Case(number):
                    m.d.comb += [
                        row.eq(offer.result),
                        source.eq(offer.source),
                        last_row.eq(offer.last),
                        gone.eq(offer.gone),
                    ]
        m.d.comb += leaves.eq(take & ((row.mode != PostMode.WIDE) | second))
        m.d.sync += [second.eq(take & ~leaves), chosen_before.eq(unit)]
        m.d.comb += [control.take.eq(take), control.source.eq(source), control.ready.eq(leaves << source)]

        # ---- T0: reads; their data enters the pipeline with the row in T1 ----
        out = Signal(WORD_ADDRESS_BITS)
        m.d.comb += [
            out.eq(row.out + gone + Mux(second, row.high, 0)),
            self.p_en.eq(take),
            self.p_address.eq(row.parameters * RECORD_BYTES),
            self.o_en.eq(take & row.residual),
            self.o_address.eq(out),
            control.code_en.eq(take),
            control.code_address.eq(row.pixel),
        ]
        for target, value in (
            (control.mode, row.mode),
            (control.fraction_bits, row.fraction_bits),
            (control.use_residual, row.residual),
            (control.log2_offset, row.log2_offset),
            (control.high_byte, second),
        ):
            delayed = Signal.like(value, reset_less=True)
            m.d.sync += delayed.eq(value)
            m.d.comb += target.eq(delayed)
        self._write(m, row, take, leaves & last_row, out, gone, unit)
        return m

    def _offer(self, m, number: int, leaves, unit) -> _Offer:
        """A unit's queue of descriptors; a descriptor goes with its last row."""
        port, engine = self.units[number], self.engines[number]
        name = engine.unit.name.lower()
        m.submodules[f"{name}_results"] = queue = fifo.SyncFIFOBuffered(width=RESULT.size, depth=RESULTS_IN_FLIGHT)
        result = data.View(RESULT, queue.r_data)
        first = sum(len(earlier.rows) for earlier in self.engines[:number])
        sources = range(first, first + len(engine.rows))
        valid = Array(self.rows[source].valid for source in sources)[result.row]
        last = Array(self.rows[source].last for source in sources)[result.row]
        gone = Signal(8, name=f"{name}_rows_taken")
        mine = leaves & (unit == number)
        m.d.comb += [
            queue.w_data.eq(port.results.result),
            queue.w_en.eq(port.results.push),
            port.results.space.eq(queue.w_rdy),
            queue.r_en.eq(mine & last),
        ]
        with m.If(mine):
            m.d.sync += gone.eq(Mux(last, 0, gone + 1))
        return _Offer(result, queue.r_rdy & valid, first + result.row, last, gone)

    def _write(self, m, row, take, final, out, gone, unit):
        """Delay line beside the pipeline, the writes at its end, and the signals of finished instructions."""
        config, control = self.config, self.control
        layout = _write_layout(len(self.engines))
        line = [Signal(layout, name=f"write_{k}") for k in range(self.LATENCY)]
        m.d.sync += [
            line[0].valid.eq(take),
            line[0].final.eq(final & row.final),
            line[0].unit.eq(unit),
            line[0].destination.eq(row.destination),
            line[0].out.eq(out),
            line[0].attention.eq(row.attention + gone),
            line[0].pixel.eq(row.pixel),
            # A record block or a code that was never there is as bad as a result that goes nowhere. It is reported at
            # the end of the line, where the instruction that the row belongs to is known.
            line[0].bad.eq(
                (row.parameters >= config.parameter_blocks)
                | ((row.mode == PostMode.DIVIDE) & (row.pixel >= config.divisors))
            ),
            *(after.eq(before) for before, after in itertools.pairwise(line)),
        ]
        end = line[-1]
        o, a, k, divisor = (
            end.destination[d.position] for d in (Destination.O, Destination.A, Destination.K, Destination.DIVISOR)
        )
        beyond = Signal()
        fault = Signal()
        m.d.comb += [
            beyond.eq(
                end.bad
                | (o & (end.out >= config.output_words))
                | (a & (end.out >= config.feature_words))
                | (k & (end.attention >= config.attention_words))
                | (divisor & (end.pixel >= config.divisors))
            ),
            control.write.eq(Mux(end.valid & ~beyond, end.destination, 0)),
            control.out.eq(end.out),
            control.attention.eq(end.attention),
            control.pixel.eq(end.pixel),
            fault.eq(end.valid & beyond),
        ]
        for number, (port, engine) in enumerate(zip(self.units, self.engines, strict=True)):
            name = engine.unit.name.lower()
            instructions = fifo.SyncFIFOBuffered(width=SEMAPHORES + INDEX_BITS, depth=INSTRUCTIONS_IN_FLIGHT)
            m.submodules[f"{name}_instructions"] = instructions
            done = Signal(name=f"{name}_finished")
            mine = end.unit == number
            m.d.comb += [
                instructions.w_data.eq(Cat(port.signal, port.index)),
                instructions.w_en.eq(port.accepted),
                # One place is kept for the instruction whose acceptance is a cycle away.
                port.room.eq(instructions.level < INSTRUCTIONS_IN_FLIGHT - 1),
                done.eq(end.valid & end.final & mine),
                instructions.r_en.eq(done),
                port.done.eq(done),
                port.done_signal.eq(instructions.r_data[:SEMAPHORES]),
                port.done_index.eq(instructions.r_data[SEMAPHORES:]),
                port.fault.eq(fault & mine),
                port.fault_index.eq(instructions.r_data[SEMAPHORES:]),
                port.idle.eq(instructions.level == 0),
            ]
