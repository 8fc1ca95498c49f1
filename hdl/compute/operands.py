"""Operand control: takes the steps of both sequencers through the buffers into the MAC engines of all cores.

Three stages an engine: S0 issues the reads, S1 is a buffer's output, S2 the beat register in front of the engine. Only
control is here; `hdl.compute.pair_path` holds what it controls, once a core.
"""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.compute.ports import DescriptorInterface, DescriptorPort, ReadRequest, RequestInterface
from triovit.hdl.compute.steps import StepKind, step_layout
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.rmac.stalling import RMACMode


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


# What core 0's engines say: they take the beat in S2.
READY = data.StructLayout({"rmac": 1, "row_sum": 1, "layer_norm": 1, "mat": 1})


class SideInterface(wiring.PureInterface):
    """Members of a `SidePort`."""

    steps: stream.Interface
    results: DescriptorInterface
    fault: Signal
    stall: Signal


class SidePort(wiring.Signature):
    """One engine's side of the operand control; directions of the operand control.

    Members
    -------
    steps : In(stream of steps)
    results : Out(DescriptorPort())
    fault : Out(1)
        A read beyond a buffer; the step goes on, the machine is about to stop.
    stall : Out(1)
        A step had to wait in this cycle.
    """

    def __init__(self, config: AcceleratorConfig):
        super().__init__(
            {
                "steps": In(stream.Signature(step_layout(config.block))),
                "results": Out(DescriptorPort()),
                "fault": Out(1),
                "stall": Out(1),
            }
        )


class OperandControl(wiring.Component):
    """Pipelines of both engines between sequencer and engine, and the arbitration of the read ports they share.

    Parameters: config.
    Members:
      rmac, mat (Out, SidePort): steps in, result descriptors out. ready (In, READY): the engines' input.
      a, o, k, b, c (Out, ReadRequest): reads of the buffers; A is held while a window waits in S1.
      control (Out, operand_control). idle (Out, 1): nothing between sequencer and engines.
    Latency: an accepted step's beat stands before its engine two cycles later.
    """

    rmac: SideInterface
    mat: SideInterface
    ready: data.View
    a: RequestInterface
    o: RequestInterface
    k: RequestInterface
    b: RequestInterface
    c: RequestInterface
    control: data.View
    idle: Signal

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "rmac": Out(SidePort(config)),
                "mat": Out(SidePort(config)),
                "ready": In(READY),
                "a": Out(ReadRequest()),
                "o": Out(ReadRequest()),
                "k": Out(ReadRequest()),
                "b": Out(ReadRequest()),
                "c": Out(ReadRequest()),
                "control": Out(operand_control(config)),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        control = self.control
        rmac, mat = self.rmac.steps, self.mat.steps
        r0, m0 = rmac.payload, mat.payload
        step = step_layout(self.config.block)
        r1 = Signal(step, reset_less=True)
        m1 = Signal(step, reset_less=True)
        r1_valid = Signal()
        m1_valid = Signal()
        r1_fresh = Signal()
        m1_fresh = Signal()
        r1_go = Signal()
        m1_go = Signal()
        r2_free = Signal()
        m2_free = Signal()

        # ---- S0: reads are issued ----
        rmac_takes = Signal()
        mat_takes = Signal()
        joint_waits = r1_valid & r1.joint & ~r1_go
        # A has no other place for its words than its own output, so a window that waits in S1 keeps it.
        r1_holds = Signal()
        m1_holds = Signal()
        m.d.comb += [
            r1_holds.eq(r1_valid & ~r1.source & ~r1_go),
            m1_holds.eq(m1_valid & ~m1.source & ~m1_go),
            self.a.hold.eq(r1_holds | m1_holds),
            rmac_takes.eq(
                (~r1_valid | r1_go)
                & (self.rmac.results.space | ~r0.push)
                & Mux(r0.source, ~self.o.blocked, ~m1_holds & ~self.a.blocked)
                # A joint step owns the MAT's pipeline: what is there has to go first.
                & (~r0.joint | ((~m1_valid | m1_go) & (self.mat.results.space | ~r0.push)))
            ),
            mat_takes.eq(
                (~m1_valid | m1_go)
                & (self.mat.results.space | ~m0.push)
                & ~joint_waits
                & Mux(
                    m0.source,
                    ~self.o.blocked & ~(rmac.valid & r0.source),
                    ~(rmac.valid & ~r0.source & rmac_takes) & ~r1_holds & ~self.a.blocked,
                )
            ),
            rmac.ready.eq(rmac_takes),
            mat.ready.eq(mat_takes),
        ]
        rmac_reads = Signal()
        mat_reads = Signal()
        m.d.comb += [
            rmac_reads.eq(rmac.valid & rmac_takes),
            mat_reads.eq(mat.valid & mat_takes),
            self.rmac.stall.eq(rmac.valid & ~rmac_takes),
            self.mat.stall.eq(mat.valid & ~mat_takes),
            self.a.request.eq((rmac_reads & ~r0.source) | (mat_reads & ~m0.source)),
            self.a.address.eq(Mux(rmac_reads & ~r0.source, r0.features, m0.features)),
            self.a.double.eq(rmac_reads & r0.stride),
            self.o.request.eq((rmac_reads & r0.source) | (mat_reads & m0.source)),
            self.o.address.eq(Mux(rmac_reads & r0.source, r0.features, m0.features)),
            self.b.request.eq(rmac_reads),
            self.b.address.eq(r0.weights),
            self.c.request.eq((rmac_reads & r0.joint) | (mat_reads & ~m0.stationary)),
            self.c.address.eq(Mux(rmac_reads & r0.joint, r0.weights, m0.weights)),
            self.k.request.eq(mat_reads & m0.stationary),
            self.k.address.eq(m0.weights),
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
        m2_valid = Signal()
        m2_first = Signal(reset_less=True)
        m2_last = Signal(reset_less=True)
        m.d.comb += [
            m2_free.eq(~m2_valid | self.ready.mat),
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
        with m.Elif(self.ready.mat):
            m.d.sync += m2_valid.eq(0)
        m.d.comb += self.idle.eq(~(r1_valid | m1_valid | r2_valid | m2_valid))
        return m

    def _rmac_beat(self, m, r1, r2_free):
        """S2 of the R-MAC side: a beat, or a window of tokens that leaves token by token. Returns its valid signal."""
        control, block = self.control, self.config.block
        valid = Signal()
        done = Signal()
        accepted = Signal()
        kind = Signal(StepKind, reset_less=True)
        left = Signal(range(block + 1), reset_less=True)
        window_first = Signal(reset_less=True)
        window_last = Signal(reset_less=True)
        fresh = Signal(reset_less=True)
        count = Signal.like(control.count, reset_less=True)
        channels = Signal.like(control.channels, reset_less=True)
        epsilon = Signal.like(control.epsilon, reset_less=True)
        outer, row_sum, layer_norm = kind == StepKind.OUTER, kind == StepKind.ROW_SUM, kind == StepKind.LAYER_NORM
        m.d.comb += [
            control.row_sum_valid.eq(valid & row_sum),
            control.layer_norm_valid.eq(valid & layer_norm),
            control.rmac_valid.eq(valid & ~row_sum & ~layer_norm),
            accepted.eq(
                (control.rmac_valid & self.ready.rmac)
                | (control.row_sum_valid & self.ready.row_sum)
                | (control.layer_norm_valid & self.ready.layer_norm)
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

        for reads, side, may_keep in ((rmac_reads, self.rmac, False), (mat_reads, self.mat, True)):
            step = side.steps.payload
            conv, layer_norm = step.kind == StepKind.CONV, step.kind == StepKind.LAYER_NORM
            first = step.weights
            last = first + Mux(conv, block - 1, 0)
            weights = beyond(last, config.weight_words)
            if may_keep:
                weights = Mux(step.stationary, beyond(last, config.attention_words), weights)
            uses_weights = (step.kind != StepKind.OUTER) & (step.kind != StepKind.ROW_SUM)
            further = Mux(conv | layer_norm, 0, step.count - 1)
            final = step.features + Mux(step.stride, further << 1, further)
            features = Mux(step.source, beyond(final, config.output_words), beyond(final, config.feature_words))
            m.d.comb += side.fault.eq(reads & (features | (weights & uses_weights)))

    def _push_results(self, m, rmac_reads, mat_reads):
        rmac, mat = self.rmac, self.mat
        r0, m0 = rmac.steps.payload, mat.steps.payload
        joint = rmac_reads & r0.joint
        m.d.comb += [
            rmac.results.push.eq(rmac_reads & r0.push),
            rmac.results.result.eq(r0.result),
            mat.results.push.eq((mat_reads & m0.push) | (joint & r0.push)),
            mat.results.result.eq(Mux(joint, r0.result, m0.result)),
        ]
        with m.If(joint):
            m.d.comb += [
                mat.results.result.out.eq(r0.partner_out),
                mat.results.result.parameters.eq(r0.result.parameters + 1),
            ]
