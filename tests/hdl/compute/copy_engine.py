"""A unit that is not in the tree: it copies words of A to O with a constant added, through post-processing.

A further engine is what stands here: opcodes and spaces (`COPY`), a control, a path, a row of the table (`PIPELINE`).
"""

import enum

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.compute.engines import Pipeline
from triovit.hdl.compute.ports import IssuePort, RowPort, operands, requests
from triovit.hdl.compute.timing import READ
from triovit.hdl.delay_line import delayed
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
    Further.COPY, (FurtherOpcode.COPY,), frozenset({Space.A, Space.P}), frozenset({Space.O}), True
)  # fmt: skip


def copy(**fields: int) -> bytes:
    """An instruction of the unit: `cols` words from `in_base` of A to `out_base` of O, record block `parameters`."""
    counts = dict.fromkeys(("groups", "rows", "kernel_rows", "kernel_cols", "blocks"), 1)
    word = bytearray(Instruction(Opcode.MAT_CONV, counts | fields).encode())
    word[0] = FurtherOpcode.COPY
    return bytes(word)


# The word that A puts out, READ cycles after it was asked for, is the row that leaves in the next cycle.
CONTROL = data.StructLayout({"word": 1})


class CopyControl(wiring.Component):
    """A word per cycle while A's port and the descriptors have room."""

    def __init__(self, config):
        self.config = config
        super().__init__(
            {
                "units": Out(IssuePort()).array(1),
                "reads": Out(requests(config, COPY.reads)),
                "control": Out(CONTROL),
            }
        )

    def elaborate(self, platform):
        m = Module()
        (unit,), a, result = self.units, self.reads.a, self.units[0].results.result
        word = Signal(ISSUED)
        f = data.View(LAYOUT_OF[Opcode.MAT_CONV], word.word)
        place, running = Signal(12), Signal()
        beyond = f.in_base + f.cols > self.config.feature_words
        m.d.comb += [
            unit.index.eq(word.index),
            unit.signal.eq(f.signal),
            a.address.eq(f.in_base + place),
            a.words.eq(1),
            a.possible.eq(running),
            a.request.eq(running & unit.results.space & ~a.blocked),
            self.control.word.eq(delayed(m, a.request, READ - 1, "asked", reset=True)[-1]),
            # The row is in its queue after READ + 1 cycles more, but the descriptor needs some to be seen.
            unit.row.eq(delayed(m, a.request, 3, "pushed", reset=True)[-1]),
            unit.stall.eq(running & ~a.request),
            unit.busy.eq(running | unit.accepted),
            unit.results.push.eq(a.request),
            result.rows.eq(1),
            result.out.eq(f.out_base + place),
            result.parameters.eq(f.parameters),
            result.destination.eq(f.destination),
            result.mode.eq(PostMode.LINEAR),
            result.final.eq(place == f.cols - 1),
        ]
        with m.If(a.request):
            m.d.sync += place.eq(place + 1)
            with m.If(result.final):
                m.d.sync += running.eq(0)
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
                    m.d.sync += place.eq(0)
                    m.next = "BEGIN"
            with m.State("BEGIN"):  # its first read is asked for START cycles after the transfer
                m.d.comb += [unit.start.eq(1), unit.start_index.eq(word.index)]
                m.d.sync += running.eq(1)
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
                "operands": In(operands(config, COPY.reads)),
                "rows": Out(RowPort(config)).array(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        block, (row,) = self.config.block, self.rows
        kept = Signal(data.ArrayLayout(unsigned(8), block))
        m.d.sync += [kept.eq(self.operands.a[0]), row.valid.eq(self.control.word)]
        m.d.comb += [row.acc[k].eq(kept[k].as_signed() + CONSTANT) for k in range(block)]
        return m


PIPELINE = Pipeline((COPY,), CopyControl, CopyPath)
