"""Control of the R-MAC and the MAT unit: a sequencer each, and what takes their steps to the engines."""

from __future__ import annotations

from amaranth.hdl import Module, Mux
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from triovit.hdl.compute.operands import READY, OperandControl, operand_control
from triovit.hdl.compute.ports import READ_SPACES, IssueInterface, IssuePort, RequestsInterface, requests
from triovit.hdl.compute.sequencer import Sequencer
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.names import ErrorCode, Unit


class PairControl(wiring.Component):
    """Control of the pipeline of R-MAC and MAT.

    Parameters: config.
    Members: see `hdl.compute.engines.Pipeline`. units: R-MAC, MAT.
    Latency: `latency = 3` cycles from an accepted instruction to its first beat at an engine (an outer product: 4).
    Errors: ILLEGAL_FIELD (Sequencer), LOCAL_ADDRESS for a feature or weight beyond its buffer.
    """

    units: list[IssueInterface]
    reads: RequestsInterface
    control: data.View
    status: data.View

    latency = 3

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        super().__init__(
            {
                "units": Out(IssuePort()).array(2),
                "reads": Out(requests(READ_SPACES)),
                "control": Out(operand_control(config)),
                "status": In(READY),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.rmac_sequencer = rmac = Sequencer(self.config, Unit.RMAC)
        m.submodules.mat_sequencer = mat = Sequencer(self.config, Unit.MAT)
        m.submodules.operands = operands = OperandControl(self.config)
        connect(m, rmac.o, operands.rmac.steps)
        connect(m, mat.o, operands.mat.steps)
        m.d.comb += [
            rmac.partner_joined.eq(mat.joined),
            mat.release.eq(rmac.releases),
            operands.ready.eq(self.status),
            self.control.eq(operands.control),
        ]
        for mine, inner in (
            (self.reads.a, operands.a),
            (self.reads.o, operands.o),
            (self.reads.k, operands.k),
            (self.reads.b, operands.b),
            (self.reads.c, operands.c),
        ):
            connect(m, inner, flipped(mine))
        sides = (operands.rmac, operands.mat)
        for unit, sequencer, side in zip(self.units, (rmac, mat), sides, strict=True):
            connect(m, flipped(unit.i), sequencer.i)
            connect(m, side.results, flipped(unit.results))
            m.d.comb += [
                unit.accepted.eq(sequencer.accepted),
                unit.signal.eq(sequencer.signal),
                unit.index.eq(sequencer.index),
                unit.busy.eq(sequencer.busy),
                unit.stall.eq(side.stall),
                # A step is older than the instruction that the sequencer looks at, and belongs to the same one if that
                # is not refused.
                unit.error.valid.eq(sequencer.error | side.fault),
                unit.error.code.eq(Mux(sequencer.error, sequencer.error_code, ErrorCode.LOCAL_ADDRESS)),
                unit.error.index.eq(sequencer.index),
            ]
        return m
