"""FETCH: checks the program and hands every instruction to its unit's queue."""

from __future__ import annotations

from collections.abc import Sequence

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from triovit.hdl.bus.axi4 import BURST, Response, read_beat
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.config.engines import engines_of
from triovit.hdl.control.errors import ERROR, ERROR_CODE_BITS
from triovit.hdl.control.ports import MemoryInterface, MemoryWindow, SemaphoreInterface, SemaphorePort
from triovit.hdl.control.prefetch import Prefetcher
from triovit.hdl.integrity.check_byte import damaged
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
        Begin with the instruction at `program_offset`; not while a program runs.
    program_offset, program_bytes : In(32)
        Place (from the memory base, a multiple of 64) and size of the program.
    memory : In(MemoryWindow())
        The first port's.
    ar : Out(stream of BURST), r : In(stream of `read_beat`)
        Client port of `ReadMaster`; never holds up its beats.
    o : Out(stream of ISSUED).array(number of engines)
        To the queues; a full queue holds up everything behind it.
    semaphores : Out(SemaphorePort()), give : Out(32)
        Ports of `Semaphores`.
    units_idle : In(1)
        All queues are empty and all other units idle.
    finished : Out(1)
        END is done (one cycle), a cycle after it has given its semaphores.
    index : Out(32)
        Number of the instruction that FETCH is at.
    damaged : Out(1), with `integrity` only
        The bytes of that instruction do not add up. FETCH stops as after an error.
    error : Out(ERROR)
        MEMORY_ADDRESS (the program is not inside the memory, or not at a multiple of 64), TRUNCATED (no END within
        `program_bytes` and the program's own count; the index is that of the missing instruction), BAD_MAGIC,
        WRONG_HASH, ILLEGAL_OPCODE (PROGRAM anywhere but first is one, too), READ_SLVERR, READ_DECERR (only for
        instructions that are reached). FETCH stops after an error, until it is reset: no further burst and no further
        instruction.

    Latency: `latency = 3` cycles from `start` to `ar`, `beat_latency = 3` from an instruction's last beat to the offer
    to its queue: an instruction is decoded into registers before anything is done about it. Initiation interval: an
    instruction every 1 + max(1, 64 / data_bytes) cycles. A reset is safe at any time: see `ReadMaster`.

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
    error: data.View
    damaged: Signal

    latency = Prefetcher.latency
    beat_latency = Prefetcher.beat_latency + 1

    def __init__(self, config: AcceleratorConfig, engines: Sequence[Engine] | None = None):
        self.config = config.validate()
        self.engines = engines_of(config) if engines is None else engines
        super().__init__(
            {
                "start": In(1),
                "program_offset": In(32),
                "program_bytes": In(32),
                "memory": In(MemoryWindow()),
                "ar": Out(stream.Signature(BURST)),
                "r": In(stream.Signature(read_beat(config.data_bytes))),
                "o": Out(stream.Signature(ISSUED)).array(len(self.engines)),
                "semaphores": Out(SemaphorePort()),
                "give": Out(SEMAPHORES),
                "units_idle": In(1),
                "finished": Out(1),
                "index": Out(INDEX_BITS),
                "error": Out(ERROR),
                **({"damaged": Out(1)} if config.integrity else {}),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.prefetcher = prefetcher = Prefetcher(self.config)
        connect(m, prefetcher.ar, flipped(self.ar))
        connect(m, flipped(self.r), prefetcher.r)
        running = Signal()
        failed = Signal()
        inside = Signal()
        begin = Signal()
        m.d.comb += [
            inside.eq((self.program_offset[:6] == 0) & (self.program_offset + self.program_bytes <= self.memory.size)),
            begin.eq(self.start & inside & ~failed),
            prefetcher.start.eq(begin),
            prefetcher.offset.eq(self.program_offset),
            prefetcher.size.eq(self.program_bytes),
            prefetcher.memory_base.eq(self.memory.base[0]),
        ]
        code = Signal(ERROR_CODE_BITS)
        m.d.comb += [
            self.error.code.eq(code),
            self.error.index.eq(self.index),
            self.error.valid.eq((code != ErrorCode.NONE) & ~failed),
        ]
        with m.If(self.error.valid | self.damaged if self.config.integrity else self.error.valid):
            m.d.sync += failed.eq(1)
        outside = Signal()
        m.d.sync += outside.eq(self.start & ~inside)
        with m.If(outside):
            m.d.comb += code.eq(ErrorCode.MEMORY_ADDRESS)

        program = data.View(LAYOUT_OF[Opcode.PROGRAM], prefetcher.o.payload.word)
        limit = Signal(INDEX_BITS)
        decoded, first, own, units, fault, broken, fewer, missing = self._decode(m, prefetcher.o, program, limit)
        taken = Signal()  # the semaphores of an own instruction
        ending = Signal()
        ended = Signal()
        accepted = Signal()
        m.d.comb += prefetcher.stop.eq(failed | ending)
        with m.If(ended):
            m.d.comb += self.finished.eq(1)
            m.d.sync += [running.eq(0), ending.eq(0), ended.eq(0)]
        with m.Elif(ending):
            with m.If(self.units_idle & prefetcher.idle):
                m.d.comb += self.give.eq(program.signal)
                m.d.sync += ended.eq(1)
        with m.Elif(running & missing):
            m.d.comb += code.eq(ErrorCode.TRUNCATED)
        with m.Elif(running & decoded & ~failed):
            if self.config.integrity:
                m.d.comb += self.damaged.eq(broken)
            m.d.comb += [code.eq(fault), self.semaphores.take.eq(own & ~taken & self.semaphores.available)]
            for number, queue in enumerate(self.o):
                m.d.comb += queue.valid.eq(units[number])
                with m.If(units[number] & queue.ready):
                    m.d.comb += accepted.eq(1)
            with m.If(taken & first):
                m.d.comb += [self.give.eq(program.signal), accepted.eq(1)]
                with m.If(fewer):
                    m.d.sync += limit.eq(program.instructions)
            with m.Elif(taken):
                m.d.sync += ending.eq(1)  # END stays in hand until it is done
        for queue in self.o:
            m.d.comb += [queue.payload.word.eq(prefetcher.o.payload.word), queue.payload.index.eq(self.index)]
        m.d.comb += [self.semaphores.wait.eq(program.wait), prefetcher.o.ready.eq(accepted)]
        m.d.sync += taken.eq(self.semaphores.take)
        with m.If(accepted):
            m.d.sync += [self.index.eq(self.index + 1), decoded.eq(0)]
        with m.If(begin):
            m.d.sync += [
                running.eq(1),
                decoded.eq(0),
                missing.eq(0),
                limit.eq(self.program_bytes // INSTRUCTION_BYTES),
            ]
        with m.If(self.start):
            m.d.sync += self.index.eq(0)
        return m

    def _decode(self, m, source, program, limit):
        """What the instruction in hand is, in registers, a cycle after it has come."""
        opcode, response = program.opcode, source.payload.response
        decoded = Signal()
        first = Signal()
        own = Signal()  # PROGRAM or END
        units = Signal(len(self.engines))
        fault = Signal(ERROR_CODE_BITS)
        broken = Signal()
        fewer = Signal()  # the program says that it is shorter than its size
        missing = Signal()  # there must have been END before
        m.d.sync += [
            decoded.eq(source.valid),
            first.eq(self.index == 0),
            own.eq(0),
            units.eq(0),
            fault.eq(ErrorCode.NONE),
            fewer.eq(program.instructions < limit),
            missing.eq(self.index >= limit),
        ]
        is_first = self.index == 0
        if self.config.integrity:
            m.d.sync += broken.eq(0)
        with m.If(response[1]):
            m.d.sync += fault.eq(Mux(response == Response.DECERR, ErrorCode.READ_DECERR, ErrorCode.READ_SLVERR))
        with m.Elif(is_first & ((opcode != Opcode.PROGRAM) | (program.magic != PROGRAM_MAGIC))):
            m.d.sync += fault.eq(ErrorCode.BAD_MAGIC)
        if self.config.integrity:
            with m.Elif(damaged(source.payload.word)):
                m.d.sync += broken.eq(1)
        with m.Elif(is_first & (program.hash != self.config.hash)):
            m.d.sync += fault.eq(ErrorCode.WRONG_HASH)
        with m.Elif(is_first | (opcode == Opcode.END)):
            m.d.sync += own.eq(1)
        with m.Elif(~opcode.matches(*(known for engine in self.engines for known in engine.opcodes))):
            m.d.sync += fault.eq(ErrorCode.ILLEGAL_OPCODE)
        with m.Else():
            m.d.sync += [units[number].eq(opcode[4:] == engine.unit) for number, engine in enumerate(self.engines)]
        return decoded, first, own, units, fault, broken, fewer, missing
