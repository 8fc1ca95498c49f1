"""LOAD: planes of words from AXI memory into the on-chip buffers."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from triovit.hdl.bus.axi4 import AXI_ADDRESS_BITS, READ_BURST, Response, read_beat
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.control.errors import ERROR
from triovit.hdl.dma.bursts import BurstSplitter, burst_layout, lane_mask
from triovit.hdl.dma.runs import LOCAL_BITS, RunWalker, core_bits
from triovit.hdl.isa.instructions import SEMAPHORES
from triovit.hdl.isa.layouts import INDEX_BITS, ISSUED
from triovit.hdl.isa.names import ErrorCode, Opcode


class LoadUnit(wiring.Component):
    """Executes LOAD instructions: a client of the read master on one side, the buffers' write port on the other.

    Bursts of the next runs and instructions are asked for while data of earlier ones arrives; a list of the bursts
    under way says where each beat goes. Memory words and on-chip words keep their lanes: lane l of a beat goes to
    on-chip address `local + l`, whatever the alignment of either, so that no data is shifted here.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    i : In(stream of ISSUED)
        LOAD instructions (the opcode is not looked at).
    ar : Out(stream of READ_BURST), r : In(stream of `read_beat`)
        Client port of `ReadMaster`.
    write_valid : Out(1), write_ready : In(1)
        One beat for a buffer; held until ready.
    write_buffer : Out(3), write_core : Out(bits of cores - 1)
        `isa.Buffer`, and the core for A and O.
    write_address : Out(20)
        On-chip word of lane 0, modulo the buffer's size (lanes outside the run can lie before its beginning).
    write_data : Out(ArrayLayout(8 * block, beat_words)), write_mask : Out(beat_words)
    memory_base : In(64), memory_size : In(32), core_stride : In(32)
        Registers. Bytes; the base is a multiple of 4096, the stride of the word size.
    signal : Out(32)
        Semaphores of an instruction, in the cycle in which its last word is written.
    start, start_index : Out(1), Out(32)
        An instruction is accepted (its number in the program).
    done, done_index : Out(1), Out(32)
        An instruction's last word is written.
    error : Out(ERROR)
        ILLEGAL_FIELD, LOCAL_ADDRESS, MEMORY_ADDRESS (see `RunWalker`), READ_SLVERR, READ_DECERR. The unit halts itself
        after an error, until it is reset.
    halt : In(1)
        No further instruction and burst; data of bursts under way is discarded. A beat on offer is withdrawn.
    idle : Out(1)
        No burst is under way, and (unless halted) there is nothing to do.

    Latency: 3 cycles from `i` to `ar` (4 to ARVALID), 1 from `r` to `write_valid`. Initiation interval: one burst and
    one beat a cycle, without a gap between runs, planes, cores or instructions.

    Source: ours; decoupled access and execution as in VTA.
    """

    latency = 3

    def __init__(self, config: AcceleratorConfig):
        self.config = config.validate()
        super().__init__(
            {
                "i": In(stream.Signature(ISSUED)),
                "ar": Out(stream.Signature(READ_BURST)),
                "r": In(stream.Signature(read_beat(config.data_bytes))),
                "write_valid": Out(1),
                "write_ready": In(1),
                "write_buffer": Out(3),
                "write_core": Out(core_bits(config)),
                "write_address": Out(LOCAL_BITS),
                "write_data": Out(data.ArrayLayout(unsigned(8 * config.block), config.beat_words)),
                "write_mask": Out(config.beat_words),
                "memory_base": In(AXI_ADDRESS_BITS),
                "memory_size": In(32),
                "core_stride": In(32),
                "signal": Out(SEMAPHORES),
                "start": Out(1),
                "start_index": Out(INDEX_BITS),
                "done": Out(1),
                "done_index": Out(INDEX_BITS),
                "error": Out(ERROR),
                "halt": In(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.walker = walker = RunWalker(self.config, Opcode.LOAD)
        m.submodules.splitter = splitter = BurstSplitter(self.config)
        listed = burst_layout(self.config)
        m.submodules.under_way = under_way = fifo.SyncFIFO(width=listed.size, depth=self.config.read_bursts)
        connect(m, flipped(self.i), walker.i)
        connect(m, walker.o, splitter.i)

        failed, stop = Signal(), Signal()
        m.d.comb += [
            stop.eq(self.halt | failed),
            walker.halt.eq(stop),
            walker.core_stride.eq(self.core_stride),
            walker.memory_size.eq(self.memory_size),
            splitter.halt.eq(stop),
            splitter.memory_base.eq(self.memory_base),
            self.start.eq(self.i.valid & self.i.ready),
            self.start_index.eq(self.i.payload.index),
            # A burst goes to the bus and onto the list at once.
            self.ar.valid.eq(splitter.o.valid & under_way.w_rdy),
            self.ar.payload.address.eq(splitter.o.payload.address),
            self.ar.payload.length.eq(splitter.o.payload.length),
            splitter.o.ready.eq(self.ar.ready & under_way.w_rdy),
            under_way.w_en.eq(self.ar.valid & self.ar.ready),
            under_way.w_data.eq(splitter.o.payload),
        ]

        burst = Signal(listed)  # that the next beat belongs to
        beat = self.r.payload
        begun, next_local = Signal(), Signal(LOCAL_BITS, reset_less=True)
        address = Mux(begun, next_local, burst.local)
        finishes, signal, index = Signal(), Signal(SEMAPHORES, reset_less=True), Signal(INDEX_BITS, reset_less=True)
        take, written, bad = Signal(), Signal(), Signal()
        m.d.comb += [
            burst.eq(under_way.r_data),
            self.r.ready.eq(under_way.r_rdy & (~self.write_valid | self.write_ready | stop)),
            take.eq(self.r.valid & self.r.ready),
            bad.eq(take & beat.response.matches(Response.SLVERR, Response.DECERR)),
            under_way.r_en.eq(take & beat.last),
            written.eq(self.write_valid & self.write_ready),
            self.done.eq(written & finishes),
            self.done_index.eq(index),
            self.signal.eq(Mux(self.done, signal, 0)),
        ]
        pending = Signal()
        m.d.comb += self.write_valid.eq(pending & ~stop)
        with m.If(take):
            m.d.sync += [
                pending.eq(~bad),
                begun.eq(~beat.last),
                next_local.eq(address + self.config.beat_words),
                self.write_buffer.eq(burst.buffer),
                self.write_core.eq(burst.core),
                self.write_address.eq(address),
                self.write_data.as_value().eq(beat.data),
                self.write_mask.eq(lane_mask(self.config, burst, ~begun, beat.last)),
                finishes.eq(burst.last & beat.last),
                signal.eq(burst.signal),
                index.eq(burst.index),
            ]
        with m.Elif(self.write_ready | stop):
            m.d.sync += pending.eq(0)

        with m.If(bad & ~stop):
            m.d.comb += [
                self.error.valid.eq(1),
                self.error.code.eq(Mux(beat.response == Response.DECERR, ErrorCode.READ_DECERR, ErrorCode.READ_SLVERR)),
                self.error.index.eq(burst.index),
            ]
        with m.Else():
            m.d.comb += [self.error.eq(walker.error), self.error.valid.eq(walker.error.valid & ~stop)]
        with m.If(self.error.valid):
            m.d.sync += failed.eq(1)
        work = walker.active | pending
        m.d.comb += self.idle.eq(~splitter.o.valid & ~under_way.r_rdy & (stop | ~work))
        return m
