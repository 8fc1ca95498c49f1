"""Sequencer of a MAC unit: turns one instruction into its steps, one per cycle.

What an opcode does is a row of `hdl.compute.operations`; here are the loops' registers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.compute.loops import LoopCounters, NestAddress
from triovit.hdl.compute.operations import OPERATIONS
from triovit.hdl.compute.steps import COUNT_BITS, WORD_ADDRESS_BITS, StepKind, step_layout
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.instructions import SEMAPHORES
from triovit.hdl.isa.layouts import INDEX_BITS, ISSUED, LAYOUT_OF
from triovit.hdl.isa.names import Opcode, Unit
from triovit.hdl.isa.rules import breaks_a_rule

LEVELS, INNER = 6, 3  # loops, and how many of them accumulate one result
RESULT_FIELDS = ("destination", "mode", "fraction_bits", "residual", "log2_offset")  # which results show as they are
STEP_FIELDS = ("source", "relu", "stationary", "epsilon", "cols", "weights", "parameters", "out_group", "out_row")


@dataclass(frozen=True)
class _Loops:
    """What the loops do in this cycle.

    advance: they move. load: to the first step of the next instruction. Both are known before the current step is
    accepted, but for its acceptance itself. inner_end, group_end: levels 0..2, 0..4 are at their end.
    key: a step of two operands is at its first one.
    """

    counters: LoopCounters
    advance: Signal
    load: Signal
    inner_end: Signal
    group_end: Any
    key: Signal


class Sequencer(wiring.Component):
    """Sequencer of the R-MAC or the MAT unit.

    Parameters: config; unit: Unit.RMAC or Unit.MAT.
    Members:
      i: stream of ISSUED instructions, semaphores already taken; one waits here while another one runs. o: stream of
      steps (`step_layout`), from registers.
      settled (In, 1): of the steps given none waits to be issued.
      accepted (Out, 1) with signal (Out, 32), index (Out, 32): an instruction begins, for the result control.
      busy (Out, 1). error (Out, 1): an instruction is refused, once the steps of those before it are issued, and the
      unit stops; `index` is its number from the next cycle on.
    Timing: `latency = 2` cycles from the transfer on `i` to the first step, then one step per cycle (two for an outer
    product's step: k, then v; one for a MAT_JOIN) while o.ready. The next instruction's steps follow without a gap if
    its transfer comes before the last step. `accepted` comes in the first cycle in which the first step could go.
    Errors: ILLEGAL_FIELD for an instruction that breaks a rule of `hdl.isa.rules`.
    Source: Trio-ViT (arXiv 2405.03882), R-MAC and MAT engines (operand patterns); loop order is ours.
    """

    i: stream.Interface
    o: stream.Interface
    settled: Signal
    accepted: Signal
    signal: Signal
    index: Signal
    busy: Signal
    error: Signal

    latency = 2

    def __init__(self, config: AcceleratorConfig, unit: Unit):
        if unit not in (Unit.RMAC, Unit.MAT):
            raise ValueError(f"unit must be RMAC or MAT, not {unit!r}")
        self.config, self.unit = config, unit
        super().__init__(
            {
                "i": In(stream.Signature(ISSUED)),
                "o": Out(stream.Signature(step_layout(config.block))),
                "settled": In(1),
                "accepted": Out(1),
                "signal": Out(SEMAPHORES),
                "index": Out(INDEX_BITS),
                "busy": Out(1),
                "error": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        word = Signal(ISSUED, reset_less=True)  # the next instruction
        m.submodules.counters = counters = LoopCounters(LEVELS, COUNT_BITS)
        m.submodules.features = features = NestAddress(LEVELS, WORD_ADDRESS_BITS)
        m.submodules.values = values = NestAddress(LEVELS, WORD_ADDRESS_BITS)
        m.submodules.results = results = NestAddress(LEVELS - INNER, WORD_ADDRESS_BITS)
        opcode = Opcode.RMAC_CONV if self.unit == Unit.RMAC else Opcode.MAT_CONV
        f = data.View(LAYOUT_OF[opcode], word.word)
        is_ = {op: Signal(name=f"is_{op.name.lower()}") for op in Opcode if Unit(op >> 4) == self.unit}
        m.d.comb += [signal.eq(word.word[:8] == op.value) for op, signal in is_.items()]
        following = self._decode(m, word, f, is_, counters, features, values, results)
        now = Signal(following.shape(), reset_less=True)  # the instruction whose steps are on `o`
        loops = self._control(m, word, f, is_, following, now, counters)

        for nest, base, ends, advance in (
            (features, f.in_base, counters.ends, loops.advance),
            (values, f.in_value, counters.ends, loops.advance),
            (results, f.out_base, counters.ends[INNER:], loops.advance & (loops.load | loops.inner_end)),
        ):
            m.d.comb += [nest.load.eq(loops.load), nest.base.eq(base), nest.ends.eq(ends), nest.advance.eq(advance)]
        step = self.o.payload
        m.d.comb += [
            step.index.eq(now.index),
            step.begins.eq(counters.starts.all() & (~now.pairs | loops.key)),
            step.kind.eq(now.kind),
            step.joint.eq(now.joint),
            step.source.eq(now.source),
            step.relu.eq(now.relu),
            step.stationary.eq(now.stationary),
            step.key.eq(now.pairs & loops.key),
            step.stride.eq(now.double),
            step.first.eq(Mux(now.two_passes, 0, counters.starts[:INNER].all())),
            step.last.eq(Mux(now.two_passes, counters.ends[4], loops.inner_end)),
            step.features.eq(Mux(now.pairs & ~loops.key, values.address, features.address)),
            step.channels.eq(now.cols),
            step.epsilon.eq(now.epsilon),
        ]
        self._windows(m, f, now, loops)
        self._weights(m, f, now, loops)
        self._results(m, f, now, loops, results.address)
        return m

    def _decode(self, m, word, f, is_, counters, features, values, results):
        """What steps need of the instruction that waits; its loop counts and strides go to the loops."""
        block = self.config.block
        joint = f.joint & is_[Opcode.RMAC_CONV] if self.unit == Unit.RMAC else is_[Opcode.MAT_JOIN]
        d = Signal(
            data.StructLayout(
                {
                    **{name: f[name].shape() for name in (*STEP_FIELDS, *RESULT_FIELDS)},
                    "index": INDEX_BITS,
                    "joint": 1,  # the R-MAC's instruction is joint, the MAT's is a MAT_JOIN
                    "kind": StepKind,
                    "rows": 5,
                    "by_count": 1,
                    "step_weights": range(block + 1),
                    "records": 2,
                    "by_column": 1,
                    "pixels": range(block + 1),
                    "double": 1,
                    "pairs": 1,
                    "two_passes": 1,
                }
            ),
            name="following",
        )
        m.d.comb += [d.index.eq(word.index), d.joint.eq(joint)]
        m.d.comb += [d[name].eq(f[name]) for name in (*STEP_FIELDS, *RESULT_FIELDS)]
        for op, active in is_.items():
            if op not in OPERATIONS:
                continue
            operation = OPERATIONS[op](f, block, joint)
            with m.If(active):
                m.d.comb += [
                    *(counters.counts[level].eq(count) for level, count in enumerate(operation.counts)),
                    *(features.strides[level].eq(stride) for level, stride in enumerate(operation.features)),
                    *(values.strides[level].eq(stride) for level, stride in enumerate(operation.values or ())),
                    *(results.strides[level].eq(stride) for level, stride in enumerate(operation.results)),
                    d.kind.eq(operation.kind),
                    d.rows.eq(operation.rows or 0),
                    d.by_count.eq(operation.rows is None),
                    d.step_weights.eq(operation.weights),
                    d.records.eq(operation.records),
                    d.by_column.eq(operation.window == INNER),
                    d.pixels.eq(operation.pixels),
                    d.double.eq(operation.double),
                    d.pairs.eq(operation.values is not None),
                    d.two_passes.eq(operation.two_passes),
                ]
        return d

    def _control(self, m, word, f, is_, following, now, counters) -> _Loops:
        """An instruction is taken, looked at, started, and walked to its end."""
        arrived = Signal()
        kept = Signal()
        waiting = Signal()  # the next instruction is there: it has just come, or has stayed
        running = Signal()
        failed = Signal()
        legal = Signal()
        begins = Signal()  # the next instruction
        advance = Signal()
        load = Signal()
        inner_end = Signal()
        key = Signal(init=1)
        accepted = Signal()
        at_end = Signal()
        m.d.comb += [
            self.i.ready.eq(~waiting & ~failed),
            # It is an instruction of this unit, and breaks no rule of `hdl.isa.rules`.
            legal.eq(Cat(*is_.values()).any() & ~breaks_a_rule(f, is_, self.config.block)),
            self.o.valid.eq(running),
            accepted.eq(self.o.valid & self.o.ready),
            at_end.eq(~running | (counters.last if self.unit == Unit.RMAC else counters.last | now.joint)),
            # What a refused instruction leaves in the loops does not matter: whether it is one is known late.
            load.eq(at_end & waiting),
            advance.eq((accepted & ~(now.pairs & key)) | (~running & waiting)),
            begins.eq(advance & load & legal),
            inner_end.eq(counters.ends[:INNER].all()),
            counters.load.eq(load),
            counters.advance.eq(advance),
            self.error.eq(~running & self.settled & waiting & ~legal),
        ]
        # Whether there is an instruction to take is known late in its cycle: it goes into a register of its own.
        m.d.comb += waiting.eq(arrived | kept)
        m.d.sync += [arrived.eq(self.i.valid & self.i.ready), kept.eq(waiting & ~(begins | self.error))]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += word.eq(self.i.payload)
        with m.If(advance & load):
            m.d.sync += now.eq(following)
        with m.If(advance & at_end):
            m.d.sync += running.eq(begins)
        with m.If(self.error):
            m.d.sync += failed.eq(1)
        with m.If(advance):
            m.d.sync += key.eq(1)
        with m.Elif(accepted):
            m.d.sync += key.eq(0)
        m.d.sync += [self.accepted.eq(begins), self.signal.eq(f.signal), self.index.eq(word.index)]
        m.d.comb += self.busy.eq(running | waiting)
        return _Loops(counters, advance, load, inner_end, inner_end & counters.ends[3] & counters.ends[4], key)

    def _windows(self, m, f, now, loops: _Loops):
        """Pixels or tokens left in the row, for the number of valid lanes of its last window."""
        columns = Signal(COUNT_BITS + 1, reset_less=True)
        with m.If(loops.advance):
            with m.If(loops.load):
                m.d.sync += columns.eq(f.cols)
            with m.Elif(Mux(now.by_column, loops.inner_end, 1)):
                window_end = Mux(now.by_column, loops.counters.ends[INNER], loops.counters.ends[1])
                m.d.sync += columns.eq(Mux(window_end, now.cols, columns - now.pixels))
        m.d.comb += self.o.payload.count.eq(Mux(columns > now.pixels, now.pixels, columns))

    def _weights(self, m, f, now, loops: _Loops):
        """Weights are read in order; a new pixel starts again at its group's first word."""
        pointer = Signal(WORD_ADDRESS_BITS, reset_less=True)
        group = Signal(WORD_ADDRESS_BITS, reset_less=True)
        following = Signal(WORD_ADDRESS_BITS)
        m.d.comb += [following.eq(pointer + now.step_weights), self.o.payload.weights.eq(pointer)]
        with m.If(loops.advance):
            with m.If(loops.load):
                m.d.sync += [pointer.eq(f.weights), group.eq(f.weights)]
            with m.Else():
                m.d.sync += pointer.eq(following)
                with m.If(now.two_passes):
                    with m.If(loops.group_end):  # the second pass reads the same weights
                        m.d.sync += pointer.eq(now.weights)
                with m.Elif(loops.group_end):
                    m.d.sync += group.eq(following)
                with m.Elif(loops.inner_end):
                    m.d.sync += pointer.eq(group)

    def _results(self, m, f, now, loops: _Loops, address):
        """Address, record block, place in K and pixel number of the result that the current step belongs to."""
        step, result = self.o.payload, self.o.payload.result
        parameters = Signal.like(result.parameters, reset_less=True)
        attention = Signal.like(result.attention, reset_less=True)
        pixel = Signal.like(result.pixel, reset_less=True)
        with m.If(loops.advance):
            with m.If(loops.load):
                m.d.sync += [parameters.eq(f.parameters), attention.eq(f.attention), pixel.eq(0)]
            with m.Elif(loops.inner_end):
                m.d.sync += [attention.eq(attention + self.config.block), pixel.eq(pixel + 1)]
                with m.If(loops.group_end):
                    m.d.sync += pixel.eq(0)
                with m.If(now.two_passes):
                    m.d.sync += parameters.eq(Mux(loops.group_end, now.parameters, parameters + 1))
                with m.Elif(loops.group_end):
                    m.d.sync += parameters.eq(parameters + now.records)
        last_pass = ~now.two_passes | loops.counters.ends[LEVELS - 1]
        m.d.comb += [
            # Of two operands the second one ends a step; of two passes the first one only gathers sums.
            step.push.eq(loops.inner_end & ~(now.pairs & loops.key) & last_pass),
            step.partner_out.eq(address + now.out_group),
            result.rows.eq(Mux(now.by_count, step.count, now.rows)),
            result.out.eq(address),
            result.high.eq(now.out_row),
            result.parameters.eq(parameters),
            result.attention.eq(attention),
            result.pixel.eq(pixel),
            *(result[name].eq(now[name]) for name in RESULT_FIELDS),
            result.final.eq(loops.counters.last),
        ]
