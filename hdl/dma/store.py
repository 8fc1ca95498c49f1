"""STORE: planes of words from buffer O to AXI memory."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, fifo, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from triovit.hdl.bus.axi4 import AXI4Interface, AXI4Signature, Response, address_attributes
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.control.ports import MemoryInterface, MemoryWindow, UnitInterface, UnitPort
from triovit.hdl.dma.bursts import lane_mask
from triovit.hdl.dma.ports import BufferRead, ReadInterface
from triovit.hdl.dma.runs import LOCAL_BITS
from triovit.hdl.dma.transfer import Transfer, bus_error
from triovit.hdl.isa.instructions import SEMAPHORES
from triovit.hdl.isa.layouts import INDEX_BITS
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
    unit : Out(UnitPort())
        STORE instructions (the opcode is not looked at); `trace.done` and `signal` in the cycle in which the response
        to an instruction's last burst comes. Errors: LOCAL_ADDRESS, MEMORY_ADDRESS, ILLEGAL_FIELD (see `RunWalker`),
        WRITE_SLVERR, WRITE_DECERR. The unit halts itself after an error, until it is reset. Idle when no burst is under
        way, and (unless halted) there is nothing to do.
    m_axi : Out(AXI4Signature, write channels)
    read : Out(BufferRead(config))
    memory : In(MemoryWindow()), core_stride : In(32)
        Registers. Bytes; the stride is a multiple of the word size.
    halt : In(1)
        No further instruction and burst; bursts under way end with strobes off and without reading O. Beats that have
        been read already keep their strobes. A read that is not granted is withdrawn.
    beat : Out(1)
        A beat is transferred (for counters).

    Latency: 4 cycles from `unit.i` to AWVALID and to the first `read.valid`, 2 from the grant to WVALID. Initiation
    interval: one beat and one burst per cycle, without a gap between runs, planes, cores or instructions.

    Source: ours; decoupled access and execution as in VTA.
    """

    unit: UnitInterface
    m_axi: AXI4Interface
    read: ReadInterface
    memory: MemoryInterface
    core_stride: Signal
    halt: Signal
    beat: Signal

    latency = Transfer.latency + 1

    def __init__(self, config: AcceleratorConfig):
        self.config = config.validate()
        super().__init__(
            {
                "unit": Out(UnitPort()),
                "m_axi": Out(AXI4Signature(config.data_bytes, read=False)),
                "read": Out(BufferRead(config)),
                "memory": In(MemoryWindow()),
                "core_stride": In(32),
                "halt": In(1),
                "beat": Out(1),
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
        config, axi, read = self.config, self.m_axi, self.read
        beat_layout = data.StructLayout(
            {"data": unsigned(8 * config.data_bytes), "strobes": config.data_bytes, "last": 1}
        )
        m.submodules.beats = beats = fifo.SyncFIFO(width=beat_layout.size, depth=BEAT_BUFFER)
        burst = Signal(layout)
        count = Signal(8)
        final = Signal()
        local = Signal(LOCAL_BITS, reset_less=True)
        reading = Signal()
        mask = Signal(config.beat_words, reset_less=True)
        last = Signal(reset_less=True)
        room = Signal()
        step = Signal()
        m.d.comb += [
            burst.eq(data_list.r_data),
            final.eq(count == burst.length),
            room.eq(beats.level + reading < BEAT_BUFFER),
            read.valid.eq(data_list.r_rdy & room & ~stop),
            read.core.eq(burst.core),
            read.address.eq(Mux(count == 0, burst.local, local)),
            step.eq(data_list.r_rdy & room & (read.ready | stop)),
            data_list.r_en.eq(step & final),
        ]
        m.d.sync += reading.eq(step)
        with m.If(step):
            m.d.sync += [
                count.eq(Mux(final, 0, count + 1)),
                local.eq(read.address + config.beat_words),
                mask.eq(Mux(stop, 0, lane_mask(config, burst, count == 0, final))),
                last.eq(final),
            ]
        entry = Signal(beat_layout)
        out = Signal(beat_layout)
        m.d.comb += [
            entry.data.eq(read.data),
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
        m.submodules.transfer = transfer = Transfer(config, Opcode.STORE)
        layout = transfer.o.payload.shape()
        m.submodules.data_list = data_list = fifo.SyncFIFO(width=layout.size, depth=config.write_bursts)
        m.submodules.answers = answers = fifo.SyncFIFO(width=_ANSWER.size, depth=config.write_bursts)
        unit, bursts, stop = self.unit, transfer.o, transfer.stop
        connect(m, flipped(unit.i), transfer.i)
        connect(m, flipped(self.memory), transfer.memory)
        m.d.comb += [
            transfer.core_stride.eq(self.core_stride),
            transfer.halt.eq(self.halt),
            unit.trace.start.eq(unit.i.valid & unit.i.ready),
            unit.trace.start_index.eq(unit.i.payload.index),
        ]
        self._addresses(m, bursts, data_list, answers)
        self._beats(m, data_list, layout, stop)

        answer = Signal(_ANSWER)
        bad = Signal()
        m.d.comb += [
            answer.eq(answers.r_data),
            axi.bready.eq(answers.r_rdy),
            answers.r_en.eq(axi.bvalid),
            bad.eq(axi.bvalid & axi.bready & axi.bresp.matches(Response.SLVERR, Response.DECERR)),
            unit.trace.done.eq(axi.bvalid & axi.bready & answer.last & ~bad & ~stop),
            unit.trace.done_index.eq(answer.index),
            unit.signal.eq(Mux(unit.trace.done, answer.signal, 0)),
            *bus_error(bad, axi.bresp, answer.index, ErrorCode.WRITE_SLVERR, ErrorCode.WRITE_DECERR, transfer.response),
            unit.error.eq(transfer.error),
            # A burst whose response has come is over: its data list entry and its beats are gone, too.
            unit.idle.eq(~bursts.valid & ~answers.r_rdy & (stop | ~transfer.active)),
            unit.busy.eq(~unit.idle),
        ]
        return m
