"""LOAD: planes of words from AXI memory into the on-chip buffers."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from triovit.hdl.bus.axi4 import BURST, Response, read_beat
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.control.ports import MemoryInterface, MemoryWindow, UnitInterface, UnitPort
from triovit.hdl.dma.bursts import burst_layout, lane_mask
from triovit.hdl.dma.ports import BufferWrite, WriteInterface
from triovit.hdl.dma.runs import LOCAL_BITS
from triovit.hdl.dma.transfer import Transfer, bus_error
from triovit.hdl.isa.instructions import SEMAPHORES
from triovit.hdl.isa.layouts import INDEX_BITS
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
    unit : Out(UnitPort())
        LOAD instructions (the opcode is not looked at); `trace.done` and `signal` in the cycle in which the last word
        of an instruction is written. Errors: ILLEGAL_FIELD, LOCAL_ADDRESS, MEMORY_ADDRESS (see `RunWalker`),
        READ_SLVERR, READ_DECERR. The unit stops at an error, until it is reset: nothing is taken, written or finished
        any more. Idle when no burst is under way and there is nothing to do.
    ar : Out(stream of BURST), r : In(stream of `read_beat`)
        Client port of `ReadMaster`.
    write : Out(BufferWrite(config))
    memory : In(MemoryWindow()), core_stride : In(32)
        Registers. Bytes; the stride is a multiple of the word size.

    Latency: `latency = 3` cycles from `unit.i` to `ar`, `write_latency = 1` from `r` to `write.valid`. Initiation
    interval: one burst and one beat per cycle, without a gap between runs, planes and cores; an instruction's first
    burst comes a cycle after the burst before. A reset is safe at any time: see `ReadMaster`.

    Source: ours; decoupled access and execution as in VTA.
    """

    unit: UnitInterface
    ar: stream.Interface
    r: stream.Interface
    write: WriteInterface
    memory: MemoryInterface
    core_stride: Signal

    latency = Transfer.latency
    write_latency = 1

    def __init__(self, config: AcceleratorConfig):
        self.config = config.validate()
        super().__init__(
            {
                "unit": Out(UnitPort()),
                "ar": Out(stream.Signature(BURST)),
                "r": In(stream.Signature(read_beat(config.data_bytes))),
                "write": Out(BufferWrite(config)),
                "memory": In(MemoryWindow()),
                "core_stride": In(32),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.transfer = transfer = Transfer(self.config, Opcode.LOAD)
        listed = burst_layout(self.config)
        m.submodules.under_way = under_way = fifo.SyncFIFO(width=listed.size, depth=self.config.read_bursts)
        unit, write, bursts = self.unit, self.write, transfer.o
        connect(m, flipped(unit.i), transfer.i)
        connect(m, flipped(self.memory), transfer.memory)
        m.d.comb += [
            transfer.core_stride.eq(self.core_stride),
            unit.trace.start.eq(unit.i.valid & unit.i.ready),
            unit.trace.start_index.eq(unit.i.payload.index),
            # A burst goes to the bus and onto the list at once.
            self.ar.valid.eq(bursts.valid & under_way.w_rdy),
            self.ar.payload.address.eq(bursts.payload.address),
            self.ar.payload.length.eq(bursts.payload.length),
            bursts.ready.eq(self.ar.ready & under_way.w_rdy),
            under_way.w_en.eq(self.ar.valid & self.ar.ready),
            under_way.w_data.eq(bursts.payload),
        ]

        burst = Signal(listed)  # that the next beat belongs to
        beat = self.r.payload
        begun = Signal()
        next_local = Signal(LOCAL_BITS, reset_less=True)
        address = Mux(begun, next_local, burst.local)
        finishes = Signal()
        signal = Signal(SEMAPHORES, reset_less=True)
        index = Signal(INDEX_BITS, reset_less=True)
        take = Signal()
        written = Signal()
        bad = Signal()
        m.d.comb += [
            burst.eq(under_way.r_data),
            self.r.ready.eq(under_way.r_rdy & (~write.valid | write.ready)),
            take.eq(self.r.valid & self.r.ready),
            bad.eq(take & beat.response.matches(Response.SLVERR, Response.DECERR)),
            under_way.r_en.eq(take & beat.last),
            written.eq(write.valid & write.ready),
            unit.trace.done.eq(written & finishes & ~transfer.failed),
            unit.trace.done_index.eq(index),
            unit.signal.eq(Mux(unit.trace.done, signal, 0)),
            *bus_error(
                bad, beat.response, burst.index, ErrorCode.READ_SLVERR, ErrorCode.READ_DECERR, transfer.response
            ),
            unit.error.eq(transfer.error),
        ]
        with m.If(take):
            m.d.sync += [
                write.valid.eq(~bad & ~transfer.failed),
                begun.eq(~beat.last),
                next_local.eq(address + self.config.beat_words),
                write.buffer.eq(burst.buffer),
                write.core.eq(burst.core),
                write.address.eq(address),
                write.data.as_value().eq(beat.data),
                write.mask.eq(lane_mask(self.config, burst, ~begun, beat.last)),
                finishes.eq(burst.last & beat.last),
                signal.eq(burst.signal),
                index.eq(burst.index),
            ]
        with m.Elif(write.ready):
            m.d.sync += write.valid.eq(0)

        m.d.comb += [
            unit.idle.eq(~transfer.active & ~bursts.valid & ~under_way.r_rdy & ~write.valid),
            unit.busy.eq(~unit.idle),
        ]
        return m
