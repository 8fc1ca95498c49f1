"""Control of the R-MAC and the MAT unit: sequencers, the issue of their steps, and the beats of these."""

from __future__ import annotations

from amaranth.hdl import Module, Mux
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out, connect, flipped

from triovit.hdl.bus.register_slice import RegisterSlice
from triovit.hdl.compute.address_check import AddressCheck
from triovit.hdl.compute.beats import Beats, pair_control
from triovit.hdl.compute.issue import IssueControl
from triovit.hdl.compute.ports import READ_SPACES, IssueInterface, IssuePort, RequestsInterface, requests
from triovit.hdl.compute.sequencer import Sequencer
from triovit.hdl.compute.steps import step_layout
from triovit.hdl.compute.timing import OPERANDS, START
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.delay_line import delayed
from triovit.hdl.isa.names import ErrorCode, Unit


class PairControl(wiring.Component):
    """Control of the pipeline of R-MAC and MAT.

    Parameters: config.
    Members: see `hdl.compute.engines.Pipeline`. units: R-MAC, MAT.
    Latency: `START` cycles from the transfer of an instruction to its begin (`start`), when its first step may be
    issued; `latency` cycles from there to its first beat at an engine, one more for an outer product.
    Errors: ILLEGAL_FIELD (Sequencer), LOCAL_ADDRESS for a feature or weight beyond its buffer.
    """

    units: list[IssueInterface]
    reads: RequestsInterface
    control: data.View

    latency = OPERANDS

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "units": Out(IssuePort()).array(2),
                "reads": Out(requests(config, READ_SPACES)),
                "control": Out(pair_control(config.block)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.rmac_sequencer = rmac = Sequencer(self.config, Unit.RMAC)
        m.submodules.mat_sequencer = mat = Sequencer(self.config, Unit.MAT)
        # Whether a step goes decides only what these hold: it must not move the loops that make the next one.
        m.submodules.rmac_steps = rmac_steps = RegisterSlice(step_layout(self.config.block))
        m.submodules.mat_steps = mat_steps = RegisterSlice(step_layout(self.config.block))
        m.submodules.issue = issue = IssueControl(self.config)
        m.submodules.beats = beats = Beats(self.config)
        m.d.comb += [
            beats.rmac_step.eq(issue.rmac_step),
            beats.mat_step.eq(issue.mat_step),
            self.control.eq(beats.control),
        ]
        for mine, inner in (
            (self.reads.a, issue.a),
            (self.reads.o, issue.o),
            (self.reads.k, issue.k),
            (self.reads.b, issue.b),
            (self.reads.c, issue.c),
        ):
            connect(m, inner, flipped(mine))
        parts = (
            (rmac, rmac_steps, issue.rmac, beats.rmac_row, "rmac"),
            (mat, mat_steps, issue.mat, beats.mat_row, "mat"),
        )
        for unit, (sequencer, steps, side, row, name) in zip(self.units, parts, strict=True):
            connect(m, flipped(unit.i), sequencer.i)
            connect(m, sequencer.o, steps.i)
            connect(m, steps.o, side.steps)
            connect(m, side.results, flipped(unit.results))
            # A refused instruction is told as late as a read beyond a buffer, so that the first error comes first.
            refused = delayed(m, sequencer.error, AddressCheck.latency, f"{name}_refused", reset=True)[-1]
            m.d.comb += [
                sequencer.settled.eq(~steps.o.valid),
                unit.accepted.eq(sequencer.accepted),
                unit.signal.eq(sequencer.signal),
                unit.index.eq(sequencer.index),
                unit.start.eq(side.start),
                unit.start_index.eq(side.steps.payload.index),
                unit.row.eq(row),
                unit.busy.eq(sequencer.busy | steps.o.valid),
                unit.stall.eq(side.stall),
                unit.error.valid.eq(side.fault | refused),
                unit.error.code.eq(Mux(side.fault, ErrorCode.LOCAL_ADDRESS, ErrorCode.ILLEGAL_FIELD)),
                unit.error.index.eq(Mux(side.fault, side.fault_index, sequencer.index)),
            ]
        return m


assert Sequencer.latency + RegisterSlice.latency == START
