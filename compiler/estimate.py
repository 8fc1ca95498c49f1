"""Estimate of a program's cycles: units, queues, semaphores and a shared memory, an instruction at a time.

Not the cycle simulator: a computation takes its steps plus a constant, a transfer what its beats and bursts take of the
memory (`compiler.memory.streams`). Steps, beats, bursts and order are exact; docs/compiler.md has the error against
the RTL, which is a few per cent.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field

from triovit.compiler.memory.program import CompiledProgram
from triovit.compiler.memory.streams import Stream, Streams
from triovit.hdl.isa.instructions import INSTRUCTION_BYTES, SEMAPHORES
from triovit.hdl.isa.names import QUEUED_UNITS, Opcode, Unit
from triovit.machine.cycles import Traffic, compute_steps, drain, transfer_traffic
from triovit.machine.memory_timing import MemoryTiming

TRANSFERS, COMPUTERS = (Unit.LOAD, Unit.STORE), (Unit.RMAC, Unit.MAT)
FETCHED_AHEAD = 16  # instructions that FETCH asks for ahead of the queues


@dataclass
class LayerEstimate:
    """One layer: multiply-accumulates, steps of the busiest engine, bytes of memory traffic, share of the cycles."""

    name: str
    macs: int = 0
    compute: int = 0
    bytes: int = 0
    instructions: int = 0
    cycles: int = 0


@dataclass
class Estimate:
    """Layers in execution order and the sum. utilization: MACs of all cores over multipliers times cycles."""

    layers: list[LayerEstimate] = field(default_factory=list)
    cycles: int = 0
    utilization: float = 0.0

    def table(self) -> str:
        """The table as text."""
        lines = [f"{'layer':32}{'MACs':>14}{'compute':>11}{'bytes':>12}{'instr.':>8}{'cycles':>11}"]
        lines += [
            f"{e.name[:31]:32}{e.macs:14,}{e.compute:11,}{e.bytes:12,}{e.instructions:8,}{e.cycles:11,}"
            for e in self.layers
        ]
        macs, compute, traffic, count = (
            sum(getattr(e, n) for e in self.layers) for n in ("macs", "compute", "bytes", "instructions")
        )
        lines.append(f"{'total':32}{macs:14,}{compute:11,}{traffic:12,}{count:8,}{self.cycles:11,}")
        lines.append(f"utilization {100 * self.utilization:.1f} % of the multipliers")
        return "\n".join(lines)


def estimate(program: CompiledProgram, memory: MemoryTiming | None = None) -> Estimate:
    """Estimated cycles of a compiled program, a layer at a time; memory: by default one beat of each port
    per cycle."""
    config = program.config
    run = _Run(program, memory or MemoryTiming(bytes_per_cycle=config.bus_bytes))
    run.execute()
    result = Estimate([LayerEstimate(name) for name in program.layers])
    macs = program.metadata.get("macs", {})
    for index, i in enumerate(program.instructions):
        entry = result.layers[i.tag]
        entry.instructions += 1
        entry.bytes += run.traffic[index].beats * config.bus_bytes
    engine: dict[tuple[int, Unit], int] = {}
    for index, i in enumerate(program.instructions):
        if i.unit in COMPUTERS:
            engine[i.tag, i.unit] = engine.get((i.tag, i.unit), 0) + run.steps[index]
    for tag, entry in enumerate(result.layers):
        entry.macs = macs.get(entry.name, 0) * config.cores
        entry.compute = max(engine.get((tag, Unit.RMAC), 0), engine.get((tag, Unit.MAT), 0))
    # A finished computation gets the cycles since the one before it, so that layers whose steps alternate share the
    # time.
    computed = sorted((run.end[index], i.tag) for index, i in enumerate(program.instructions) if i.unit in COMPUTERS)
    previous = 0
    for end, tag in computed:
        result.layers[tag].cycles += round(end) - previous
        previous = round(end)
    result.layers[computed[-1][1]].cycles += round(run.now) - previous
    result.cycles = round(run.now)
    result.utilization = sum(e.macs for e in result.layers) / (config.multipliers * max(run.now, 1))
    return result


class _Run:
    """Event-driven execution. FETCH, LOAD and STORE are streams of the memory, see `Streams`."""

    def __init__(self, program: CompiledProgram, memory: MemoryTiming):
        self.config, self.program = program.config, program.instructions
        n = len(self.program)
        self.steps = [compute_steps(self.config, i) if i.unit in COMPUTERS else 0 for i in self.program]
        nothing = Traffic(0, 0)
        self.traffic = [transfer_traffic(self.config, i) if i.unit in TRANSFERS else nothing for i in self.program]
        self.streams = Streams(self.config, memory)
        self.start, self.end = [0.0] * n, [0.0] * n
        self.now = 0.0
        self.tokens = [0] * SEMAPHORES
        self.queues = {unit: deque() for unit in QUEUED_UNITS}
        self.free: dict[Unit, float] = dict.fromkeys(self.queues, 0.0)
        self.events: list[tuple[float, int]] = []  # (time, instruction): its signals are given
        self.moving: dict[Unit, Stream] = {}  # what each unit that moves data moves
        self.fetching = {Unit.RMAC: 0.0, Unit.MAT: 0.0}  # until when a unit reads features from O
        # Instructions that have been read, that are in a queue, and when each that is read can go there.
        self.read = self.queued = 0
        self.here: deque[float] = deque()

    def execute(self) -> None:
        last = len(self.program) - 1  # END goes to no queue
        interval = max(1, INSTRUCTION_BYTES // self.config.data_bytes)
        issue = 0.0
        while True:
            progress = True
            while progress:
                progress = self._read_ahead(last)
                if self.here and max(self.here[0], issue) <= self.now:
                    # PROGRAM stays with FETCH.
                    queue = self.queues[self.program[self.queued].unit] if self.queued else None
                    if queue is None or len(queue) < self.config.queue_depth:
                        if queue is not None:
                            queue.append(self.queued)
                        self.queued += 1
                        self.here.popleft()
                        issue, progress = self.now + interval, True
                for unit in self.queues:
                    progress |= self._try_start(unit)
            times = [t for t in (*self.free.values(), *self.fetching.values(), issue) if t > self.now]
            times += [event[0] for event in self.events[:1]]
            times += [t for t in list(self.here)[:1] if t > self.now]
            speeds = self._speeds()
            times += [self.now + stream.left / speeds[unit] for unit, stream in self.moving.items() if speeds[unit]]
            if not times:
                assert self.queued >= last and not any(self.queues.values()), "the program does not end"
                return
            self._advance(min(times), speeds)

    def _read_ahead(self, last: int) -> bool:
        """FETCH asks for the next instruction, if there is room for it."""
        if Unit.FETCH in self.moving or self.read >= last or self.read - self.queued >= FETCHED_AHEAD:
            return False
        self.moving[Unit.FETCH] = self.streams.instruction(self.read)
        self.read += 1
        return True

    def _speeds(self) -> dict[Unit, float]:
        """Of each stream. An engine that fetches from O leaves STORE no read of it."""
        blocked = any(busy > self.now for busy in self.fetching.values())
        return self.streams.speeds({u: s for u, s in self.moving.items() if u != Unit.STORE or not blocked})

    def _advance(self, time: float, speeds: dict[Unit, float]) -> None:
        elapsed = time - self.now
        self.now = time
        for unit, stream in list(self.moving.items()):
            stream.left -= elapsed * speeds[unit]
            if stream.left <= 1e-6:
                del self.moving[unit]
                if unit == Unit.FETCH:
                    self.here.append(time + stream.tail)
                else:
                    self.free[unit] = time
                    self._finish(stream.index, time + stream.tail)
        while self.events and self.events[0][0] <= time:
            _, index = heapq.heappop(self.events)
            self._count(self.program[index].signal, 1)

    def _count(self, mask: int, change: int) -> None:
        """Change the tokens of a mask's semaphores."""
        while mask:
            number = mask.bit_length() - 1
            self.tokens[number] += change
            mask ^= 1 << number

    def _finish(self, index: int, time: float) -> None:
        self.end[index] = time
        heapq.heappush(self.events, (time, index))

    def _ready(self, unit: Unit) -> bool:
        queue = self.queues[unit]
        if not queue or self.free[unit] > self.now or unit in self.moving:
            return False
        wait = self.program[queue[0]].wait
        return not wait or all(self.tokens[n] for n in range(SEMAPHORES) if wait >> n & 1)

    def _take(self, unit: Unit) -> int:
        index = self.queues[unit].popleft()
        self._count(self.program[index].wait, -1)
        self.start[index] = self.now
        return index

    def _try_start(self, unit: Unit) -> bool:
        if not self._ready(unit):
            return False
        head = self.program[self.queues[unit][0]]
        if unit in TRANSFERS:
            index = self._take(unit)
            self.moving[unit] = self.streams.transfer(unit, index, self.traffic[index])
            return True
        if head.opcode == Opcode.MAT_JOIN:
            return False  # taken together with its convolution
        together = [unit]
        if head.opcode == Opcode.RMAC_CONV and head.joint:
            partner = self.queues[Unit.MAT]
            if not (self._ready(Unit.MAT) and self.program[partner[0]].opcode == Opcode.MAT_JOIN):
                return False
            together.append(Unit.MAT)
        steps = self.steps[self.queues[unit][0]]
        for member in together:
            index = self._take(member)
            self.free[member] = self.now + steps
            if head.opcode in (Opcode.RMAC_CONV, Opcode.MAT_CONV) and head.source:
                self.fetching[member] = self.now + steps
            self._finish(index, self.now + steps + drain(self.config, head.opcode))
        return True
