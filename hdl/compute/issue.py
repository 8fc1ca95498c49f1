"""Issue control: decides in which cycle each step of both sequencers starts on its way to the engines of all cores.

From then on nothing waits: reads, operands, products and rows of psums move at fixed distances (`hdl.compute.timing`).
So everything that two steps must not do at the same time is kept apart here, by what registers know of earlier steps.
"""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.compute.address_check import AddressCheck
from triovit.hdl.compute.engine_timing import EngineTiming
from triovit.hdl.compute.ports import DescriptorInterface, DescriptorPort, ReadRequest, RequestInterface
from triovit.hdl.compute.steps import StepKind, step_layout
from triovit.hdl.compute.timer import Timer
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.layouts import INDEX_BITS
from triovit.hdl.isa.names import PostMode


def rmac_step(block: int) -> data.StructLayout:
    """A step of the R-MAC unit on its way. valid: it reads features; key: for a window of keys, no beat. capture: its
    last beat ends a group of the engine, which is `resumed` and `final` as `RMACEngine` says; of LayerNorm it ends a
    pass, of which the second one is `final`."""
    return data.StructLayout(
        {
            "valid": 1,
            "key": 1,
            "kind": StepKind,
            "source": 1,
            "relu": 1,
            "first": 1,
            "capture": 1,
            "resumed": 1,
            "final": 1,
            "double": 1,
            "count": range(block + 1),
            "channels": unsigned(13),
            "epsilon": unsigned(32),
        }
    )


MAT_STEP = data.StructLayout({"valid": 1, "first": 1, "last": 1, "source": 1, "relu": 1, "stationary": 1})


class SideInterface(wiring.PureInterface):
    """Members of a `SidePort`."""

    steps: stream.Interface
    results: DescriptorInterface
    start: Signal
    fault: Signal
    fault_index: Signal
    stall: Signal


class SidePort(wiring.Signature):
    """One engine's side of the issue control; directions of the issue control.

    Members
    -------
    steps : In(stream of steps)
        Its payload comes from registers; `ready` depends on it in the same cycle.
    results : Out(DescriptorPort())
    start : Out(1)
        An instruction begins: its first step is there for the first time.
    fault : Out(1), fault_index : Out(32)
        A read beyond a buffer, `AddressCheck.latency` cycles ago, and its instruction; the step goes on, the machine is
        about to stop.
    stall : Out(1)
        A step had to wait in this cycle, other than a joint one for the other unit.
    """

    def __init__(self, config: AcceleratorConfig):
        super().__init__(
            {
                "steps": In(stream.Signature(step_layout(config.block))),
                "results": Out(DescriptorPort()),
                "start": Out(1),
                "fault": Out(1),
                "fault_index": Out(INDEX_BITS),
                "stall": Out(1),
            }
        )


class IssueControl(wiring.Component):
    """S0 of both engines: waits until nothing that a step does can collide, and grants its reads.

    A step of the R-MAC unit waits for
      * its read port: at A it goes first, at O after residual operands;
      * a place in the row queue for what it ends (`results.space`); a joint step for one of each unit;
      * the MAT unit, if it is a joint step: until that stands at a MAT_JOIN;
      * the engine: after steps of another kind, until their rows cannot be overtaken and the cascades are empty; as the
        end of a group, until the rows of the one before have left; behind a window of an outer product, until its
        tokens have been used; LayerNorm's words keep their distance.
    A step of the MAT unit waits for its read port, where the R-MAC unit goes first, and for a place in its row queue. A
    MAT_JOIN is a step that goes with the joint instruction's last one; so results of the MAT unit stay in order.

    Groups of outer products and row sums end with the last step of the accumulation, and before that whenever the next
    step could exceed the beats that the R-MAC engine may add up.

    Parameters: config.
    Members:
      rmac, mat (Out, SidePort): steps in, result descriptors out.
      a, o, k, b, c (Out, ReadRequest): reads of the buffers.
      rmac_step (Out, rmac_step), mat_step (Out, MAT_STEP): the steps that are issued, in the same cycle.
    Latency: 0 from `steps` to everything but the faults (`AddressCheck`).
    """

    rmac: SideInterface
    mat: SideInterface
    a: RequestInterface
    o: RequestInterface
    k: RequestInterface
    b: RequestInterface
    c: RequestInterface
    rmac_step: data.View
    mat_step: data.View

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "rmac": Out(SidePort(config)),
                "mat": Out(SidePort(config)),
                **{name: Out(ReadRequest(config.block)) for name in ("a", "o", "k", "b", "c")},
                "rmac_step": Out(rmac_step(config.block)),
                "mat_step": Out(MAT_STEP),
            }
        )

    def elaborate(self, platform):
        m = Module()
        rmac, mat = self.rmac.steps, self.mat.steps
        r, t = rmac.payload, mat.payload
        captures, free = self._engine_is_free(m, rmac)

        rmac_reads = Signal()
        mat_reads = Signal()
        joint = Signal()  # a joint step goes
        apart = Signal()  # a joint step's partner is not there yet
        m.d.comb += [
            apart.eq(r.joint & ~(mat.valid & t.joint)),
            rmac.ready.eq(
                free
                & ~apart
                & (self.rmac.results.space | ~r.push)
                & (self.mat.results.space | ~r.push | ~r.joint)
                & ~Mux(r.source, self.o.blocked, self.a.blocked)
            ),
            rmac_reads.eq(rmac.valid & rmac.ready),
            joint.eq(rmac_reads & r.joint),
            mat_reads.eq(
                (mat.valid & ~t.joint)
                & (self.mat.results.space | ~t.push)
                & ~Mux(t.source, self.o.blocked, self.a.blocked)
                & ~(rmac_reads & (r.source == t.source))
            ),
            mat.ready.eq(mat_reads | (joint & r.result.final)),
            self.rmac.stall.eq(rmac.valid & ~rmac.ready & ~apart),
            self.mat.stall.eq(mat.valid & ~t.joint & ~mat_reads),
        ]
        for side in (self.rmac, self.mat):
            waited = Signal()
            m.d.sync += waited.eq(side.steps.valid & ~side.steps.ready)
            m.d.comb += side.start.eq(side.steps.valid & side.steps.payload.begins & ~waited)
        self._read(m, rmac_reads, mat_reads, joint, rmac.valid & ~apart, mat.valid & ~t.joint)
        self._push_results(m, rmac_reads, mat_reads, joint)
        for name, reads, side in (("rmac", rmac_reads, self.rmac), ("mat", mat_reads, self.mat)):
            m.submodules[f"{name}_check"] = check = AddressCheck(self.config)
            m.d.comb += [
                check.en.eq(reads),
                *(check.step[field].eq(side.steps.payload[field]) for field in check.step.shape().members),
                side.fault.eq(check.fault),
                side.fault_index.eq(check.index),
            ]
        m.d.comb += [
            self.rmac_step.valid.eq(rmac_reads),
            *(self.rmac_step[name].eq(r[name]) for name in ("key", "kind", "source", "relu", "count")),
            *(self.rmac_step[name].eq(r[name]) for name in ("channels", "epsilon")),
            self.rmac_step.capture.eq(captures),
            self.rmac_step.final.eq(r.push),
            self.rmac_step.double.eq(r.stride),
            self.mat_step.valid.eq(mat_reads | joint),
            *(self.mat_step[name].eq(Mux(t.joint, r[name], t[name])) for name in ("first", "last", "source", "relu")),
            self.mat_step.stationary.eq(t.stationary & ~t.joint),
        ]
        return m

    def _engine_is_free(self, m, rmac):
        """(captures, free) of the step that the R-MAC unit has: its last beat ends a group; the engines can take it."""
        block, timing, r = self.config.block, EngineTiming(self.config), rmac.payload
        taken = Signal()
        conv = Signal()
        norm = Signal()
        outer = Signal()
        row_sum = Signal()
        captures = Signal()
        m.d.comb += [
            taken.eq(rmac.valid & rmac.ready & ~r.key),
            conv.eq(r.kind == StepKind.CONV),
            norm.eq(r.kind == StepKind.LAYER_NORM),
            outer.eq(r.kind == StepKind.OUTER),
            row_sum.eq(r.kind == StepKind.ROW_SUM),
        ]
        alone = ~conv & ~norm  # self-accumulation

        # Groups: `full` tells that a step is the last that a group can take.
        restart = Signal()
        resumed = Signal()
        full = []
        for name, mine, steps in (("outer", outer, timing.windows), ("row_sum", row_sum, timing.beats)):
            left = Signal(range(steps + 1), init=steps, name=f"{name}_left")
            one_left = Signal(init=steps == 1, name=f"{name}_one_left")
            with m.If(taken & mine):
                with m.If(captures):
                    m.d.sync += [left.eq(steps), one_left.eq(steps == 1)]
                with m.Else():
                    m.d.sync += [left.eq(left - 1), one_left.eq(left == 2)]
            full.append(mine & one_left)
        m.d.comb += [
            captures.eq(r.last | full[0] | full[1]),
            self.rmac_step.first.eq(r.first | restart),
            self.rmac_step.resumed.eq(resumed),
        ]
        with m.If(taken & alone):
            m.d.sync += restart.eq(captures & ~r.last)
            with m.If(captures):
                m.d.sync += resumed.eq(~r.last)

        # Distances to what comes next, from the step that is issued now.
        extra = Mux(outer, block - 1, 0)  # the last beat of an outer product's window comes later
        waits = {
            "conv": (taken & ~conv, Mux(norm, timing.norm_to_conv, timing.alone_to_conv + extra)),
            "alone": (taken & ~alone, Mux(norm, timing.norm_to_alone, timing.conv_to_alone)),
            "norm": (
                taken,
                Mux(
                    norm,
                    Mux(r.last & ~r.push, timing.solve, timing.interval),
                    Mux(conv, timing.conv_to_norm, timing.alone_to_norm + extra),
                ),
            ),
            "capture": (
                taken & alone & captures,
                Mux(row_sum, timing.row_sum_to_capture, Mux(outer, timing.outer_to_capture, r.count)),
            ),
            "window": (taken & outer, r.count),
            "key": (taken & outer, r.count - 1),
        }
        timers = {}
        for name, (start, cycles) in waits.items():
            m.submodules[name] = timers[name] = timer = Timer(max(timing.longest, 2 * block))
            m.d.comb += [timer.start.eq(start), timer.cycles.eq(cycles)]
        free = Signal()
        m.d.comb += free.eq(
            Mux(conv, timers["conv"].free, Mux(norm, timers["norm"].free, timers["alone"].free))
            & (~(alone & captures & ~r.key) | timers["capture"].free)
            & Mux(r.key, timers["key"].free, timers["window"].free)
        )
        return captures, free

    def _read(self, m, rmac_reads, mat_reads, joint, rmac_may, mat_may):
        """Reads of the steps that go. An outer product and a row sum need no weights; a log2 code those of lane 0,
        the only ones of K that a row sum wrote, which counts where unwritten words may look damaged.

        rmac_may, mat_may: a step waits for nothing but what ends by itself. One that waits for the other unit keeps
        nobody off a buffer: that unit may wait for a STORE.
        """
        block = self.config.block
        rmac, mat = self.rmac.steps, self.mat.steps
        r, t = rmac.payload, mat.payload
        conv, norm = r.kind == StepKind.CONV, r.kind == StepKind.LAYER_NORM
        for port, source in ((self.a, 0), (self.o, 1)):
            by_rmac = Signal()
            m.d.comb += [
                by_rmac.eq(rmac_reads & (r.source == source)),
                port.request.eq(by_rmac | (mat_reads & (t.source == source))),
                port.possible.eq((rmac_may & (r.source == source)) | (mat_may & (t.source == source))),
                port.address.eq(Mux(by_rmac, r.features, t.features)),
                port.words.eq(Mux(by_rmac & ~conv & ~norm, r.count, 1)),
                port.double.eq(by_rmac & r.stride & ~conv),
            ]
        m.d.comb += [
            self.b.request.eq(rmac_reads & (r.kind != StepKind.OUTER) & (r.kind != StepKind.ROW_SUM)),
            self.b.address.eq(r.weights),
            self.b.words.eq(Mux(conv, block, 1)),
            self.c.request.eq(joint | (mat_reads & ~t.stationary)),
            self.c.address.eq(Mux(t.joint, r.weights, t.weights)),
            self.c.words.eq(block),
            self.k.request.eq(mat_reads & t.stationary),
            self.k.address.eq(t.weights),
            self.k.words.eq(Mux(t.result.mode == PostMode.LOG2, 1, block) if self.config.integrity else block),
        ]

    def _push_results(self, m, rmac_reads, mat_reads, joint):
        rmac, mat = self.rmac, self.mat
        r, t = rmac.steps.payload, mat.steps.payload
        m.d.comb += [
            rmac.results.push.eq(rmac_reads & r.push),
            rmac.results.result.eq(r.result),
            mat.results.push.eq((mat_reads & t.push) | (joint & r.push)),
            mat.results.result.eq(Mux(t.joint, r.result, t.result)),
        ]
        with m.If(t.joint):
            m.d.comb += [
                mat.results.result.out.eq(r.partner_out),
                mat.results.result.parameters.eq(r.result.parameters + 1),
            ]
