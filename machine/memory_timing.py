"""Timing of the memory behind the AXI ports, for whoever estimates or simulates a run."""

from __future__ import annotations

from dataclasses import dataclass

from triovit.golden.validation import Rule, at_least, faults

FINEST = 1024
"""Parts of a byte per cycle that the simulated memory counts in."""


@dataclass(frozen=True, kw_only=True)
class MemoryTiming:
    """What a memory costs in cycles.

    read_latency: cycles from a read address' transfer to its first data on offer, >= 1. write_latency: from the last
    write data's transfer to the response on offer, >= 1. bytes_per_cycle: bandwidth shared by reads and writes, a beat
    costing its full width, >= 1 / FINEST, of all ports together, of which each has an equal part; None for one beat of
    each in every cycle, on every port. stall_probability: of each AXI
    channel in each cycle, 0 to < 1. outstanding: bursts accepted at a time in each direction, >= 1. Raises ValueError
    naming parameter, rule and value.
    """

    read_latency: int = 32
    write_latency: int = 8
    bytes_per_cycle: float | None = None
    stall_probability: float = 0.0
    outstanding: int = 32

    def rules(self) -> dict[str, Rule]:
        """Of each parameter that has one beside its type."""
        slowest = 1 / FINEST
        return {
            "read_latency": at_least(1),
            "write_latency": at_least(1),
            "bytes_per_cycle": (f"at least {slowest}", lambda bytes_: bytes_ is None or bytes_ >= slowest),
            "stall_probability": ("at least 0 and below 1", lambda share: 0 <= share < 1),
            "outstanding": at_least(1),
        }

    def __post_init__(self):
        if found := faults(self, self.rules()):
            raise ValueError("; ".join(found))

    @property
    def bandwidth(self) -> int | None:
        """Bytes a cycle in parts of 1 / FINEST, rounded; None for no limit."""
        return None if self.bytes_per_cycle is None else round(self.bytes_per_cycle * FINEST)

    @property
    def stalls(self) -> float:
        """Cycles until a channel that stalls moves, on average; 1 without stalls."""
        return 1 / (1 - self.stall_probability)

    def bus_cycles(self, data_bytes: int) -> float:
        """Cycles of the bandwidth that a beat of `data_bytes` bytes takes; 0 without a limit."""
        return 0.0 if self.bandwidth is None else data_bytes * FINEST / self.bandwidth

    def beat_cycles(self, data_bytes: int) -> float:
        """Cycles that a beat of `data_bytes` bytes takes, on average, while nothing else moves."""
        return max(self.stalls, self.bus_cycles(data_bytes))

    def __str__(self) -> str:
        """The settings in words."""
        bandwidth = (
            "a beat each way per cycle" if self.bytes_per_cycle is None else f"{self.bytes_per_cycle:g} bytes per cycle"
        )
        stalls = f", {100 * self.stall_probability:g} % stalls" if self.stall_probability else ""
        return f"{bandwidth}, read latency {self.read_latency}, write latency {self.write_latency}{stalls}"
