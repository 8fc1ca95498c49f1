"""Reading ahead in the program: AXI bursts in, a stream of 64-byte instructions out."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal, unsigned
from amaranth.lib import data, fifo, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from triovit.hdl.bus.axi4 import AXI_ADDRESS_BITS, BURST, PAGE_BYTES, read_beat
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.instructions import INSTRUCTION_BYTES
from triovit.hdl.isa.layouts import INSTRUCTION_BITS

PREFETCH_INSTRUCTIONS = 16  # room for instructions that are asked for or wait
BURST_INSTRUCTIONS = 4  # longest burst

# An instruction and the worst response of its beats (0: fine).
FETCHED = data.StructLayout({"word": unsigned(INSTRUCTION_BITS), "response": unsigned(2)})


class Prefetcher(wiring.Component):
    """Asks for the beats of a program as far ahead as its FIFO has room, and puts instructions together.

    Parameters
    ----------
    config : AcceleratorConfig

    Members
    -------
    start : In(1)
        Begin anew; only while `idle`.
    offset, size : In(32)
        First byte (from `memory_base`, a multiple of 64) and bytes (rounded down to a multiple of 64) of the program.
    memory_base : In(64)
        A multiple of 4096.
    ar : Out(stream of BURST), r : In(stream of `read_beat`)
        Client port of `ReadMaster`. `r.ready` is always high.
    o : Out(stream of FETCHED)
    stop : In(1)
        Ask for nothing more and discard what comes.
    idle : Out(1)
        No burst is under way.

    Latency: `latency = 3` cycles from `start` to `ar`, `beat_latency = 2` from an instruction's last beat to `o`.
    Initiation interval: a burst every two cycles, one beat per cycle into the FIFO; an instruction every max(1, 64 /
    data_bytes) cycles out of it.

    Source: ours.
    """

    start: Signal
    offset: Signal
    size: Signal
    memory_base: Signal
    ar: stream.Interface
    r: stream.Interface
    o: stream.Interface
    stop: Signal
    idle: Signal

    latency = 3
    beat_latency = 2

    def __init__(self, config: AcceleratorConfig):
        self.config = config
        self._byte_bits = ceil_log2(config.data_bytes)
        self._depth = max(2, PREFETCH_INSTRUCTIONS * INSTRUCTION_BYTES // config.data_bytes)
        longest = max(1, BURST_INSTRUCTIONS * INSTRUCTION_BYTES // config.data_bytes)
        self._window = ceil_log2(min(config.burst_beats, longest))  # bursts end at multiples of 2**window beats
        super().__init__(
            {
                "start": In(1),
                "offset": In(32),
                "size": In(32),
                "memory_base": In(AXI_ADDRESS_BITS),
                "ar": Out(stream.Signature(BURST)),
                "r": In(stream.Signature(read_beat(config.data_bytes))),
                "o": Out(stream.Signature(FETCHED)),
                "stop": In(1),
                "idle": Out(1),
            }
        )

    def _ask(self, m, popped):
        """AR side. Returns the strobe of a beat that has come and is wanted."""
        beat_bits, window, page = 33 - self._byte_bits, self._window, ceil_log2(PAGE_BYTES)
        beat = Signal(beat_bits)  # next one to ask for
        end = Signal(beat_bits)  # the one after the last
        # Beats of the FIFO that nobody has asked for yet, and beats that are asked for and not here yet.
        room = Signal(range(self._depth + 1))
        under_way = Signal(range(self._depth + 1))
        length = Signal(9)  # of the next burst
        asked = Signal(9)
        known = Signal()  # there is a next burst, and `length` is its length
        go = Signal()
        received = Signal()
        offset = Signal(beat_bits + self._byte_bits)
        m.d.comb += [
            go.eq(known & (room >= length) & ~self.stop & (~self.ar.valid | self.ar.ready)),
            asked.eq(Mux(go, length, 0)),
            offset.eq(beat << self._byte_bits),
            received.eq(self.r.valid),
            self.r.ready.eq(1),  # there is room for all that was asked for
            self.idle.eq(under_way == 0),
        ]
        m.d.sync += [
            length.eq(Mux(beat[window:] == end[window:], end[:window], 1 << window) - beat[:window]),
            known.eq((beat != end) & ~go),
            room.eq(room - asked + popped),
            under_way.eq(under_way + asked - received),
        ]
        with m.If(go):
            m.d.sync += [
                self.ar.valid.eq(1),
                self.ar.payload.address.eq(Cat(offset[:page], self.memory_base[page:] + offset[page:])),
                self.ar.payload.length.eq(length - 1),
                beat.eq(beat + length),
            ]
        with m.Elif(self.ar.ready):
            m.d.sync += self.ar.valid.eq(0)
        with m.If(self.start):
            whole = Cat(self.size[:6] & 0, self.size[6:])
            m.d.sync += [
                beat.eq(self.offset >> self._byte_bits),
                end.eq((self.offset + whole + self.config.data_bytes - 1) >> self._byte_bits),
                room.eq(self._depth),
                known.eq(0),
            ]
        return received & ~self.stop

    def elaborate(self, platform):
        m = Module()
        layout = data.StructLayout({"data": unsigned(8 * self.config.data_bytes), "response": unsigned(2)})
        beats = fifo.SyncFIFO(width=layout.size, depth=self._depth)
        m.submodules.beats = ResetInserter(self.start)(beats)
        wanted = self._ask(m, beats.r_en & beats.r_rdy)
        entry = Signal(layout)
        out = self.o.payload
        fill = Signal()
        m.d.comb += [
            beats.w_en.eq(wanted),
            beats.w_data.eq(Cat(self.r.payload.data, self.r.payload.response)),
            entry.eq(beats.r_data),
            fill.eq(beats.r_rdy & (~self.o.valid | self.o.ready)),
        ]
        beats_each = INSTRUCTION_BYTES // self.config.data_bytes
        if beats_each > 1:
            part = Signal(range(beats_each))
            last = part == beats_each - 1
            m.d.comb += beats.r_en.eq(fill)
            with m.If(fill):
                m.d.sync += [
                    part.eq(part + 1),  # wraps
                    out.word.eq(Cat(out.word, entry.data)[len(entry.data) :]),
                    out.response.eq(Mux(part == 0, 0, out.response) | entry.response),
                    self.o.valid.eq(last),
                ]
            first_part = 0
        elif beats_each == 1:
            part = Signal()  # a beat is an instruction
            first_part = 0
            m.d.comb += beats.r_en.eq(fill)
            with m.If(fill):
                m.d.sync += [out.word.eq(entry.data), out.response.eq(entry.response), self.o.valid.eq(1)]
        else:
            part = Signal(range(self.config.data_bytes // INSTRUCTION_BYTES))  # instruction within the beat
            m.d.comb += beats.r_en.eq(fill & part.all())
            with m.If(fill):
                m.d.sync += [
                    part.eq(part + 1),
                    out.word.eq(entry.data.word_select(part, INSTRUCTION_BITS)),
                    out.response.eq(entry.response),
                    self.o.valid.eq(1),
                ]
            first_part = self.offset >> ceil_log2(INSTRUCTION_BYTES)
        with m.If(~fill & self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.start):
            m.d.sync += [self.o.valid.eq(0), part.eq(first_part)]
        return m
