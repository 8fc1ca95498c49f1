"""Sequencer of a MAC unit: turns one instruction into its steps, one per cycle.

What an opcode does is a row of `hdl.compute.operations`; here are the loops' registers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.compute.loops import LoopCounters, NestAddress
from triovit.hdl.compute.operations import OPERATIONS
from triovit.hdl.compute.steps import COUNT_BITS, WORD_ADDRESS_BITS, StepKind, step_layout
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.instructions import SEMAPHORES
from triovit.hdl.isa.layouts import INDEX_BITS, ISSUED, LAYOUT_OF
from triovit.hdl.isa.names import ErrorCode, Opcode, Unit
from triovit.hdl.isa.rules import breaks_a_rule

LEVELS, INNER = 6, 3  # loops, and how many of them accumulate one result


@dataclass(frozen=True)
class _Decoded:
    """The instruction in hand: its fields, which opcode it is, and what the sequencer has to know of its operation.

    pairs: a step reads two operands in two cycles. See `Operation` for the others.
    """

    f: Any
    is_: dict[Opcode, Signal]
    join: Any
    joint: Any
    kind: Signal
    row: Signal
    weights: Signal
    records: Signal
    by_column: Signal
    pixels: Signal
    double: Signal
    pairs: Signal
    two_passes: Signal


@dataclass(frozen=True)
class _Loops:
    """Where the loops stand.

    load: an instruction starts. advance: the step is done. group_end: level 5 is about to go on. key: a step of two
    operands is at its first one.
    """

    counters: LoopCounters
    load: Signal
    advance: Signal
    inner_end: Signal
    group_end: Any
    key: Signal


class Sequencer(wiring.Component):
    """Sequencer of the R-MAC or the MAT unit.

    Parameters: config; unit: Unit.RMAC or Unit.MAT.
    Members:
      i: stream of ISSUED instructions, semaphores already taken. o: stream of steps (`step_layout`).
      partner_joined (In, 1, R-MAC): the MAT unit stands at a MAT_JOIN. joined (Out, 1, MAT): this one does.
      release (In, 1, MAT): the joint instruction's last step has gone. releases (Out, 1, R-MAC): that strobe.
      accepted (Out, 1) with signal (Out, 32), index (Out, 32): an instruction has been taken, for the result control.
      busy (Out, 1). error (Out, 1) with error_code (Out, 8) and error_index (Out, 32): the instruction is refused and
      the unit stops.
    Timing: two cycles from an accepted instruction to its first step, then one step per cycle (two for an outer
    product's step: k, then v) while o.ready; one idle cycle between instructions.
    Errors: ILLEGAL_FIELD for an instruction that breaks a rule of `hdl.isa.rules`.
    Source: Trio-ViT (arXiv 2405.03882), R-MAC and MAT engines (operand patterns); loop order is ours.
    """

    i: stream.Interface
    o: stream.Interface
    partner_joined: Signal
    joined: Signal
    release: Signal
    releases: Signal
    accepted: Signal
    signal: Signal
    index: Signal
    busy: Signal
    error: Signal
    error_code: Signal
    error_index: Signal

    def __init__(self, config: AcceleratorConfig, unit: Unit):
        if unit not in (Unit.RMAC, Unit.MAT):
            raise ValueError(f"unit must be RMAC or MAT, not {unit!r}")
        self.config, self.unit = config, unit
        super().__init__(
            {
                "i": In(stream.Signature(ISSUED)),
                "o": Out(stream.Signature(step_layout(config.block))),
                "partner_joined": In(1),
                "joined": Out(1),
                "release": In(1),
                "releases": Out(1),
                "accepted": Out(1),
                "signal": Out(SEMAPHORES),
                "index": Out(INDEX_BITS),
                "busy": Out(1),
                "error": Out(1),
                "error_code": Out(8),
                "error_index": Out(INDEX_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        word = Signal(ISSUED, reset_less=True)
        m.submodules.counters = counters = LoopCounters(LEVELS, COUNT_BITS)
        m.submodules.features = features = NestAddress(LEVELS, WORD_ADDRESS_BITS)
        m.submodules.values = values = NestAddress(LEVELS, WORD_ADDRESS_BITS)
        m.submodules.results = results = NestAddress(LEVELS - INNER, WORD_ADDRESS_BITS)
        d = self._decode(m, word, counters, features, values, results)
        loops = self._step(m, d, counters)
        self._control(m, word, d, loops)

        m.d.comb += [counters.load.eq(loops.load), counters.advance.eq(loops.advance)]
        for nest, base, ends, advance in (
            (features, d.f.in_base, counters.ends, loops.advance),
            (values, d.f.in_value, counters.ends, loops.advance),
            (results, d.f.out_base, counters.ends[INNER:], loops.advance & loops.inner_end),
        ):
            m.d.comb += [nest.load.eq(loops.load), nest.base.eq(base), nest.ends.eq(ends), nest.advance.eq(advance)]
        step = self.o.payload
        m.d.comb += [
            step.kind.eq(d.kind),
            step.joint.eq(d.joint),
            step.source.eq(d.f.source),
            step.relu.eq(d.f.relu),
            step.stationary.eq(d.f.stationary),
            step.key.eq(d.pairs & loops.key),
            step.stride.eq(d.double),
            step.first.eq(Mux(d.two_passes, 0, counters.starts[:INNER].all())),
            step.last.eq(Mux(d.two_passes, counters.ends[4], loops.inner_end)),
            step.features.eq(Mux(d.pairs & ~loops.key, values.address, features.address)),
            step.channels.eq(d.f.cols),
            step.epsilon.eq(d.f.epsilon),
        ]
        self._windows(m, d, loops)
        self._weights(m, d, loops)
        self._results(m, d, loops, results.address)
        return m

    def _decode(self, m, word, counters, features, values, results) -> _Decoded:
        """Fields of the instruction in `word`; loop counts and strides of its operation."""
        conv_opcode = Opcode.RMAC_CONV if self.unit == Unit.RMAC else Opcode.MAT_CONV
        f = data.View(LAYOUT_OF[conv_opcode], word.word)
        is_ = {op: Signal(name=f"is_{op.name.lower()}") for op in Opcode if Unit(op >> 4) == self.unit}
        m.d.comb += [signal.eq(word.word[:8] == op.value) for op, signal in is_.items()]
        join = is_.get(Opcode.MAT_JOIN, Const(0))
        joint = f.joint & is_[conv_opcode] if self.unit == Unit.RMAC else Const(0)
        d = _Decoded(
            f,
            is_,
            join,
            joint,
            kind=Signal(StepKind, name="kind"),
            row=Signal(2, name="row"),
            weights=Signal(range(self.config.block + 1), name="weights"),
            records=Signal(2, name="records"),
            by_column=Signal(name="by_column"),
            pixels=Signal(range(self.config.block + 1), name="pixels"),
            double=Signal(name="double"),
            pairs=Signal(name="pairs"),
            two_passes=Signal(name="two_passes"),
        )
        for op, active in is_.items():
            if op not in OPERATIONS:
                continue
            operation = OPERATIONS[op](f, self.config.block, joint)
            with m.If(active):
                m.d.comb += [
                    *(counters.counts[level].eq(count) for level, count in enumerate(operation.counts)),
                    *(features.strides[level].eq(stride) for level, stride in enumerate(operation.features)),
                    *(values.strides[level].eq(stride) for level, stride in enumerate(operation.values or ())),
                    *(results.strides[level].eq(stride) for level, stride in enumerate(operation.results)),
                    d.kind.eq(operation.kind),
                    d.row.eq(operation.row),
                    d.weights.eq(operation.weights),
                    d.records.eq(operation.records),
                    d.by_column.eq(operation.window == INNER),
                    d.pixels.eq(operation.pixels),
                    d.double.eq(operation.double),
                    d.pairs.eq(operation.values is not None),
                    d.two_passes.eq(operation.two_passes),
                ]
        return d

    def _step(self, m, d: _Decoded, counters) -> _Loops:
        """A step is done when it is accepted; one of two operands when both are."""
        load = Signal()
        advance = Signal()
        inner_end = Signal()
        key = Signal(init=1)
        accepted = self.o.valid & self.o.ready
        m.d.comb += [inner_end.eq(counters.ends[:INNER].all()), advance.eq(accepted & ~(d.pairs & key))]
        with m.If(load):
            m.d.sync += key.eq(1)
        with m.Elif(accepted):
            m.d.sync += key.eq(~key)
        group_end = inner_end & counters.ends[3] & counters.ends[4]
        return _Loops(counters, load, advance, inner_end, group_end, key)

    def _control(self, m, word, d: _Decoded, loops: _Loops):
        """An instruction is taken, looked at, started, and walked to its end."""
        running = Signal()
        failed = Signal()
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.i.ready.eq(~failed)
                with m.If(self.i.valid & ~failed):
                    m.d.sync += word.eq(self.i.payload)
                    m.next = "START"
            with m.State("START"):
                m.d.comb += self.busy.eq(1)
                with m.If(self._illegal(m, d.f, d.is_)):
                    m.d.comb += self.error.eq(1)
                    m.d.sync += failed.eq(1)
                    m.next = "IDLE"
                with m.Else():
                    m.d.comb += [loops.load.eq(1), self.accepted.eq(1)]
                    with m.If(d.join):
                        m.next = "JOINED"
                    with m.Else():
                        m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += [running.eq(~d.joint | self.partner_joined), self.busy.eq(1)]
                with m.If(loops.advance & loops.counters.last):
                    m.d.comb += self.releases.eq(d.joint)
                    m.next = "IDLE"
            with m.State("JOINED"):
                m.d.comb += [self.joined.eq(1), self.busy.eq(1)]
                with m.If(self.release):
                    m.next = "IDLE"
        m.d.comb += [
            self.signal.eq(d.f.signal),
            self.index.eq(word.index),
            self.error_index.eq(word.index),
            self.error_code.eq(ErrorCode.ILLEGAL_FIELD),
            self.o.valid.eq(running),
        ]

    def _illegal(self, m, f, is_):
        """A signal: the instruction in hand is no instruction of this unit, or breaks a rule of `hdl.isa.rules`."""
        illegal = Signal()
        m.d.comb += illegal.eq(~Cat(*is_.values()).any() | breaks_a_rule(f, is_, self.config.block))
        return illegal

    def _windows(self, m, d: _Decoded, loops: _Loops):
        """Pixels or tokens left in the row, for the number of valid lanes of its last window."""
        columns = Signal(COUNT_BITS + 1, reset_less=True)
        with m.If(loops.load):
            m.d.sync += columns.eq(d.f.cols)
        with m.Elif(loops.advance & Mux(d.by_column, loops.inner_end, 1)):
            window_end = Mux(d.by_column, loops.counters.ends[INNER], loops.counters.ends[1])
            m.d.sync += columns.eq(Mux(window_end, d.f.cols, columns - d.pixels))
        m.d.comb += self.o.payload.count.eq(Mux(columns > d.pixels, d.pixels, columns))

    def _weights(self, m, d: _Decoded, loops: _Loops):
        """Weights are read in order; a new pixel starts again at its group's first word."""
        pointer = Signal(WORD_ADDRESS_BITS, reset_less=True)
        group = Signal(WORD_ADDRESS_BITS, reset_less=True)
        following = Signal(WORD_ADDRESS_BITS)
        m.d.comb += [following.eq(pointer + d.weights), self.o.payload.weights.eq(pointer)]
        with m.If(loops.load):
            m.d.sync += [pointer.eq(d.f.weights), group.eq(d.f.weights)]
        with m.Elif(loops.advance):
            m.d.sync += pointer.eq(following)
            with m.If(d.two_passes):
                with m.If(loops.group_end):  # the second pass reads the same weights
                    m.d.sync += pointer.eq(d.f.weights)
            with m.Elif(loops.group_end):
                m.d.sync += group.eq(following)
            with m.Elif(loops.inner_end):
                m.d.sync += pointer.eq(group)

    def _results(self, m, d: _Decoded, loops: _Loops, address):
        """Address, record block, place in K and pixel number of the result that the current step belongs to."""
        f, step, result = d.f, self.o.payload, self.o.payload.result
        parameters = Signal.like(result.parameters, reset_less=True)
        attention = Signal.like(result.attention, reset_less=True)
        pixel = Signal.like(result.pixel, reset_less=True)
        with m.If(loops.load):
            m.d.sync += [parameters.eq(f.parameters), attention.eq(f.attention), pixel.eq(0)]
        with m.Elif(loops.advance & loops.inner_end):
            m.d.sync += [attention.eq(attention + self.config.block), pixel.eq(pixel + 1)]
            with m.If(loops.group_end):
                m.d.sync += pixel.eq(0)
            with m.If(d.two_passes):
                m.d.sync += parameters.eq(Mux(loops.group_end, f.parameters, parameters + 1))
            with m.Elif(loops.group_end):
                m.d.sync += parameters.eq(parameters + d.records)
        m.d.comb += [
            # Of two operands the second one ends a step; of two passes the first one only gathers sums.
            step.push.eq(loops.inner_end & ~(d.pairs & loops.key) & ~(d.two_passes & ~loops.counters.ends[LEVELS - 1])),
            step.partner_out.eq(address + f.out_group),
            result.row.eq(d.row),
            result.out.eq(address),
            result.high.eq(f.out_row),
            result.parameters.eq(parameters),
            result.attention.eq(attention),
            result.pixel.eq(pixel),
            result.destination.eq(f.destination),
            result.mode.eq(f.mode),
            result.fraction_bits.eq(f.fraction_bits),
            result.residual.eq(f.residual),
            result.log2_offset.eq(f.log2_offset),
            result.final.eq(loops.counters.last),
        ]
