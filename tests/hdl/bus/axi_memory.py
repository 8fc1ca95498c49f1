"""A memory behind an AXI4 slave port for cocotb, with random stalls and latency on every channel and rule checks."""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

OKAY, SLVERR, DECERR = 0, 2, 3
ADDRESS = ("addr", "len", "size", "burst", "cache", "prot", "id")  # of AR and AW: all that stays while it waits


@dataclass
class Timing:
    """Share of cycles in which a channel stalls, and cycles from an address (or last data) to the answer."""

    stall: float = 0.0
    latency: tuple[int, int] = (1, 1)
    data_before_address: bool = False  # AWREADY waits for the burst's first data beat
    seed: int = 0


@dataclass
class _Burst:
    address: int
    beats: int
    due: int
    done: int = 0
    response: int = OKAY
    data: list = field(default_factory=list)


class AxiMemory:
    """Memory at `base` with `size` bytes behind `<prefix>_ar*`, `_r*`, `_aw*`, `_w*`, `_b*`.

    read_errors, write_errors: byte offset of a beat (or burst) -> response. Raises AssertionError in `check` for a
    burst that breaks the rules: crosses 4 KB, is not INCR of whole aligned beats with ID 0, is longer than allowed,
    changes in anything while it waits, or touches bytes outside the memory with strobes on. Logs cycles of all
    transfers in `log[channel]`.
    """

    def __init__(self, dut, prefix, clock, *, data_bytes, size, base=0, longest=256, timing=None):
        self.dut, self.prefix, self.clock = dut, prefix, clock
        self.data_bytes, self.base, self.longest = data_bytes, base, longest
        self.bytes = bytearray(size)
        self.written: set[int] = set()
        self.read_errors: dict[int, int] = {}
        self.write_errors: dict[int, int] = {}
        self.timing = timing or Timing()
        self.errors: list[str] = []
        self.log = {channel: [] for channel in ("ar", "r", "aw", "w", "b")}
        self.read_bursts: list[tuple[int, int]] = []
        self.write_bursts: list[tuple[int, int]] = []
        self.strobes: list[int] = []
        self.most_reads = self.most_writes = 0
        self._random = random.Random(self.timing.seed)
        self._reads: deque[_Burst] = deque()
        self._writes: deque[_Burst] = deque()  # addresses whose data is not complete
        self._answers: deque[_Burst] = deque()
        self._data: deque[tuple[int, int, int]] = deque()  # beats without an address
        self._last_seen: dict = {}
        self._task = cocotb.start_soon(self._run())

    def stop(self):
        """End the model."""
        self._task.cancel()

    @property
    def quiet(self) -> bool:
        """No burst is under way."""
        return not (self._reads or self._writes or self._answers or self._data)

    def check(self):
        """Raise AssertionError if a rule was broken so far."""
        assert not self.errors, self.errors[0]

    def _port(self, name):
        return getattr(self.dut, f"{self.prefix}_{name}")

    def _coin(self) -> bool:
        return self._random.random() < self.timing.stall

    def _due(self, cycle: int) -> int:
        return cycle + self._random.randint(*self.timing.latency)

    def _address(self, channel: str, cycle: int) -> _Burst:
        address, beats = int(self._port(f"{channel}addr").value), int(self._port(f"{channel}len").value) + 1
        nbytes = beats * self.data_bytes
        if address % self.data_bytes:
            self.errors.append(f"{channel} address {address:#x} is not aligned")
        if address // 4096 != (address + nbytes - 1) // 4096:
            self.errors.append(f"{channel} burst at {address:#x} of {nbytes} bytes crosses 4 KB")
        if beats > self.longest:
            self.errors.append(f"{channel} burst of {beats} beats")
        size, burst = int(self._port(f"{channel}size").value), int(self._port(f"{channel}burst").value)
        if (1 << size, burst) != (self.data_bytes, 1):
            self.errors.append(f"{channel} size {size} burst {burst}")
        identifier = int(self._port(f"{channel}id").value)
        if identifier:
            self.errors.append(f"{channel} ID {identifier}")
        offset = address - self.base
        if not 0 <= offset < len(self.bytes):
            self.errors.append(f"{channel} address {address:#x} is outside the memory")
        return _Burst(offset, beats, self._due(cycle))

    def _stable(self, channel: str, names):
        """Valid stays, with its payload, until ready."""
        valid, ready = int(self._port(f"{channel}valid").value), int(self._port(f"{channel}ready").value)
        payload = tuple(int(self._port(name).value) for name in names) if valid else None
        before = self._last_seen.get(channel)
        if before is not None and before != payload:
            self.errors.append(f"{channel} changed from {before} to {payload} while it waited")
        self._last_seen[channel] = payload if valid and not ready else None
        return valid and ready

    def _word(self, offset: int) -> int:
        return int.from_bytes(self.bytes[offset : offset + self.data_bytes], "little")

    def _store(self, burst: _Burst, data: int, strobes: int):
        offset = burst.address + burst.done * self.data_bytes
        self.strobes.append(strobes)
        for lane in range(self.data_bytes):
            if strobes >> lane & 1:
                if not 0 <= offset + lane < len(self.bytes):
                    self.errors.append(f"write at offset {offset + lane:#x} is outside the memory")
                    return
                self.bytes[offset + lane] = data >> (8 * lane) & 0xFF
                self.written.add(offset + lane)

    def _match(self, cycle: int):
        while self._writes and self._data:
            burst = self._writes[0]
            data, strobes, last = self._data.popleft()
            self._store(burst, data, strobes)
            burst.done += 1
            if last != (burst.done == burst.beats):
                self.errors.append(f"WLAST is {last} on beat {burst.done} of {burst.beats}")
            if burst.done == burst.beats:
                burst.response, burst.due = self.write_errors.get(burst.address, OKAY), self._due(cycle)
                self._answers.append(self._writes.popleft())

    async def _run(self):
        cycle, reading, answering = 0, False, False
        reads = hasattr(self.dut, f"{self.prefix}_araddr")
        writes = hasattr(self.dut, f"{self.prefix}_awaddr")
        while True:
            if reads:
                self._port("arready").value = int(not self._coin())
                if not reading and self._reads and self._reads[0].due <= cycle and not self._coin():
                    burst = self._reads[0]
                    offset = burst.address + burst.done * self.data_bytes
                    self._port("rdata").value = self._word(offset)
                    self._port("rresp").value = self.read_errors.get(offset, OKAY)
                    self._port("rlast").value = int(burst.done + 1 == burst.beats)
                    reading = True
                self._port("rvalid").value = int(reading)
                self._port("rid").value = 0
            if writes:
                blocked = self.timing.data_before_address and not self._data
                self._port("awready").value = int(not blocked and not self._coin())
                self._port("wready").value = int(not self._coin())
                if not answering and self._answers and self._answers[0].due <= cycle and not self._coin():
                    self._port("bresp").value = self._answers[0].response
                    answering = True
                self._port("bvalid").value = int(answering)
                self._port("bid").value = 0
            await ReadOnly()
            if self.dut.rst.value == 0:
                if reads:
                    if self._stable("ar", [f"ar{name}" for name in ADDRESS]):
                        burst = self._address("ar", cycle)
                        self._reads.append(burst)
                        self.read_bursts.append((burst.address, burst.beats))
                        self.log["ar"].append(cycle)
                        self.most_reads = max(self.most_reads, len(self._reads))
                    if reading and self._port("rready").value == 1:
                        self.log["r"].append(cycle)
                        burst, reading = self._reads[0], False
                        burst.done += 1
                        if burst.done == burst.beats:
                            self._reads.popleft()
                if writes:
                    if self._stable("aw", [f"aw{name}" for name in ADDRESS]):
                        burst = self._address("aw", cycle)
                        self._writes.append(burst)
                        self.write_bursts.append((burst.address, burst.beats))
                        self.log["aw"].append(cycle)
                    if self._stable("w", ("wdata", "wstrb", "wlast")):
                        beat = (int(self._port(name).value) for name in ("wdata", "wstrb", "wlast"))
                        self._data.append(tuple(beat))
                        self.log["w"].append(cycle)
                    self._match(cycle)
                    self.most_writes = max(self.most_writes, len(self._writes) + len(self._answers))
                    if answering and self._port("bready").value == 1:
                        self.log["b"].append(cycle)
                        self._answers.popleft()
                        answering = False
            await RisingEdge(self.clock)
            cycle += 1
