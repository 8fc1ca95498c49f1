"""Sequencer of a MAC unit: turns one instruction into its steps, one a cycle.

Every instruction is one loop nest of six levels. The three outer levels choose a result, the three inner ones
accumulate it:

    level            5        4             3                2               1            0
    convolution      group    row           column           kernel row      kernel col   input block
    depthwise        group    row           column / block   kernel row      kernel col   -
    outer product    v block  k block       -                token row       token/block  -
    row sum          group    -             -                token row       token/block  -
    layer norm       pass     input block   -                -               -            -
"""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.compute.loops import LoopCounters, NestAddress
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.layouts import INDEX_BITS, ISSUED, LAYOUT_OF
from triovit.hdl.isa.names import ErrorCode, Opcode, Unit
from triovit.hdl.isa.rules import breaks_a_rule

# Addresses have 20 bits in an instruction. Sums are kept in 24, so that one leaving its buffer is seen before it wraps.
ADDRESS_BITS = 24
COUNT_BITS = 12


class StepKind(enum.Enum, shape=unsigned(3)):
    """What the data path does with a step."""

    CONV = 0
    DEPTHWISE = 1
    OUTER = 2
    ROW_SUM = 3
    LAYER_NORM = 4


# Where one accumulation's result goes and how it is post-processed.
RESULT = data.StructLayout(
    {
        "kind": StepKind,
        "out": unsigned(ADDRESS_BITS),
        "high": unsigned(20),
        "parameters": unsigned(13),
        "attention": unsigned(13),
        "pixel": unsigned(24),
        "destination": unsigned(4),
        "mode": unsigned(3),
        "fraction_bits": unsigned(4),
        "residual": unsigned(1),
        "log2_offset": signed(6),
        "final": unsigned(1),
    }
)


def step_layout(block: int) -> data.StructLayout:
    """One step: a read of features and weights, and what to do with them.

    key: an outer product's k half. count: valid pixels or tokens of a window. push: the step ends an accumulation whose
    `result` descriptor has to be kept. partner_out: where the MAT's result of a joint step goes.
    """
    return data.StructLayout(
        {
            "kind": StepKind,
            "joint": 1,
            "source": 1,
            "relu": 1,
            "stationary": 1,
            "key": 1,
            "stride": 1,
            "first": 1,
            "last": 1,
            "count": range(block + 1),
            "features": unsigned(ADDRESS_BITS),
            "weights": unsigned(ADDRESS_BITS),
            "channels": unsigned(13),
            "epsilon": unsigned(32),
            "push": 1,
            "result": RESULT,
            "partner_out": unsigned(ADDRESS_BITS),
        }
    )


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
    Timing: two cycles from an accepted instruction to its first step, then one step a cycle (two for an outer product's
    step: k, then v) while o.ready; one idle cycle between instructions.
    Errors: ILLEGAL_FIELD for an instruction that breaks a rule of `hdl.isa.rules`.
    Source: Trio-ViT (arXiv 2405.03882), R-MAC and MAT engines (operand patterns); loop order is ours.
    """

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
                "signal": Out(32),
                "index": Out(INDEX_BITS),
                "busy": Out(1),
                "error": Out(1),
                "error_code": Out(8),
                "error_index": Out(INDEX_BITS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        block = self.config.block
        word = Signal(ISSUED, reset_less=True)
        f = data.View(LAYOUT_OF[Opcode.RMAC_CONV if self.unit == Unit.RMAC else Opcode.MAT_CONV], word.word)
        opcode = word.word[:8]
        is_ = {op: Signal(name=f"is_{op.name.lower()}") for op in Opcode if Unit(op >> 4) == self.unit}
        m.d.comb += [signal.eq(opcode == op.value) for op, signal in is_.items()]
        conv = is_[Opcode.RMAC_CONV if self.unit == Unit.RMAC else Opcode.MAT_CONV]
        depthwise, outer, row_sum, layer_norm = (
            is_.get(op, Const(0))
            for op in (Opcode.RMAC_DEPTHWISE, Opcode.RMAC_OUTER, Opcode.RMAC_ROW_SUM, Opcode.RMAC_LAYER_NORM)
        )
        join = is_.get(Opcode.MAT_JOIN, Const(0))
        joint = f.joint & conv if self.unit == Unit.RMAC else Const(0)

        m.submodules.counters = counters = LoopCounters(6, COUNT_BITS)
        m.submodules.features = features = NestAddress(6, ADDRESS_BITS)
        m.submodules.values = values = NestAddress(6, ADDRESS_BITS)
        m.submodules.results = results = NestAddress(3, ADDRESS_BITS)
        step = self.o.payload

        load, advance, running, key, failed = Signal(), Signal(), Signal(), Signal(init=1), Signal()
        inner_end, last = Signal(), counters.last
        m.d.comb += inner_end.eq(counters.ends[:3].all())

        # ---- an instruction is taken, looked at, and started ----
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.i.ready.eq(~failed)
                with m.If(self.i.valid & ~failed):
                    m.d.sync += word.eq(self.i.payload)
                    m.next = "START"
            with m.State("START"):
                m.d.comb += self.busy.eq(1)
                with m.If(self._illegal(m, f, is_)):
                    m.d.comb += self.error.eq(1)
                    m.d.sync += failed.eq(1)
                    m.next = "IDLE"
                with m.Else():
                    m.d.comb += [load.eq(1), self.accepted.eq(1)]
                    with m.If(join):
                        m.next = "JOINED"
                    with m.Else():
                        m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += [running.eq(~joint | self.partner_joined), self.busy.eq(1)]
                with m.If(advance & last):
                    m.d.comb += self.releases.eq(joint)
                    m.next = "IDLE"
            with m.State("JOINED"):
                m.d.comb += [self.joined.eq(1), self.busy.eq(1)]
                with m.If(self.release):
                    m.next = "IDLE"
        m.d.comb += [
            self.signal.eq(f.signal),
            self.index.eq(word.index),
            self.error_index.eq(word.index),
            self.error_code.eq(ErrorCode.ILLEGAL_FIELD),
            self.o.valid.eq(running),
        ]

        # ---- loop counts and strides of the opcode ----
        def windows(count):  # steps of `block` pixels
            return (count + (block - 1)) >> (block - 1).bit_length()

        tokens = outer | row_sum
        stride = f.stride & (conv | depthwise)
        counts = [
            Mux(conv, f.blocks, 1),
            Mux(tokens, windows(f.cols), Mux(layer_norm, 1, f.kernel_cols)),
            Mux(tokens, f.rows, Mux(layer_norm, 1, f.kernel_rows)),
            Mux(conv, f.cols, Mux(depthwise, windows(f.cols), 1)),
            Mux(layer_norm, f.blocks, Mux(outer, f.kernel_rows, Mux(row_sum, 1, f.rows))),
            Mux(layer_norm, 2, f.groups),
        ]
        window_stride = Mux(stride, 2 * block, block)
        strides = [
            f.in_block,
            Mux(tokens, block, 1),
            f.in_row,
            Mux(depthwise, window_stride, Mux(stride, 2, 1)),
            Mux(outer | layer_norm, f.in_block, Mux(stride, f.in_row << 1, f.in_row)),
            Mux(layer_norm, 0, f.in_group),
        ]
        m.d.comb += [counters.load.eq(load), counters.advance.eq(advance)]
        for nest, base in ((features, f.in_base), (values, f.in_value), (results, f.out_base)):
            m.d.comb += [nest.load.eq(load), nest.base.eq(base)]
        for level in range(6):
            m.d.comb += [
                counters.counts[level].eq(counts[level]),
                features.strides[level].eq(strides[level] if level < 5 else Mux(outer, 0, strides[5])),
                values.strides[level].eq(0 if level == 4 else strides[level]),
            ]
        m.d.comb += [
            features.ends.eq(counters.ends),
            values.ends.eq(counters.ends),
            results.ends.eq(counters.ends[3:]),
            features.advance.eq(advance),
            values.advance.eq(advance),
            results.advance.eq(advance & inner_end),
            results.strides[0].eq(Mux(depthwise, block, 1)),
            results.strides[1].eq(Mux(layer_norm, f.out_group, f.out_row)),
            results.strides[2].eq(Mux(layer_norm, 0, Mux(joint, f.out_group << 1, f.out_group))),
        ]

        # ---- an outer product reads k and v of a step in two cycles ----
        accepted = self.o.valid & self.o.ready
        m.d.comb += advance.eq(accepted & ~(outer & key))
        with m.If(load):
            m.d.sync += key.eq(1)
        with m.Elif(accepted):
            m.d.sync += key.eq(~key)

        self._drive_weights(m, f, conv, layer_norm, load, advance, inner_end, counters, step)
        self._drive_results(m, f, step, counters, load, advance, inner_end, outer, row_sum, layer_norm, joint)

        # Pixels or tokens left in the row, for the number of valid lanes of the last window.
        columns = Signal(COUNT_BITS + 1, reset_less=True)
        window_level = 1 if self.unit == Unit.RMAC else 3
        with m.If(load):
            m.d.sync += columns.eq(f.cols)
        with m.Elif(advance & Mux(depthwise, inner_end, 1)):
            window_end = Mux(depthwise, counters.ends[3], counters.ends[window_level])
            m.d.sync += columns.eq(Mux(window_end, f.cols, columns - block))

        kinds = (
            (outer, StepKind.OUTER),
            (row_sum, StepKind.ROW_SUM),
            (layer_norm, StepKind.LAYER_NORM),
            (depthwise, StepKind.DEPTHWISE),
            (conv, StepKind.CONV),
        )
        for active, kind in kinds:
            with m.If(active):
                m.d.comb += [step.kind.eq(kind), step.result.kind.eq(kind)]
        m.d.comb += [
            step.joint.eq(joint),
            step.source.eq(f.source),
            step.relu.eq(f.relu),
            step.stationary.eq(f.stationary),
            step.key.eq(outer & key),
            step.stride.eq(stride & depthwise),
            step.first.eq(Mux(layer_norm, 0, counters.starts[:3].all())),
            step.last.eq(Mux(layer_norm, counters.ends[4], inner_end)),
            step.count.eq(Mux(columns > block, block, columns)),
            step.features.eq(Mux(outer & ~key, values.address, features.address)),
            step.channels.eq(f.cols),
            step.epsilon.eq(f.epsilon),
        ]
        return m

    def _illegal(self, m, f, is_):
        """A signal: the instruction in hand is no instruction of this unit, or breaks a rule of `hdl.isa.rules`."""
        illegal = Signal()
        m.d.comb += illegal.eq(~Cat(*is_.values()).any() | breaks_a_rule(f, is_))
        return illegal

    def _drive_weights(self, m, f, conv, layer_norm, load, advance, inner_end, counters, step):
        """Weights are read in order; a new pixel starts again at its group's first word."""
        pointer = Signal(ADDRESS_BITS, reset_less=True)
        group = Signal(ADDRESS_BITS, reset_less=True)
        following = Signal(ADDRESS_BITS)
        m.d.comb += [following.eq(pointer + Mux(conv, self.config.block, 1)), step.weights.eq(pointer)]
        group_end = inner_end & counters.ends[3] & counters.ends[4]
        with m.If(load):
            m.d.sync += [pointer.eq(f.weights), group.eq(f.weights)]
        with m.Elif(advance):
            m.d.sync += pointer.eq(following)
            with m.If(layer_norm):
                with m.If(group_end):  # the second pass reads the same weights
                    m.d.sync += pointer.eq(f.weights)
            with m.Elif(group_end):
                m.d.sync += group.eq(following)
            with m.Elif(inner_end):
                m.d.sync += pointer.eq(group)

    def _drive_results(self, m, f, step, counters, load, advance, inner_end, outer, row_sum, layer_norm, joint):
        """Address, record block, place in K and pixel number of the result that the current step belongs to."""
        block = self.config.block
        result = step.result
        parameters = Signal(13, reset_less=True)
        attention = Signal(13, reset_less=True)
        pixel = Signal(ADDRESS_BITS, reset_less=True)
        results = m.submodules.results
        group_end = inner_end & counters.ends[3] & counters.ends[4]
        one_record = outer | (row_sum & f.destination[2])
        with m.If(load):
            m.d.sync += [parameters.eq(f.parameters), attention.eq(f.attention), pixel.eq(0)]
        with m.Elif(advance & inner_end):
            m.d.sync += [attention.eq(attention + block), pixel.eq(pixel + 1)]
            with m.If(group_end):
                m.d.sync += pixel.eq(0)
            with m.If(layer_norm):
                m.d.sync += parameters.eq(Mux(group_end, f.parameters, parameters + 1))
            with m.Elif(group_end & ~one_record):
                m.d.sync += parameters.eq(parameters + Mux(joint, 2, 1))
        # Layer norm: the first pass only gathers sums.
        m.d.comb += [
            step.push.eq(inner_end & ~(outer & step.key) & ~(layer_norm & ~counters.ends[5])),
            step.partner_out.eq(results.address + f.out_group),
            result.out.eq(results.address),
            result.high.eq(f.out_row),
            result.parameters.eq(parameters),
            result.attention.eq(attention),
            result.pixel.eq(pixel),
            result.destination.eq(f.destination),
            result.mode.eq(f.mode),
            result.fraction_bits.eq(f.fraction_bits),
            result.residual.eq(f.residual),
            result.log2_offset.eq(f.log2_offset),
            result.final.eq(counters.last),
        ]
