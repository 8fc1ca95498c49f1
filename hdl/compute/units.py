"""Compute units: both sequencers, operand and result control, the shared buffers and the cores."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect

from triovit.hdl.compute.core import Core, words
from triovit.hdl.compute.operands import OperandControl
from triovit.hdl.compute.results import ResultControl
from triovit.hdl.compute.sequencer import Sequencer
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.control.errors import ERROR
from triovit.hdl.dma.runs import core_bits
from triovit.hdl.isa.layouts import INDEX_BITS, ISSUED
from triovit.hdl.isa.names import Buffer, Destination, ErrorCode, Unit
from triovit.hdl.memory.banked import BankedMemory


class ComputeUnits(wiring.Component):
    """The RMAC and MAT units with everything behind them, for all cores.

    Parameters: config.
    Members (x = rmac, mat):
      i_x: stream of ISSUED instructions (In). x_signal (Out, 32): semaphores given. x_start, x_start_index, x_done,
      x_done_index: an instruction is accepted, its last result is written. x_error (Out, ERROR). x_busy, x_stall (Out,
      1): a step is there; it waits.
      load_valid, load_ready, load_buffer, load_core, load_address, load_data, load_mask: a LOAD's write (In but for
      ready). store_valid, store_ready, store_core, store_address, store_data: a STORE's read of O; data one cycle after
      ready. idle (Out, 1): no instruction is under way.
    Errors: ILLEGAL_FIELD (Sequencer), LOCAL_ADDRESS for a feature, weight, record, code or result beyond its buffer.
    """

    def __init__(self, config: AcceleratorConfig):
        self.config = config.validate()
        beat = config.beat_words
        members = {
            "load_valid": In(1),
            "load_ready": Out(1),
            "load_buffer": In(3),
            "load_core": In(core_bits(config)),
            "load_address": In(20),
            "load_data": In(words(config, beat)),
            "load_mask": In(beat),
            "store_valid": In(1),
            "store_ready": Out(1),
            "store_core": In(core_bits(config)),
            "store_address": In(20),
            "store_data": Out(words(config, beat)),
            "idle": Out(1),
        }
        for x in ("rmac", "mat"):
            members |= {
                f"i_{x}": In(stream.Signature(ISSUED)),
                f"{x}_signal": Out(32),
                f"{x}_start": Out(1),
                f"{x}_start_index": Out(INDEX_BITS),
                f"{x}_done": Out(1),
                f"{x}_done_index": Out(INDEX_BITS),
                f"{x}_error": Out(ERROR),
                f"{x}_busy": Out(1),
                f"{x}_stall": Out(1),
            }
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        config, block, beat = self.config, self.config.block, self.config.beat_words
        m.submodules.rmac_sequencer = rmac = Sequencer(config, Unit.RMAC)
        m.submodules.mat_sequencer = mat = Sequencer(config, Unit.MAT)
        m.submodules.operands = operands = OperandControl(config)
        m.submodules.results = results = ResultControl(config)
        m.submodules.b = b = BankedMemory(config.weight_words, block, 8 * block, beat, block)
        m.submodules.c = c = BankedMemory(config.weight_words, block, 8 * block, beat, block)
        m.submodules.p = p = BankedMemory(config.parameter_words, 16, 8 * block, beat, 16)
        cores = [Core(config) for _ in range(config.cores)]
        for number, core in enumerate(cores):
            m.submodules[f"core{number}"] = core

        connect(m, rmac.o, operands.rmac)
        connect(m, mat.o, operands.mat)
        m.d.comb += [
            rmac.partner_joined.eq(mat.joined),
            mat.release.eq(rmac.releases),
            self.idle.eq(results.rmac_idle & results.mat_idle & ~rmac.busy & ~mat.busy),
        ]
        for x, sequencer in (("rmac", rmac), ("mat", mat)):
            self._build_unit(m, x, sequencer, operands, results)
        for push in ("rmac", "mat"):
            m.d.comb += [
                getattr(results, f"{push}_push").eq(getattr(operands, f"{push}_push")),
                getattr(results, f"{push}_result").eq(getattr(operands, f"{push}_result")),
                getattr(operands, f"{push}_space").eq(getattr(results, f"{push}_space")),
            ]

        # All cores are in the same state; core 0 speaks for them.
        first = cores[0]
        m.d.comb += [
            *(
                getattr(operands, name).eq(getattr(first, name))
                for name in ("rmac_ready", "row_sum_ready", "layer_norm_ready", "mat_ready")
            ),
            results.rmac_valid.eq(first.rmac_row),
            results.rmac_last.eq(first.rmac_last),
            results.row_sum_valid.eq(first.row_sum_row),
            results.layer_norm_valid.eq(first.layer_norm_row),
            results.mat_valid.eq(first.mat_row),
            b.read_en.eq(operands.b_en),
            b.read_address.eq(operands.b_address),
            c.read_en.eq(operands.c_en),
            c.read_address.eq(operands.c_address),
            p.read_en.eq(results.p_en),
            p.read_address.eq(results.p_address),
        ]
        for core in cores:
            m.d.comb += [
                core.operands.eq(operands.control),
                core.results.eq(results.control),
                core.b_data.eq(b.read_data),
                core.c_data.eq(c.read_data),
                core.p_data.eq(p.read_data),
            ]
        self._build_o_port(m, cores, operands, results)
        self._build_load(m, cores, results, {Buffer.B: b, Buffer.C: c, Buffer.P: p})
        return m

    def _build_unit(self, m, x, sequencer, operands, results):
        """Instruction input, completion and errors of one unit."""
        i, error = getattr(self, f"i_{x}"), getattr(self, f"{x}_error")
        room = getattr(results, f"{x}_room")
        operand_fault, result_fault = getattr(operands, f"{x}_fault"), getattr(results, f"{x}_fault")
        m.d.comb += [
            sequencer.i.payload.eq(i.payload),
            sequencer.i.valid.eq(i.valid & room),
            i.ready.eq(sequencer.i.ready & room),
            getattr(results, f"{x}_accepted").eq(sequencer.accepted),
            getattr(results, f"{x}_signal").eq(sequencer.signal),
            getattr(results, f"{x}_index").eq(sequencer.index),
            getattr(self, f"{x}_signal").eq(
                Mux(getattr(results, f"{x}_done"), getattr(results, f"{x}_done_signal"), 0)
            ),
            getattr(self, f"{x}_start").eq(sequencer.accepted),
            getattr(self, f"{x}_start_index").eq(sequencer.index),
            getattr(self, f"{x}_done").eq(getattr(results, f"{x}_done")),
            getattr(self, f"{x}_done_index").eq(getattr(results, f"{x}_done_index")),
            getattr(self, f"{x}_busy").eq(sequencer.busy),
            getattr(self, f"{x}_stall").eq(getattr(operands, f"{x}_stall")),
            # A result is older than a step, and a step older than the instruction that the sequencer looks at.
            error.valid.eq(sequencer.error | operand_fault | result_fault),
            error.code.eq(Mux(sequencer.error & ~result_fault, sequencer.error_code, ErrorCode.LOCAL_ADDRESS)),
            error.index.eq(Mux(result_fault, getattr(results, f"{x}_fault_index"), sequencer.index)),
        ]

    def _build_o_port(self, m, cores, operands, results):
        """O's read port: residual operand, then R-MAC or MAT, then STORE."""
        taken = results.o_en | operands.o_request
        m.d.comb += [operands.o_taken.eq(results.o_en), self.store_ready.eq(~taken)]
        for core in cores:
            m.d.comb += [
                core.reads.eq(operands.reads),
                core.reads.o_en.eq(taken | self.store_valid),
                core.reads.o_address.eq(
                    Mux(
                        results.o_en, results.o_address, Mux(operands.o_request, operands.o_address, self.store_address)
                    )
                ),
            ]
        if len(cores) == 1:
            m.d.comb += self.store_data.eq(cores[0].o_data)
        else:
            selected = Signal.like(self.store_core, reset_less=True)
            m.d.sync += selected.eq(self.store_core)
            with m.Switch(selected):
                for number, core in enumerate(cores):
                    with m.Case(number):
                        m.d.comb += self.store_data.eq(core.o_data)

    def _build_load(self, m, cores, results, shared):
        """A LOAD waits only for a result that is written to the same buffer in the same cycle."""
        writes = results.control.write
        to_a, to_o = self.load_buffer == Buffer.A, self.load_buffer == Buffer.O
        blocked = (to_a & writes[int(Destination.A).bit_length() - 1]) | (
            to_o & writes[int(Destination.O).bit_length() - 1]
        )
        m.d.comb += self.load_ready.eq(~blocked)
        accepted = self.load_valid & self.load_ready
        for number, core in enumerate(cores):
            mine = accepted & (self.load_core == number)
            m.d.comb += [
                core.load_a.eq(mine & to_a),
                core.load_o.eq(mine & to_o),
                core.load_address.eq(self.load_address),
                core.load_data.eq(self.load_data),
                core.load_mask.eq(self.load_mask),
            ]
        for buffer, memory in shared.items():
            m.d.comb += [
                memory.write_en.eq(accepted & (self.load_buffer == buffer)),
                memory.write_address.eq(self.load_address),
                memory.write_data.eq(self.load_data),
                memory.write_mask.eq(self.load_mask),
            ]
