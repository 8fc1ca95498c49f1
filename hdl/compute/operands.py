"""Operand control: takes the steps of both sequencers through the buffers into the MAC engines of all cores.

Three stages an engine: S0 issues the reads, S1 is a buffer's output, S2 the beat register in front of the engine. Only
control is here; `hdl.compute.core` holds what it controls, once a core.
"""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.compute.sequencer import ADDRESS_BITS, RESULT, StepKind, step_layout
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.rmac.engine import RMACMode


def read_control(config: AcceleratorConfig) -> data.StructLayout:
    """Read ports of a core's buffers."""
    return data.StructLayout(
        {
            "a_en": 1,
            "a_address": unsigned(ADDRESS_BITS),
            "a_double": 1,
            "o_en": 1,
            "o_address": unsigned(ADDRESS_BITS),
            "k_en": 1,
            "k_address": unsigned(ADDRESS_BITS),
        }
    )


def operand_control(config: AcceleratorConfig) -> data.StructLayout:
    """S1, S2 and the engines' inputs in a core."""
    lanes = range(config.block + 1)
    return data.StructLayout(
        {
            # S1 -> S2 of the R-MAC side
            "key_capture": 1,
            "rmac_load": 1,
            "rmac_hold": 1,
            "rmac_from_o": 1,
            "rmac_held": 1,
            "rmac_relu": 1,
            "rmac_outer": 1,
            "rmac_shift": 1,
            # S1 -> S2 of the MAT side
            "mat_load": 1,
            "mat_joint": 1,
            "mat_hold": 1,
            "mat_from_o": 1,
            "mat_held": 1,
            "mat_relu": 1,
            "mat_stationary": 1,
            # what stands in S2
            "rmac_valid": 1,
            "row_sum_valid": 1,
            "layer_norm_valid": 1,
            "mat_valid": 1,
            "mode": RMACMode,
            "first": 1,
            "last": 1,
            "rows": lanes,
            "count": lanes,
            "channels": unsigned(13),
            "epsilon": unsigned(32),
            "mat_first": 1,
            "mat_last": 1,
        }
    )


class OperandControl(wiring.Component):
    """Pipelines of both engines between sequencer and engine, and the arbitration of the read ports they share.

    Parameters: config.
    Members:
      rmac, mat: streams of steps (In). rmac_ready, row_sum_ready, layer_norm_ready, mat_ready (In, 1): the engines'
      input. o_taken (In, 1): the residual operand has O's read port in this cycle. o_request (Out, 1), o_address: an
      engine reads O.
      reads (Out, read_control): a_*, k_* (o_* are driven by the owner of O's port). b_en, b_address, c_en, c_address
      (Out). control (Out, operand_control).
      rmac_push, mat_push (Out, 1), rmac_result, mat_result (Out, RESULT), rmac_space, mat_space (In, 1): result
      descriptors. rmac_fault, mat_fault (Out, 1): a read beyond a buffer; the step goes on, the machine is about to
      stop. rmac_stall, mat_stall (Out, 1): a step had to wait in this cycle.
      idle (Out, 1): nothing between sequencer and engines.
    Latency: an accepted step's beat stands before its engine two cycles later.
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        steps = stream.Signature(step_layout(config.block))
        super().__init__(
            {
                "rmac": In(steps),
                "mat": In(steps),
                "rmac_ready": In(1),
                "row_sum_ready": In(1),
                "layer_norm_ready": In(1),
                "mat_ready": In(1),
                "o_taken": In(1),
                "o_request": Out(1),
                "o_address": Out(ADDRESS_BITS),
                "reads": Out(read_control(config)),
                "control": Out(operand_control(config)),
                "b_en": Out(1),
                "b_address": Out(ADDRESS_BITS),
                "c_en": Out(1),
                "c_address": Out(ADDRESS_BITS),
                "rmac_push": Out(1),
                "mat_push": Out(1),
                "rmac_result": Out(RESULT),
                "mat_result": Out(RESULT),
                "rmac_space": In(1),
                "mat_space": In(1),
                "rmac_fault": Out(1),
                "mat_fault": Out(1),
                "rmac_stall": Out(1),
                "mat_stall": Out(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        control = self.control
        r0, m0 = self.rmac.payload, self.mat.payload
        step = step_layout(self.config.block)
        r1, m1 = Signal(step, reset_less=True), Signal(step, reset_less=True)
        r1_valid, m1_valid, r1_fresh, m1_fresh = Signal(), Signal(), Signal(), Signal()
        r1_go, m1_go = Signal(), Signal()
        r2_free, m2_free = Signal(), Signal()

        # ---- S0: reads are issued ----
        rmac_takes, mat_takes = Signal(), Signal()
        joint_waits = r1_valid & r1.joint & ~r1_go
        m.d.comb += [
            rmac_takes.eq(
                (~r1_valid | r1_go)
                & (self.rmac_space | ~r0.push)
                & Mux(r0.source, ~self.o_taken, ~(m1_valid & ~m1.source & ~m1_go))
                # A joint step owns the MAT's pipeline: what is there has to go first.
                & (~r0.joint | ((~m1_valid | m1_go) & (self.mat_space | ~r0.push)))
            ),
            mat_takes.eq(
                (~m1_valid | m1_go)
                & (self.mat_space | ~m0.push)
                & ~joint_waits
                & Mux(
                    m0.source,
                    ~self.o_taken & ~(self.rmac.valid & r0.source),
                    ~(self.rmac.valid & ~r0.source & rmac_takes) & ~(r1_valid & ~r1.source & ~r1_go),
                )
            ),
            self.rmac.ready.eq(rmac_takes),
            self.mat.ready.eq(mat_takes),
        ]
        rmac_reads, mat_reads = Signal(), Signal()
        m.d.comb += [
            rmac_reads.eq(self.rmac.valid & rmac_takes),
            mat_reads.eq(self.mat.valid & mat_takes),
            self.rmac_stall.eq(self.rmac.valid & ~rmac_takes),
            self.mat_stall.eq(self.mat.valid & ~mat_takes),
            self.reads.a_en.eq((rmac_reads & ~r0.source) | (mat_reads & ~m0.source)),
            self.reads.a_address.eq(Mux(rmac_reads & ~r0.source, r0.features, m0.features)),
            self.reads.a_double.eq(rmac_reads & r0.stride),
            self.o_request.eq((rmac_reads & r0.source) | (mat_reads & m0.source)),
            self.o_address.eq(Mux(rmac_reads & r0.source, r0.features, m0.features)),
            self.b_en.eq(rmac_reads),
            self.b_address.eq(r0.weights),
            self.c_en.eq((rmac_reads & r0.joint) | (mat_reads & ~m0.stationary)),
            self.c_address.eq(Mux(rmac_reads & r0.joint, r0.weights, m0.weights)),
            self.reads.k_en.eq(mat_reads & m0.stationary),
            self.reads.k_address.eq(m0.weights),
        ]
        self._check_addresses(m, rmac_reads, mat_reads)
        self._push_results(m, rmac_reads, mat_reads)

        # ---- S1: a buffer's output ----
        for reads, go, valid, fresh, s0, s1 in (
            (rmac_reads, r1_go, r1_valid, r1_fresh, r0, r1),
            (mat_reads, m1_go, m1_valid, m1_fresh, m0, m1),
        ):
            m.d.sync += fresh.eq(reads)
            with m.If(reads):
                m.d.sync += [valid.eq(1), s1.eq(s0)]
            with m.Elif(go):
                m.d.sync += valid.eq(0)
        m.d.comb += [
            r1_go.eq(r1_valid & (r1.key | (r2_free & (~r1.joint | m2_free)))),
            m1_go.eq(m1_valid & m2_free),
            control.key_capture.eq(r1_go & r1.key),
            control.rmac_load.eq(r1_go & ~r1.key),
            control.rmac_from_o.eq(r1.source),
            control.rmac_relu.eq(r1.relu),
            control.rmac_outer.eq(r1.kind == StepKind.OUTER),
            # O's read port goes on to somebody else: a word that waits is held.
            control.rmac_hold.eq(r1_valid & r1_fresh & ~r1_go),
            control.rmac_held.eq(~r1_fresh),
            control.mat_load.eq(m1_go | (r1_go & r1.joint)),
            control.mat_joint.eq(r1_go & r1.joint),
            control.mat_from_o.eq(m1.source),
            control.mat_relu.eq(m1.relu),
            control.mat_stationary.eq(m1.stationary),
            control.mat_hold.eq(m1_valid & m1_fresh & ~m1_go),
            control.mat_held.eq(~m1_fresh),
        ]
        r2_valid = self._rmac_beat(m, r1, r2_free)
        m2_valid, m2_first, m2_last = Signal(), Signal(reset_less=True), Signal(reset_less=True)
        m.d.comb += [
            m2_free.eq(~m2_valid | self.mat_ready),
            control.mat_valid.eq(m2_valid),
            control.mat_first.eq(m2_first),
            control.mat_last.eq(m2_last),
        ]
        with m.If(control.mat_load):
            joint = control.mat_joint
            m.d.sync += [
                m2_valid.eq(1),
                m2_first.eq(Mux(joint, r1.first, m1.first)),
                m2_last.eq(Mux(joint, r1.last, m1.last)),
            ]
        with m.Elif(self.mat_ready):
            m.d.sync += m2_valid.eq(0)
        m.d.comb += self.idle.eq(~(r1_valid | m1_valid | r2_valid | m2_valid))
        return m

    def _rmac_beat(self, m, r1, r2_free):
        """S2 of the R-MAC side: a beat, or a window of tokens that leaves token by token. Returns its valid signal."""
        control, block = self.control, self.config.block
        valid, done, accepted = Signal(), Signal(), Signal()
        kind = Signal(StepKind, reset_less=True)
        left = Signal(range(block + 1), reset_less=True)
        window_first, window_last, fresh = Signal(reset_less=True), Signal(reset_less=True), Signal(reset_less=True)
        count = Signal.like(control.count, reset_less=True)
        channels, epsilon = (
            Signal.like(control.channels, reset_less=True),
            Signal.like(control.epsilon, reset_less=True),
        )
        outer, row_sum, layer_norm = kind == StepKind.OUTER, kind == StepKind.ROW_SUM, kind == StepKind.LAYER_NORM
        m.d.comb += [
            control.row_sum_valid.eq(valid & row_sum),
            control.layer_norm_valid.eq(valid & layer_norm),
            control.rmac_valid.eq(valid & ~row_sum & ~layer_norm),
            accepted.eq(
                (control.rmac_valid & self.rmac_ready)
                | (control.row_sum_valid & self.row_sum_ready)
                | (control.layer_norm_valid & self.layer_norm_ready)
            ),
            done.eq(accepted & (~outer | (left == 1))),
            r2_free.eq(~valid | done),
            control.rmac_shift.eq(accepted & outer),
            control.mode.eq(
                Mux(outer, RMACMode.OUTER, Mux(kind == StepKind.DEPTHWISE, RMACMode.DEPTHWISE, RMACMode.POINTWISE))
            ),
            control.first.eq(window_first & (~outer | fresh)),
            control.last.eq(window_last & (~outer | (left == 1))),
            control.rows.eq(Mux(outer, block, count)),
            control.count.eq(count),
            control.channels.eq(channels),
            control.epsilon.eq(epsilon),
        ]
        with m.If(control.rmac_load):
            m.d.sync += [
                valid.eq(1),
                kind.eq(r1.kind),
                left.eq(r1.count),
                fresh.eq(1),
                window_first.eq(r1.first),
                window_last.eq(r1.last),
                count.eq(r1.count),
                channels.eq(r1.channels),
                epsilon.eq(r1.epsilon),
            ]
        with m.Else():
            with m.If(done):
                m.d.sync += valid.eq(0)
            with m.If(accepted):
                m.d.sync += [left.eq(left - 1), fresh.eq(0)]
        return valid

    def _check_addresses(self, m, rmac_reads, mat_reads):
        """Every word that is used has to lie in its buffer; the tail of a window that is not full may run over."""
        config, block = self.config, self.config.block

        def beyond(address, words):
            return address >= words

        for reads, fault, step, stationary in (
            (rmac_reads, self.rmac_fault, self.rmac.payload, 0),
            (mat_reads, self.mat_fault, self.mat.payload, None),
        ):
            conv, layer_norm = step.kind == StepKind.CONV, step.kind == StepKind.LAYER_NORM
            first = step.weights
            last = first + Mux(conv, block - 1, 0)
            weights = beyond(last, config.weight_words)
            if stationary is None:
                weights = Mux(step.stationary, beyond(last, config.attention_words), weights)
            uses_weights = (step.kind != StepKind.OUTER) & (step.kind != StepKind.ROW_SUM)
            further = Mux(conv | layer_norm, 0, step.count - 1)
            final = step.features + Mux(step.stride, further << 1, further)
            features = Mux(step.source, beyond(final, config.output_words), beyond(final, config.feature_words))
            m.d.comb += fault.eq(reads & (features | (weights & uses_weights)))

    def _push_results(self, m, rmac_reads, mat_reads):
        r0, m0 = self.rmac.payload, self.mat.payload
        joint = rmac_reads & r0.joint
        m.d.comb += [
            self.rmac_push.eq(rmac_reads & r0.push),
            self.rmac_result.eq(r0.result),
            self.mat_push.eq((mat_reads & m0.push) | (joint & r0.push)),
            self.mat_result.eq(Mux(joint, r0.result, m0.result)),
        ]
        with m.If(joint):
            m.d.comb += [
                self.mat_result.out.eq(r0.partner_out),
                self.mat_result.parameters.eq(r0.result.parameters + 1),
            ]
