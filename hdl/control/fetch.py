"""FETCH: checks the program and hands every instruction to its unit's queue."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from triovit.hdl.bus.axi4 import READ_BURST, Response, read_beat
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.config.engines import engines_of
from triovit.hdl.control.errors import ERROR
from triovit.hdl.control.ports import MemoryInterface, MemoryWindow, SemaphoreInterface, SemaphorePort
from triovit.hdl.control.prefetch import Prefetcher
from triovit.hdl.isa.engines import Engine
from triovit.hdl.isa.instructions import INSTRUCTION_BYTES, PROGRAM_MAGIC, SEMAPHORES
from triovit.hdl.isa.layouts import INDEX_BITS, ISSUED, LAYOUT_OF
from triovit.hdl.isa.names import ErrorCode, Opcode


class FetchUnit(wiring.Component):
    """Reads a program from memory, ahead of need, and issues its instructions in order.

    PROGRAM and END are FETCH's own instructions: like every unit it takes their `wait` semaphores first and gives their
    `signal` afterwards. END also waits until all units are idle.

    Parameters
    ----------
    config : AcceleratorConfig
    engines : units that instructions go to; by default those of the configuration

    Members
    -------
    start : In(1)
        Begin with the instruction at `program_offset`; only while `idle`.
    program_offset, program_bytes : In(32)
        Place (from the memory base, a multiple of 64) and size of the program.
    memory : In(MemoryWindow())
    ar : Out(stream of READ_BURST), r : In(stream of `read_beat`)
        Client port of `ReadMaster`; never holds up its beats.
    o : Out(stream of ISSUED).array(number of engines)
        To the queues; a full queue holds up everything behind it.
    semaphores : Out(SemaphorePort()), give : Out(32)
        Ports of `Semaphores`.
    units_idle : In(1)
        All queues are empty and all other units idle.
    finished : Out(1)
        END is done (one cycle); FETCH is idle in the next one.
    index : Out(32)
        Number of the instruction that FETCH is at.
    error : Out(ERROR)
        MEMORY_ADDRESS (the program is not inside the memory, or not at a multiple of 64), TRUNCATED (no END within
        `program_bytes` and the program's own count; the index is that of the missing instruction), BAD_MAGIC,
        WRONG_HASH, ILLEGAL_OPCODE (PROGRAM anywhere but first is one, too), READ_SLVERR, READ_DECERR (only for
        instructions that are reached). FETCH halts itself after an error, until it is reset.
    halt : In(1)
        No further burst and no further instruction; beats under way are discarded, offers to the queues withdrawn.
    idle : Out(1)
        No burst is under way, and (unless halted) no program runs.

    Latency: 2 cycles from `start` to `ar`, 2 cycles from an instruction's last beat to the offer to its queue.
    Initiation interval: an instruction every max(1, 64 / data_bytes) cycles.

    Source: ours; VTA fetches the same way.
    """

    start: Signal
    program_offset: Signal
    program_bytes: Signal
    memory: MemoryInterface
    ar: stream.Interface
    r: stream.Interface
    o: list[stream.Interface]
    semaphores: SemaphoreInterface
    give: Signal
    units_idle: Signal
    finished: Signal
    index: Signal
    halt: Signal
    idle: Signal
    error: data.View

    latency = 2

    def __init__(self, config: AcceleratorConfig, engines: Sequence[Engine] | None = None):
        self.config = config.validate()
        self.engines = engines_of(config) if engines is None else engines
        super().__init__(
            {
                "start": In(1),
                "program_offset": In(32),
                "program_bytes": In(32),
                "memory": In(MemoryWindow()),
                "ar": Out(stream.Signature(READ_BURST)),
                "r": In(stream.Signature(read_beat(config.data_bytes))),
                "o": Out(stream.Signature(ISSUED)).array(len(self.engines)),
                "semaphores": Out(SemaphorePort()),
                "give": Out(SEMAPHORES),
                "units_idle": In(1),
                "finished": Out(1),
                "index": Out(INDEX_BITS),
                "error": Out(ERROR),
                "halt": In(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.prefetcher = prefetcher = Prefetcher(self.config)
        connect(m, prefetcher.ar, flipped(self.ar))
        connect(m, flipped(self.r), prefetcher.r)
        running = Signal()
        failed = Signal()
        stop = Signal()
        inside = (self.program_offset[:6] == 0) & (self.program_offset + self.program_bytes <= self.memory.size)
        begin = Signal()
        m.d.comb += [
            stop.eq(self.halt | failed),
            begin.eq(self.start & inside & ~stop),
            prefetcher.start.eq(begin),
            prefetcher.offset.eq(self.program_offset),
            prefetcher.size.eq(self.program_bytes),
            prefetcher.memory_base.eq(self.memory.base),
            self.idle.eq(prefetcher.idle & (~running | stop)),
        ]
        code = Signal(ErrorCode)
        m.d.comb += [
            self.error.code.eq(code),
            self.error.index.eq(self.index),
            self.error.valid.eq((code != ErrorCode.NONE) & ~stop),
        ]
        with m.If(self.error.valid):
            m.d.sync += failed.eq(1)
        # Whoever gives `start` listens to errors from the next cycle on.
        outside = Signal()
        m.d.sync += outside.eq(self.start & ~inside)
        with m.If(outside):
            m.d.comb += code.eq(ErrorCode.MEMORY_ADDRESS)
        with m.If(begin):
            m.d.sync += running.eq(1)
        with m.If(self.start):
            m.d.sync += self.index.eq(0)

        program = data.View(LAYOUT_OF[Opcode.PROGRAM], prefetcher.o.payload.word)
        opcode, response = program.opcode, prefetcher.o.payload.response
        limit = Signal(INDEX_BITS)
        ending = Signal()
        own = Signal()
        first = self.index == 0
        m.d.comb += prefetcher.stop.eq(stop | ending)
        with m.If(running & ~stop):
            with m.If(ending):
                with m.If(self.units_idle & prefetcher.idle):
                    m.d.comb += [self.finished.eq(1), self.give.eq(program.signal)]
                    m.d.sync += [running.eq(0), ending.eq(0)]
            with m.Elif(self.index >= limit):
                m.d.comb += code.eq(ErrorCode.TRUNCATED)
            with m.Elif(~prefetcher.o.valid):
                pass
            with m.Elif(response[1]):
                m.d.comb += code.eq(Mux(response == Response.DECERR, ErrorCode.READ_DECERR, ErrorCode.READ_SLVERR))
            with m.Elif(first & ((opcode != Opcode.PROGRAM) | (program.magic != PROGRAM_MAGIC))):
                m.d.comb += code.eq(ErrorCode.BAD_MAGIC)
            with m.Elif(first & (program.hash != self.config.hash)):
                m.d.comb += code.eq(ErrorCode.WRONG_HASH)
            with m.Elif(first | (opcode == Opcode.END)):
                m.d.comb += own.eq(1)
            with m.Elif(~opcode.matches(*(known for engine in self.engines for known in engine.opcodes))):
                m.d.comb += code.eq(ErrorCode.ILLEGAL_OPCODE)
            with m.Else():
                self._issue(m, prefetcher.o, opcode)

        with m.If(own):
            m.d.comb += [self.semaphores.wait.eq(program.wait), self.semaphores.take.eq(self.semaphores.available)]
            with m.If(self.semaphores.available & first):
                m.d.comb += [self.give.eq(program.signal), prefetcher.o.ready.eq(1)]
                with m.If(program.instructions < limit):
                    m.d.sync += limit.eq(program.instructions)
            with m.Elif(self.semaphores.available):
                m.d.sync += ending.eq(1)  # END stays in hand until it is done
        with m.If(begin):
            m.d.sync += [limit.eq(self.program_bytes // INSTRUCTION_BYTES), ending.eq(0)]
        with m.If(prefetcher.o.valid & prefetcher.o.ready):
            m.d.sync += self.index.eq(self.index + 1)
        return m

    def _issue(self, m, source, opcode):
        for engine, queue in zip(self.engines, self.o, strict=True):
            m.d.comb += [queue.payload.word.eq(source.payload.word), queue.payload.index.eq(self.index)]
            with m.If(opcode[4:] == engine.unit):
                m.d.comb += [queue.valid.eq(1), source.ready.eq(queue.ready)]
