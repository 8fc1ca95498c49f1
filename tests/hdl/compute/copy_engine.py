"""A unit that is not in the tree: it copies words of A to O with a constant added, through post-processing.

A further engine is what stands here: opcodes and spaces (`COPY`), a control, a path, a row of the table (`PIPELINE`).
"""

import enum

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.compute.engines import Pipeline
from triovit.hdl.compute.ports import IssuePort, operands, requests, row_layout
from triovit.hdl.isa.engines import Engine, Space
from triovit.hdl.isa.instructions import Instruction
from triovit.hdl.isa.layouts import ISSUED, LAYOUT_OF
from triovit.hdl.isa.names import ErrorCode, Opcode, PostMode

CONSTANT = 3


class Further(enum.IntEnum):
    """Units that a tree with more engines would have."""

    COPY = 5
    SECOND = 6


class FurtherOpcode(enum.IntEnum):
    COPY = 0x50


COPY = Engine(
    Further.COPY, (FurtherOpcode.COPY,), frozenset({Space.A, Space.P}), frozenset({Space.O}), ("copy",)
)  # fmt: skip


def copy(**fields: int) -> bytes:
    """An instruction of the unit: `cols` words from `in_base` of A to `out_base` of O, record block `parameters`."""
    counts = dict.fromkeys(("groups", "rows", "kernel_rows", "kernel_cols", "blocks"), 1)
    word = bytearray(Instruction(Opcode.MAT_CONV, counts | fields).encode())
    word[0] = FurtherOpcode.COPY
    return bytes(word)


# step: A's output becomes the row on offer in the next cycle.
CONTROL = data.StructLayout({"step": 1, "valid": 1})
STATUS = data.StructLayout({"ready": 1})


class CopyControl(wiring.Component):
    """A word per cycle while A's port, the row register and the descriptors have room."""

    def __init__(self, config):
        self.config = config
        super().__init__(
            {
                "units": Out(IssuePort()).array(1),
                "reads": Out(requests(COPY.reads)),
                "control": Out(CONTROL),
                "status": In(STATUS),
            }
        )

    def elaborate(self, platform):
        m = Module()
        (unit,), a, result = self.units, self.reads.a, self.units[0].results.result
        word = Signal(ISSUED)
        f = data.View(LAYOUT_OF[Opcode.MAT_CONV], word.word)
        place, running, wanted, seen, offered, go = Signal(12), Signal(), Signal(), Signal(), Signal(), Signal()
        beyond = f.in_base + f.cols > self.config.feature_words
        m.d.comb += [
            unit.index.eq(word.index),
            unit.signal.eq(f.signal),
            # The word in A's output moves into the row register, which is free or being emptied.
            go.eq(seen & (~offered | self.status.ready)),
            a.hold.eq(seen & ~go),
            a.address.eq(f.in_base + place),
            a.request.eq(running & unit.results.space & (~seen | go) & ~a.blocked),
            wanted.eq(running & ~a.request),
            self.control.step.eq(go),
            self.control.valid.eq(offered),
            unit.stall.eq(wanted),
            unit.busy.eq(running | unit.accepted | seen | offered),
            unit.results.push.eq(a.request),
            result.out.eq(f.out_base + place),
            result.parameters.eq(f.parameters),
            result.destination.eq(f.destination),
            result.mode.eq(PostMode.LINEAR),
            result.final.eq(place == f.cols - 1),
        ]
        with m.If(a.request):
            m.d.sync += [seen.eq(1), place.eq(place + 1)]
            with m.If(result.final):
                m.d.sync += running.eq(0)
        with m.Elif(go):
            m.d.sync += seen.eq(0)
        with m.If(go):
            m.d.sync += offered.eq(1)
        with m.Elif(self.status.ready):
            m.d.sync += offered.eq(0)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += unit.i.ready.eq(~running)
                with m.If(unit.i.valid & ~running):
                    m.d.sync += word.eq(unit.i.payload)
                    m.next = "START"
            with m.State("START"):
                with m.If(beyond):
                    m.d.comb += [unit.error.valid.eq(1), unit.error.code.eq(ErrorCode.LOCAL_ADDRESS)]
                    m.d.comb += unit.error.index.eq(word.index)
                    m.next = "FAILED"
                with m.Else():
                    m.d.comb += unit.accepted.eq(1)
                    m.d.sync += [running.eq(1), place.eq(0)]
                    m.next = "IDLE"
            with m.State("FAILED"):
                pass
        return m


class CopyPath(wiring.Component):
    def __init__(self, config):
        self.config = config
        super().__init__(
            {
                "control": In(CONTROL),
                "status": Out(STATUS),
                "operands": In(operands(config, COPY.reads)),
                "rows": Out(stream.Signature(row_layout(config.block))).array(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        block, row = self.config.block, self.rows[0]
        kept = Signal(data.ArrayLayout(unsigned(8), block))
        with m.If(self.control.step):
            m.d.sync += kept.eq(self.operands.a[0])
        m.d.comb += [
            row.valid.eq(self.control.valid),
            row.payload.last.eq(1),
            self.status.ready.eq(row.ready),
            *(row.payload.acc[k].eq(kept[k].as_signed() + CONSTANT) for k in range(block)),
        ]
        return m


PIPELINE = Pipeline((COPY,), CopyControl, CopyPath)
