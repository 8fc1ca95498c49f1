"""Result control: rows of psums from both engines, through one post-processing pipeline, to their buffers."""

from __future__ import annotations

import itertools

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, enum, fifo, wiring
from amaranth.lib.wiring import In, Out

from triovit.hdl.aux.post_processing import PostProcessing
from triovit.hdl.compute.sequencer import ADDRESS_BITS, RESULT, StepKind
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.layouts import INDEX_BITS
from triovit.hdl.isa.names import Destination, PostMode
from triovit.hdl.isa.record import RECORD_BYTES

RESULTS_IN_FLIGHT = 16  # more than the engines hold between their first beat and their last row
INSTRUCTIONS_IN_FLIGHT = 8


class RowSource(enum.Enum, shape=unsigned(2)):
    """Engine that a row of psums comes from."""

    RMAC = 0
    ROW_SUM = 1
    LAYER_NORM = 2
    MAT = 3


RESULT_CONTROL = data.StructLayout(
    {
        # T0: a row leaves its engine
        "take": 1,
        "source": RowSource,
        "rmac_ready": 1,
        "row_sum_ready": 1,
        "layer_norm_ready": 1,
        "mat_ready": 1,
        "code_address": unsigned(12),
        "code_en": 1,
        # T1: the row enters post-processing
        "mode": PostMode,
        "fraction_bits": unsigned(4),
        "use_residual": 1,
        "log2_offset": signed(6),
        "high_byte": 1,
        # the result is written
        "write": unsigned(4),
        "out": unsigned(ADDRESS_BITS),
        "attention": unsigned(13),
        "pixel": unsigned(12),
    }
)

# What travels beside a row through the pipeline.
_WRITE = data.StructLayout(
    {
        "valid": 1,
        "final": 1,
        "mat": 1,
        "bad": 1,
        "destination": unsigned(4),
        "out": unsigned(ADDRESS_BITS),
        "attention": unsigned(13),
        "pixel": unsigned(24),
    }
)


class ResultControl(wiring.Component):
    """Descriptors of results under way, the arbiter of the post-processing pipeline (R-MAC first), writes and signals.

    Parameters: config.
    Members (x = rmac, mat):
      x_push, x_result, x_space: descriptors from the operand control, in order. x_accepted, x_signal, x_index:
      instructions from the sequencers. x_room (Out, 1): another instruction may be accepted.
      rmac_valid, rmac_last, row_sum_valid, layer_norm_valid, mat_valid (In, 1): rows of core 0's engines.
      control (Out, RESULT_CONTROL). p_en, p_address (Out): records of the row, in words. o_en, o_address (Out):
      residual operand. x_done (Out, 1), x_done_signal (Out, 32), x_done_index (Out, 32): the last result of an
      instruction is written. x_fault (Out, 1), x_fault_index (Out, 32): a result beyond a buffer. x_idle (Out, 1).
    Latency: a row taken in cycle t is written at the end of cycle t + 1 + PostProcessing.latency. One row a cycle; a
    `wide` row takes two cycles (low bytes, high bytes).
    """

    LATENCY = 1 + PostProcessing.latency

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        members = {
            "rmac_valid": In(1),
            "rmac_last": In(1),
            "row_sum_valid": In(1),
            "layer_norm_valid": In(1),
            "mat_valid": In(1),
            "control": Out(RESULT_CONTROL),
            "p_en": Out(1),
            "p_address": Out(ADDRESS_BITS),
            "o_en": Out(1),
            "o_address": Out(ADDRESS_BITS),
        }
        for x in ("rmac", "mat"):
            members |= {
                f"{x}_push": In(1),
                f"{x}_result": In(RESULT),
                f"{x}_space": Out(1),
                f"{x}_accepted": In(1),
                f"{x}_signal": In(32),
                f"{x}_index": In(INDEX_BITS),
                f"{x}_room": Out(1),
                f"{x}_done": Out(1),
                f"{x}_done_signal": Out(32),
                f"{x}_done_index": Out(INDEX_BITS),
                f"{x}_fault": Out(1),
                f"{x}_fault_index": Out(INDEX_BITS),
                f"{x}_idle": Out(1),
            }
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        control = self.control
        heads = {x: self._descriptors(m, x) for x in ("rmac", "mat")}
        (rmac, rmac_queue), (mat, mat_queue) = heads["rmac"], heads["mat"]

        # ---- T0: choose a row ----
        rmac_row, mat_row, second = Signal(), Signal(), Signal()
        with m.Switch(rmac.kind):
            with m.Case(StepKind.ROW_SUM):
                m.d.comb += rmac_row.eq(self.row_sum_valid)
            with m.Case(StepKind.LAYER_NORM):
                m.d.comb += rmac_row.eq(self.layer_norm_valid)
            with m.Default():
                m.d.comb += rmac_row.eq(self.rmac_valid)
        row = Signal(RESULT)
        chosen_rmac, take, leaves = Signal(), Signal(), Signal()
        rows_taken = Signal(8)  # rows of the descriptor at the R-MAC's head that have gone
        # The second byte of a wide row follows its first one at once.
        second_mat = Signal()
        m.d.comb += [
            chosen_rmac.eq(Mux(second, ~second_mat, rmac_queue.r_rdy & rmac_row)),
            mat_row.eq(mat_queue.r_rdy & self.mat_valid),
            take.eq(chosen_rmac | mat_row),
            row.eq(Mux(chosen_rmac, rmac, mat)),
            leaves.eq(take & ((row.mode != PostMode.WIDE) | second)),
        ]
        m.d.sync += [second.eq(take & ~leaves), second_mat.eq(~chosen_rmac)]
        single = (rmac.kind == StepKind.ROW_SUM) | (rmac.kind == StepKind.LAYER_NORM)
        last_row = Signal()
        m.d.comb += [
            last_row.eq(Mux(chosen_rmac, single | self.rmac_last, 1)),
            rmac_queue.r_en.eq(leaves & chosen_rmac & last_row),
            mat_queue.r_en.eq(leaves & ~chosen_rmac),
            control.take.eq(take),
            control.rmac_ready.eq(leaves & chosen_rmac & ~single),
            control.row_sum_ready.eq(leaves & chosen_rmac & (rmac.kind == StepKind.ROW_SUM)),
            control.layer_norm_ready.eq(leaves & chosen_rmac & (rmac.kind == StepKind.LAYER_NORM)),
            control.mat_ready.eq(leaves & ~chosen_rmac),
        ]
        with m.If(~chosen_rmac):
            m.d.comb += control.source.eq(RowSource.MAT)
        with m.Elif(rmac.kind == StepKind.ROW_SUM):
            m.d.comb += control.source.eq(RowSource.ROW_SUM)
        with m.Elif(rmac.kind == StepKind.LAYER_NORM):
            m.d.comb += control.source.eq(RowSource.LAYER_NORM)
        with m.Else():
            m.d.comb += control.source.eq(RowSource.RMAC)
        with m.If(leaves & chosen_rmac):
            m.d.sync += rows_taken.eq(Mux(last_row, 0, rows_taken + 1))

        # ---- T0: reads; their data enters the pipeline with the row in T1 ----
        offset = Mux(chosen_rmac, rows_taken, 0)
        out = Signal(ADDRESS_BITS)
        m.d.comb += [
            out.eq(row.out + offset + Mux(second, row.high, 0)),
            self.p_en.eq(take),
            self.p_address.eq(row.parameters * RECORD_BYTES),
            self.o_en.eq(take & row.residual),
            self.o_address.eq(out),
            control.code_en.eq(take),
            control.code_address.eq(row.pixel),
        ]
        for target, value in (
            (control.mode, row.mode),
            (control.fraction_bits, row.fraction_bits),
            (control.use_residual, row.residual),
            (control.log2_offset, row.log2_offset),
            (control.high_byte, second),
        ):
            delayed = Signal.like(value, reset_less=True)
            m.d.sync += delayed.eq(value)
            m.d.comb += target.eq(delayed)
        self._write(m, row, take, leaves & last_row, out, offset, chosen_rmac)
        return m

    def _descriptors(self, m, x):
        """Queue of result descriptors of one unit; returns (its head, the queue)."""
        queue = fifo.SyncFIFOBuffered(width=RESULT.size, depth=RESULTS_IN_FLIGHT)
        m.submodules[f"{x}_results"] = queue
        m.d.comb += [
            queue.w_data.eq(getattr(self, f"{x}_result")),
            queue.w_en.eq(getattr(self, f"{x}_push")),
            getattr(self, f"{x}_space").eq(queue.w_rdy),
        ]
        return data.View(RESULT, queue.r_data), queue

    def _write(self, m, row, take, final, out, offset, chosen_rmac):
        """Delay line beside the pipeline, the writes at its end, and the signals of finished instructions."""
        config, control = self.config, self.control
        line = [Signal(_WRITE, name=f"write_{k}") for k in range(self.LATENCY)]
        m.d.sync += [
            line[0].valid.eq(take),
            line[0].final.eq(final & row.final),
            line[0].mat.eq(~chosen_rmac),
            line[0].destination.eq(row.destination),
            line[0].out.eq(out),
            line[0].attention.eq(row.attention + offset),
            line[0].pixel.eq(row.pixel),
            # A record block or a code that was never there is as bad as a result that goes nowhere. It is reported at
            # the end of the line, where the instruction that the row belongs to is known.
            line[0].bad.eq(
                (row.parameters >= config.parameter_blocks)
                | ((row.mode == PostMode.DIVIDE) & (row.pixel >= config.divisors))
            ),
            *(after.eq(before) for before, after in itertools.pairwise(line)),
        ]
        end = line[-1]
        o, a, k, divisor = (
            end.destination[int(d).bit_length() - 1]
            for d in (Destination.O, Destination.A, Destination.K, Destination.DIVISOR)
        )
        beyond, fault = Signal(), Signal()
        m.d.comb += [
            beyond.eq(
                end.bad
                | (o & (end.out >= config.output_words))
                | (a & (end.out >= config.feature_words))
                | (k & (end.attention >= config.attention_words))
                | (divisor & (end.pixel >= config.divisors))
            ),
            control.write.eq(Mux(end.valid & ~beyond, end.destination, 0)),
            control.out.eq(end.out),
            control.attention.eq(end.attention),
            control.pixel.eq(end.pixel),
            fault.eq(end.valid & beyond),
        ]
        for x, mine in (("rmac", ~end.mat), ("mat", end.mat)):
            instructions = fifo.SyncFIFOBuffered(width=32 + INDEX_BITS, depth=INSTRUCTIONS_IN_FLIGHT)
            m.submodules[f"{x}_instructions"] = instructions
            done = Signal(name=f"{x}_finished")
            m.d.comb += [
                instructions.w_data.eq(Cat(getattr(self, f"{x}_signal"), getattr(self, f"{x}_index"))),
                instructions.w_en.eq(getattr(self, f"{x}_accepted")),
                # One place is kept for the instruction whose acceptance is a cycle away.
                getattr(self, f"{x}_room").eq(instructions.level < INSTRUCTIONS_IN_FLIGHT - 1),
                done.eq(end.valid & end.final & mine),
                instructions.r_en.eq(done),
                getattr(self, f"{x}_done").eq(done),
                getattr(self, f"{x}_done_signal").eq(instructions.r_data[:32]),
                getattr(self, f"{x}_done_index").eq(instructions.r_data[32:]),
                getattr(self, f"{x}_fault").eq(fault & mine),
                getattr(self, f"{x}_fault_index").eq(instructions.r_data[32:]),
                getattr(self, f"{x}_idle").eq(instructions.level == 0),
            ]
