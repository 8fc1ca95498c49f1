"""What instruction fetch, LOAD and STORE take of the memory: how long a transfer is alone, how fast side by side.

A stream is limited by its channel (a beat per cycle, an address a cycle), by the memory's bandwidth, which reads and
writes share, and by its window: bursts that may be under way at a time, each for the latency and its own beats.
"""

from __future__ import annotations

from dataclasses import dataclass

from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.isa.instructions import INSTRUCTION_BYTES
from triovit.hdl.isa.names import Unit
from triovit.machine.cycles import BURST_OVERHEAD, READ_OVERHEAD, WRITE_OVERHEAD, Traffic
from triovit.machine.memory_timing import MemoryTiming

FETCH_BURST = 4  # instructions of FETCH's longest burst
BUCKET = 2  # beats that a memory of limited bandwidth can save up


@dataclass(eq=False)
class Stream:
    """A transfer under way.

    index: its instruction. left: cycles that it still takes when it is alone. tail: cycles from there to its end being
    seen. share: of the memory's bandwidth while it is alone.
    """

    index: int
    left: float
    tail: float
    share: float


class Streams:
    """Streams of one machine and one memory."""

    def __init__(self, config: AcceleratorConfig, memory: MemoryTiming):
        self.config, self.memory = config, memory
        # A port has its part of the bandwidth, and all ports move the same.
        self.beat, self.bus = memory.beat_cycles(config.bus_bytes), memory.bus_cycles(config.bus_bytes)
        # FETCH asks for some instructions at a time, as many as a burst holds; a long one takes several bursts.
        beats = INSTRUCTION_BYTES / config.data_bytes
        longest = min(config.burst_beats, max(1, FETCH_BURST * beats))
        self.fetch = self._make(Unit.FETCH, 0, beats, beats / longest)

    def _make(self, unit: Unit, index: int, beats: float, bursts: float) -> Stream:
        reads = unit != Unit.STORE
        latency = (self.memory.read_latency if reads else self.memory.write_latency) + 2 * (self.memory.stalls - 1)
        each = beats / bursts
        burst = each * self.beat
        # Alone the memory saves up bandwidth for BUCKET beats while a burst waits for its latency.
        saved = min(each, BUCKET, latency / self.bus) if self.bus else each
        held = latency + max(each * self.memory.stalls, (each - saved) * self.bus)
        # From burst to burst. A place with the memory is free at once, one on the machine's own list a little later.
        own = (held + BURST_OVERHEAD) / (self.config.read_bursts if reads else self.config.write_bursts)
        turn = max(burst, self.memory.stalls, own, held / self.memory.outstanding)
        left = bursts * turn
        tail = max(0.0, latency + (READ_OVERHEAD if reads else WRITE_OVERHEAD) + burst - turn)
        return Stream(index, left, tail, beats * self.bus / left)

    def instruction(self, index: int) -> Stream:
        """FETCH's next instruction."""
        return Stream(index, self.fetch.left, self.fetch.tail, self.fetch.share)

    def transfer(self, unit: Unit, index: int, traffic: Traffic) -> Stream:
        """A LOAD or STORE."""
        return self._make(unit, index, traffic.beats, traffic.bursts)

    def speeds(self, moving: dict[Unit, Stream]) -> dict[Unit, float]:
        """Of each stream, 1 when nothing hinders it, 0 when it does not move.

        Reads come through one channel and one window, where FETCH goes first. Reads and writes that together want more
        than the memory's bandwidth take turns.
        """
        speeds: dict[Unit, float] = dict.fromkeys((Unit.FETCH, Unit.LOAD, Unit.STORE), 0.0)
        reader = Unit.FETCH if Unit.FETCH in moving else Unit.LOAD
        for unit in (reader, Unit.STORE):
            if unit in moving:
                speeds[unit] = 1.0
        if reader in moving and Unit.STORE in moving:
            read, write = moving[reader].share, moving[Unit.STORE].share
            if read + write > 1:
                speeds[reader] = min(1.0, max(0.5, 1 - write) / read)
                speeds[Unit.STORE] = min(1.0, max(0.5, 1 - read) / write)
        return speeds
