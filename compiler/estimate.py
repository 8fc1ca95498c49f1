"""Estimate of a program's cycles: units, queues, semaphores and a shared memory bus, an instruction at a time.

Not the cycle simulator: a computation takes its steps plus a constant, a transfer its beats plus a latency. It is
exact where it counts (steps, beats, order) and good to a few per cent in total, which is what tuning needs.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass, field

from triovit.compiler.memory.program import CompiledProgram
from triovit.hdl.isa.instructions import INSTRUCTION_BYTES, SEMAPHORES
from triovit.hdl.isa.names import QUEUED_UNITS, Opcode, Unit
from triovit.machine.cycles import DRAIN, READ_LATENCY, START, WRITE_LATENCY, compute_steps, transfer_beats


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


def estimate(program: CompiledProgram) -> Estimate:
    """Estimated cycles of a compiled program, a layer at a time."""
    config = program.config
    run = _Run(program)
    run.execute()
    result = Estimate([LayerEstimate(name) for name in program.layers])
    macs = program.metadata.get("macs", {})
    for index, i in enumerate(program.instructions):
        entry = result.layers[i.tag]
        entry.instructions += 1
        entry.bytes += run.beats[index] * config.data_bytes
    engine: dict[tuple[int, Unit], int] = {}
    for index, i in enumerate(program.instructions):
        if i.unit in (Unit.RMAC, Unit.MAT):
            engine[i.tag, i.unit] = engine.get((i.tag, i.unit), 0) + run.steps[index]
    for tag, entry in enumerate(result.layers):
        entry.macs = macs.get(entry.name, 0) * config.cores
        entry.compute = max(engine.get((tag, Unit.RMAC), 0), engine.get((tag, Unit.MAT), 0))
    # A finished computation gets the cycles since the one before it, so that layers whose steps alternate share the
    # time.
    computed = sorted(
        (run.end[index], i.tag) for index, i in enumerate(program.instructions) if i.unit in (Unit.RMAC, Unit.MAT)
    )
    previous = 0
    for end, tag in computed:
        result.layers[tag].cycles += end - previous
        previous = end
    result.layers[computed[-1][1]].cycles += run.now - previous
    result.cycles = run.now
    result.utilization = sum(e.macs for e in result.layers) / (config.multipliers * max(run.now, 1))
    return result


@dataclass
class Moving:
    """A transfer under way: number of the instruction, beats that are left."""

    index: int
    beats: float


class _Run:
    """Event-driven execution. LOAD and STORE share one beat a cycle of memory evenly while both want it."""

    def __init__(self, program: CompiledProgram):
        self.config, self.program = program.config, program.instructions
        n = len(self.program)
        self.steps = [compute_steps(self.config, i) if i.unit in (Unit.RMAC, Unit.MAT) else 0 for i in self.program]
        self.beats = [transfer_beats(self.config, i) if i.unit in (Unit.LOAD, Unit.STORE) else 0 for i in self.program]
        # The program itself comes over the same bus; its traffic is spread evenly over the transfers.
        transfers = sum(beats > 0 for beats in self.beats)
        self.fetch_beats = n * -(-INSTRUCTION_BYTES // self.config.data_bytes) / max(transfers, 1)
        self.start, self.end = [0] * n, [0] * n
        self.now = 0
        self.tokens = [0] * SEMAPHORES
        self.queues = {unit: deque() for unit in QUEUED_UNITS}
        self.free = dict.fromkeys(self.queues, 0)
        self.events: list[tuple[int, int, int]] = []  # (time, order, instruction): its signals are given
        self.transfers: dict[Unit, Moving] = {}
        self.fetching = {Unit.RMAC: 0, Unit.MAT: 0}  # until when a unit reads features from O

    def execute(self) -> None:
        fetched, fetch_time = 1, 0
        fetch_cycles = -(-INSTRUCTION_BYTES // self.config.data_bytes)
        last = len(self.program) - 1
        while True:
            progress = True
            while progress:
                progress = False
                if fetched < last and fetch_time <= self.now:
                    queue = self.queues[self.program[fetched].unit]
                    if len(queue) < self.config.queue_depth:
                        queue.append(fetched)
                        fetched += 1
                        fetch_time = self.now + fetch_cycles
                        progress = True
                for unit in self.queues:
                    progress |= self._try_start(unit)
            times = [t for t in (*self.free.values(), *self.fetching.values()) if t > self.now]
            times += [event[0] for event in self.events[:1]]
            if fetched < last and fetch_time > self.now:
                times.append(fetch_time)
            moving = self._moving()
            times += [self.now + max(1, round(self.transfers[unit].beats * len(moving))) for unit in moving]
            if not times:
                assert fetched >= last and not any(self.queues.values()), "the program does not end"
                return
            self._advance(min(times))

    def _advance(self, time: int) -> None:
        elapsed, moving = time - self.now, self._moving()
        self.now = time
        for unit in moving:
            entry = self.transfers[unit]
            entry.beats -= elapsed / len(moving)
            if entry.beats <= 0.25:
                del self.transfers[unit]
                self.free[unit] = time
                self._finish(entry.index, time + (READ_LATENCY if unit == Unit.LOAD else WRITE_LATENCY))
        while self.events and self.events[0][0] <= time:
            _, _, index = heapq.heappop(self.events)
            for number in range(SEMAPHORES):
                self.tokens[number] += self.program[index].signal >> number & 1

    def _moving(self) -> list[Unit]:
        """Transfers that make progress. An engine that fetches from O leaves STORE no read of it."""
        blocked = any(busy > self.now for busy in self.fetching.values())
        return [unit for unit in self.transfers if unit != Unit.STORE or not blocked]

    def _finish(self, index: int, time: int) -> None:
        self.end[index] = time
        heapq.heappush(self.events, (time, index, index))

    def _ready(self, unit: Unit) -> bool:
        queue = self.queues[unit]
        if not queue or self.free[unit] > self.now or unit in self.transfers:
            return False
        wait = self.program[queue[0]].wait
        return all(self.tokens[n] for n in range(SEMAPHORES) if wait >> n & 1)

    def _take(self, unit: Unit) -> int:
        index = self.queues[unit].popleft()
        for number in range(SEMAPHORES):
            self.tokens[number] -= self.program[index].wait >> number & 1
        self.start[index] = self.now
        return index

    def _try_start(self, unit: Unit) -> bool:
        if not self._ready(unit):
            return False
        head = self.program[self.queues[unit][0]]
        if unit in (Unit.LOAD, Unit.STORE):
            index = self._take(unit)
            self.transfers[unit] = Moving(index, self.beats[index] + self.fetch_beats)
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
            self.free[member] = self.now + steps + START
            if head.opcode in (Opcode.RMAC_CONV, Opcode.MAT_CONV) and head.source:
                self.fetching[member] = self.now + steps
            self._finish(index, self.now + steps + DRAIN)
        return True
