"""LOAD: planes of words from AXI memory into the on-chip buffers."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from triovit.hdl.bus.axi4 import BURST, read_beat
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.control.ports import MemoryInterface, MemoryWindow, UnitInterface, UnitPort
from triovit.hdl.dma.bursts import burst_layout, lane_mask, listed_bits, words_of_beat
from triovit.hdl.dma.port_fork import PortFork
from triovit.hdl.dma.port_join import PortJoin
from triovit.hdl.dma.ports import BufferWrite, WriteInterface
from triovit.hdl.dma.runs import LOCAL_BITS
from triovit.hdl.dma.transfer import Transfer, ask, bus_error, first_error
from triovit.hdl.integrity.parity_queue import queue
from triovit.hdl.isa.instructions import SEMAPHORES
from triovit.hdl.isa.layouts import INDEX_BITS
from triovit.hdl.isa.names import ErrorCode, Opcode

PORT_AHEAD = 32
"""Beats that a port can be ahead of the slowest one: a queue of LUT RAM."""


class LoadUnit(wiring.Component):
    """Executes LOAD instructions: a client of the read masters on one side, the buffers' write port on the other.

    Bursts of the next runs and instructions are asked for while data of earlier ones arrives; a list of the bursts
    under way says where each beat goes. Memory words and on-chip words keep their lanes: lane l of a beat goes to
    on-chip address `local + l`, whatever the alignment of either, so that no data is shifted here.

    Every port is asked for the same bursts of its own partition; their beats are taken together, when all are here.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    unit : Out(UnitPort())
        LOAD instructions (the opcode is not looked at); `trace.done` and `signal` in the cycle in which the last word
        of an instruction is written. Errors: ILLEGAL_FIELD, LOCAL_ADDRESS, MEMORY_ADDRESS (see `RunWalker`),
        READ_SLVERR, READ_DECERR (of several ports that of the lowest number). The unit stops at an error, until it is
        reset: nothing is taken, written or finished any more. Idle when no burst is under way and there is nothing to
        do.
    ar : Out(stream of BURST).array(ports), r : In(stream of `read_beat`).array(ports)
        Client port of the `ReadMaster` of each port.
    write : Out(BufferWrite(config))
    memory : In(MemoryWindow(ports)), core_stride : In(32)
        Registers. Bytes; the stride is a multiple of the word size.
    damaged : Out(1), with `integrity` only
        A bit has flipped in the list of bursts.

    Latency: `latency = 3` cycles from `unit.i` to `ar`, `write_latency = 1` from `r` to `write.valid`, with several
    ports 2. Initiation interval: one burst and one beat per cycle, without a gap between runs, planes and cores; an
    instruction's first burst comes a cycle after the burst before. A reset is safe at any time: see `ReadMaster`.

    Source: ours; decoupled access and execution as in VTA.
    """

    unit: UnitInterface
    ar: list[stream.Interface]
    r: list[stream.Interface]
    write: WriteInterface
    memory: MemoryInterface
    core_stride: Signal
    damaged: Signal

    latency = Transfer.latency

    def __init__(self, config: AcceleratorConfig):
        self.config = config.validate()
        self._join = PortJoin(read_beat(config.data_bytes), config.ports, PORT_AHEAD, integrity=config.integrity)
        self.write_latency = self._join.latency + 1
        super().__init__(
            {
                "unit": Out(UnitPort()),
                "ar": Out(stream.Signature(BURST)).array(config.ports),
                "r": In(stream.Signature(read_beat(config.data_bytes))).array(config.ports),
                "write": Out(BufferWrite(config)),
                "memory": In(MemoryWindow(config.ports)),
                "core_stride": In(32),
                **({"damaged": Out(1)} if config.integrity else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.transfer = transfer = Transfer(self.config, Opcode.LOAD)
        listed = burst_layout(self.config)
        integrity = self.config.integrity
        under_way = queue(m, "under_way", listed_bits(self.config), self.config.read_bursts, integrity=integrity)
        m.submodules.fork = fork = PortFork(unsigned(8), self.config.ports)
        m.submodules.join = join = self._join
        if integrity:
            m.d.comb += self.damaged.eq(under_way.damaged | join.damaged)
        unit, write, bursts = self.unit, self.write, transfer.o
        connect(m, flipped(unit.i), transfer.i)
        connect(m, flipped(self.memory), transfer.memory)
        m.d.comb += [
            transfer.core_stride.eq(self.core_stride),
            unit.trace.start.eq(unit.i.valid & unit.i.ready),
            unit.trace.start_index.eq(unit.i.payload.index),
            # A burst goes to the bus and onto the list at once.
            fork.i.valid.eq(bursts.valid & under_way.w_rdy),
            bursts.ready.eq(fork.i.ready & under_way.w_rdy),
            under_way.w_en.eq(fork.i.valid & fork.i.ready),
            under_way.w_data.eq(bursts.payload),
        ]
        ask(m, fork, bursts.payload, self.ar)
        for received, port in zip(self.r, join.i, strict=True):
            connect(m, flipped(received), port)

        burst = Signal(listed)  # that the next beat belongs to
        beats = [join.o.payload[port] for port in range(self.config.ports)]
        last = beats[0].last  # all ports have the same bursts
        begun = Signal()
        next_local = Signal(LOCAL_BITS, reset_less=True)
        address = Mux(begun, next_local, burst.local)
        finishes = Signal()
        signal = Signal(SEMAPHORES, reset_less=True)
        index = Signal(INDEX_BITS, reset_less=True)
        take = Signal()
        written = Signal()
        bad = Signal()
        wrong, response = first_error([beat.response for beat in beats])
        m.d.comb += [
            burst.eq(under_way.r_data),
            join.o.ready.eq(under_way.r_rdy & (~write.valid | write.ready)),
            take.eq(join.o.valid & join.o.ready),
            bad.eq(take & wrong),
            under_way.r_en.eq(take & last),
            written.eq(write.valid & write.ready),
            unit.trace.done.eq(written & finishes & ~transfer.failed),
            unit.trace.done_index.eq(index),
            unit.signal.eq(Mux(unit.trace.done, signal, 0)),
            *bus_error(bad, response, burst.index, ErrorCode.READ_SLVERR, ErrorCode.READ_DECERR, transfer.response),
            unit.error.eq(transfer.error),
        ]
        with m.If(take):
            m.d.sync += [
                write.valid.eq(~bad & ~transfer.failed),
                begun.eq(~last),
                next_local.eq(address + words_of_beat(self.config, burst.buffer)),
                write.buffer.eq(burst.buffer),
                write.core.eq(burst.core),
                write.address.eq(address),
                write.data.as_value().eq(Cat(beat.data for beat in beats)),
                write.mask.eq(lane_mask(self.config.bus_words, burst, ~begun, last)),
                finishes.eq(burst.last & last),
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
