"""STORE: planes of words from buffer O to AXI memory."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from triovit.hdl.bus.axi4 import AXI_ADDRESS_BITS, AXI4Signature, Response, address_attributes
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.control.errors import ERROR
from triovit.hdl.dma.bursts import BurstSplitter, lane_mask
from triovit.hdl.dma.runs import LOCAL_BITS, RunWalker, core_bits
from triovit.hdl.isa.instructions import SEMAPHORES
from triovit.hdl.isa.layouts import INDEX_BITS, ISSUED
from triovit.hdl.isa.names import ErrorCode, Opcode

BEAT_BUFFER = 4  # beats between O and the bus: enough to read O in every cycle with one cycle of read latency

# What is known of a burst when its response comes.
_ANSWER = data.StructLayout({"last": 1, "index": unsigned(INDEX_BITS), "signal": unsigned(SEMAPHORES)})


class StoreUnit(wiring.Component):
    """Executes STORE instructions: reads buffer O of every core and owns the AXI write channels.

    Addresses of the next bursts go out while data of earlier ones does. As in a LOAD, words keep their lanes: lane l
    of a beat is the word at on-chip address `local + l`, with strobes off for lanes outside the run.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    i : In(stream of ISSUED)
        STORE instructions (the opcode is not looked at).
    m_axi : Out(AXI4Signature, write channels)
    read_valid : Out(1), read_ready : In(1)
        A read of O; `read_ready` grants it in this cycle.
    read_core : Out(bits of cores - 1), read_address : Out(20)
        Core, and on-chip word of lane 0, modulo the buffer's size.
    read_data : In(ArrayLayout(8 * block, beat_words))
        The words, in the cycle after the grant.
    memory_base : In(64), memory_size : In(32), core_stride : In(32)
        Registers. Bytes; the base is a multiple of 4096, the stride of the word size.
    signal : Out(32)
        Semaphores of an instruction, in the cycle in which the response to its last burst comes.
    start, start_index, done, done_index : Out(1), Out(32), Out(1), Out(32)
        An instruction is accepted; the response to its last burst comes.
    error : Out(ERROR)
        LOCAL_ADDRESS, MEMORY_ADDRESS, ILLEGAL_FIELD (see `RunWalker`), WRITE_SLVERR, WRITE_DECERR. The unit halts
        itself after an error, until it is reset.
    halt : In(1)
        No further instruction and burst; bursts under way end with strobes off and without reading O. Beats that have
        been read already keep their strobes. A read that is not granted is withdrawn.
    beat : Out(1)
        A beat is transferred (for counters).
    idle : Out(1)
        No burst is under way, and (unless halted) there is nothing to do.

    Latency: 4 cycles from `i` to AWVALID and to the first `read_valid`, 2 from the grant to WVALID. Initiation
    interval: one beat and one burst a cycle, without a gap between runs, planes, cores or instructions.

    Source: ours; decoupled access and execution as in VTA.
    """

    latency = 4

    def __init__(self, config: AcceleratorConfig):
        self.config = config.validate()
        super().__init__(
            {
                "i": In(stream.Signature(ISSUED)),
                "m_axi": Out(AXI4Signature(config.data_bytes, read=False)),
                "read_valid": Out(1),
                "read_ready": In(1),
                "read_core": Out(core_bits(config)),
                "read_address": Out(LOCAL_BITS),
                "read_data": In(data.ArrayLayout(unsigned(8 * config.block), config.beat_words)),
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
                "beat": Out(1),
                "idle": Out(1),
            }
        )

    def _addresses(self, m, burst, data_list, answers):
        """AW channel: a burst goes to the address register and onto both lists at once.

        The lists do not wait for AWREADY: a slave may want to see data first.
        """
        axi, payload = self.m_axi, burst.payload
        m.d.comb += [
            burst.ready.eq((~axi.awvalid | axi.awready) & data_list.w_rdy & answers.w_rdy),
            *address_attributes(axi, "aw", self.config.data_bytes),
        ]
        go = Signal()
        m.d.comb += [go.eq(burst.valid & burst.ready), data_list.w_en.eq(go), answers.w_en.eq(go)]
        m.d.comb += [data_list.w_data[: payload.shape().size].eq(payload), answers.w_data.eq(self._answer(payload))]
        with m.If(go):
            m.d.sync += [axi.awvalid.eq(1), axi.awaddr.eq(payload.address), axi.awlen.eq(payload.length)]
        with m.Elif(axi.awready):
            m.d.sync += axi.awvalid.eq(0)

    @staticmethod
    def _answer(payload):
        return Cat(payload.last, payload.index, payload.signal)

    def _beats(self, m, data_list, layout, stop):
        """W channel: reads O beat by beat and puts what comes back into a small FIFO."""
        config, axi = self.config, self.m_axi
        beat_layout = data.StructLayout(
            {"data": unsigned(8 * config.data_bytes), "strobes": config.data_bytes, "last": 1}
        )
        m.submodules.beats = beats = fifo.SyncFIFO(width=beat_layout.size, depth=BEAT_BUFFER)
        burst = Signal(layout)
        count, final = Signal(8), Signal()
        local = Signal(LOCAL_BITS, reset_less=True)
        reading, mask, last = Signal(), Signal(config.beat_words, reset_less=True), Signal(reset_less=True)
        room, step = Signal(), Signal()
        m.d.comb += [
            burst.eq(data_list.r_data),
            final.eq(count == burst.length),
            room.eq(beats.level + reading < BEAT_BUFFER),
            self.read_valid.eq(data_list.r_rdy & room & ~stop),
            self.read_core.eq(burst.core),
            self.read_address.eq(Mux(count == 0, burst.local, local)),
            step.eq(data_list.r_rdy & room & (self.read_ready | stop)),
            data_list.r_en.eq(step & final),
        ]
        m.d.sync += reading.eq(step)
        with m.If(step):
            m.d.sync += [
                count.eq(Mux(final, 0, count + 1)),
                local.eq(self.read_address + config.beat_words),
                mask.eq(Mux(stop, 0, lane_mask(config, burst, count == 0, final))),
                last.eq(final),
            ]
        entry, out = Signal(beat_layout), Signal(beat_layout)
        m.d.comb += [
            entry.data.eq(self.read_data),
            entry.strobes.eq(Cat(enabled.replicate(config.block) for enabled in mask)),
            entry.last.eq(last),
            beats.w_data.eq(entry),
            beats.w_en.eq(reading),
            out.eq(beats.r_data),
            axi.wvalid.eq(beats.r_rdy),
            axi.wdata.eq(out.data),
            axi.wstrb.eq(out.strobes),
            axi.wlast.eq(out.last),
            beats.r_en.eq(axi.wready),
            self.beat.eq(axi.wvalid & axi.wready),
        ]

    def elaborate(self, platform):
        m = Module()
        config, axi = self.config, self.m_axi
        m.submodules.walker = walker = RunWalker(config, Opcode.STORE)
        m.submodules.splitter = splitter = BurstSplitter(config)
        layout = splitter.o.payload.shape()
        m.submodules.data_list = data_list = fifo.SyncFIFO(width=layout.size, depth=config.write_bursts)
        m.submodules.answers = answers = fifo.SyncFIFO(width=_ANSWER.size, depth=config.write_bursts)
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
        ]
        self._addresses(m, splitter.o, data_list, answers)
        self._beats(m, data_list, layout, stop)

        answer, bad = Signal(_ANSWER), Signal()
        m.d.comb += [
            answer.eq(answers.r_data),
            axi.bready.eq(answers.r_rdy),
            answers.r_en.eq(axi.bvalid),
            bad.eq(axi.bvalid & axi.bready & axi.bresp.matches(Response.SLVERR, Response.DECERR)),
            self.done.eq(axi.bvalid & axi.bready & answer.last & ~bad & ~stop),
            self.done_index.eq(answer.index),
            self.signal.eq(Mux(self.done, answer.signal, 0)),
        ]
        with m.If(bad & ~stop):
            m.d.comb += [
                self.error.valid.eq(1),
                self.error.code.eq(Mux(axi.bresp == Response.DECERR, ErrorCode.WRITE_DECERR, ErrorCode.WRITE_SLVERR)),
                self.error.index.eq(answer.index),
            ]
        with m.Else():
            m.d.comb += [self.error.eq(walker.error), self.error.valid.eq(walker.error.valid & ~stop)]
        with m.If(self.error.valid):
            m.d.sync += failed.eq(1)
        # A burst whose response has come is over: its data list entry and its beats are gone, too.
        m.d.comb += self.idle.eq(~splitter.o.valid & ~answers.r_rdy & (stop | ~walker.active))
        return m
