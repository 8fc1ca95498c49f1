"""cocotb drivers of a stream port (payload, valid, ready): a source, a sink, and stall patterns.

Both drive just after the rising edge and look at valid and ready once everything has settled, so what they
log is what the next edge will see. A transfer is logged under the number of the cycle it happens in; numbers
of sources and sinks on one clock agree, and cycle n ends with the clock's n-th rising edge seen.
"""

from __future__ import annotations

import os
import random
from abc import ABC, abstractmethod
from collections import deque

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge

PERIOD_NS = 10
INPUTS = "TRIOVIT_BENCH_INPUTS"  # environment: the top module's input ports, set by `sim.bench.run_bench`


class CycleCounter:
    """Counts the rising edges of a clock during one cocotb test: `value` is the number of the present cycle."""

    _counters: dict = {}

    def __init__(self, clock):
        self.value = 0
        self._task = cocotb.start_soon(self._count(clock))

    async def _count(self, clock):
        while True:
            await RisingEdge(clock)
            self.value += 1

    @classmethod
    def of(cls, clock) -> CycleCounter:
        """The test's one counter of `clock`; started on first use (cocotb ends it with the test)."""
        counter = cls._counters.get(clock._path)
        if counter is None or counter._task.done():
            counter = cls._counters[clock._path] = cls(clock)
        return counter


class Stall:
    """A pattern of stalls: each call says whether the port stalls in this cycle."""

    def __init__(self, pattern):
        self._next = pattern if callable(pattern) else iter(pattern or ()).__next__

    def __call__(self) -> bool:
        try:
            return bool(self._next())
        except StopIteration:  # a finite pattern is followed by no stalls
            return False


def stall_patterns(seed: int) -> dict[str, Stall]:
    """Fresh patterns "none", "random" (half of all cycles) and "long" (runs of 1 to 40 cycles of each kind).

    Give each port patterns of its own seed: the ports of a bench must not stall in step.
    """

    def runs(generator):
        while True:
            for stalled in (True, False):
                yield from [stalled] * generator.randint(1, 40)

    coin = random.Random(f"{seed} random")
    return {
        "none": Stall(None),
        "random": Stall(lambda: coin.random() < 0.5),
        "long": Stall(runs(random.Random(f"{seed} long"))),
    }


class _Port(ABC):
    def __init__(self, dut, prefix, clock, stall):
        self.payload = getattr(dut, f"{prefix}_payload", None)  # a stream of zero-width payloads has no such port
        self.valid = getattr(dut, f"{prefix}_valid")
        self.ready = getattr(dut, f"{prefix}_ready")
        self.clock = clock
        self.stall = stall if isinstance(stall, Stall) else Stall(stall)
        self.cycles: list[int] = []
        self.payloads: list[int] = []
        self._counter = CycleCounter.of(clock)
        self._task = cocotb.start_soon(self._run())

    @abstractmethod
    async def _run(self) -> None:
        """Drives the port, for ever."""

    def _log(self, payload):
        self.cycles.append(self._counter.value)
        self.payloads.append(payload)

    def stop(self):
        """End the driver; the port keeps its last levels."""
        self._task.cancel()


class StreamSource(_Port):
    """Drives `<prefix>_payload` and `<prefix>_valid` with the integers given to `send`.

    stall: iterable or callable of booleans, asked once in every cycle in which no payload is on offer; True keeps
    valid low. Valid, once high, stays until the transfer, with the payload frozen. `cycles[k]` and `payloads[k]`
    log transfer k.
    """

    def __init__(self, dut, prefix, clock, stall=None):
        self._queue: deque[int] = deque()
        super().__init__(dut, prefix, clock, stall)

    def send(self, payloads) -> None:
        """Queue integers (see `pack`)."""
        self._queue.extend(payloads)

    @property
    def idle(self) -> bool:
        """Everything queued has been transferred."""
        return not self._queue

    async def drain(self, timeout: int = 1_000_000) -> None:
        """Wait until everything queued has been transferred; AssertionError after `timeout` cycles."""
        for _ in range(timeout):
            if self.idle:
                return
            await RisingEdge(self.clock)
        raise AssertionError(f"{self.valid._path}: {len(self._queue)} payloads not taken after {timeout} cycles")

    async def _run(self):
        offered = False
        while True:
            if not offered:
                offered = bool(self._queue) and not self.stall()
                if offered and self.payload is not None:
                    self.payload.value = self._queue[0]
                self.valid.value = int(offered)
            await ReadOnly()
            if offered and self.ready.value == 1:
                self._log(self._queue.popleft())
                offered = False
            await RisingEdge(self.clock)


class StreamSink(_Port):
    """Drives `<prefix>_ready` and collects transfers in `payloads` (integers) and `cycles`.

    stall: asked once in every cycle; True keeps ready low. Raises AssertionError when the other side breaks the
    stream rules: valid withdrawn, or the payload changed, before the transfer. Outputs are looked at only when
    `<reset>` (if given) is low.
    """

    def __init__(self, dut, prefix, clock, stall=None, *, reset=None):
        self.reset = reset if reset is not None else getattr(dut, "rst", None)
        self.errors: list[str] = []
        super().__init__(dut, prefix, clock, stall)

    async def collect(self, count: int, timeout: int = 1_000_000) -> list[int]:
        """Wait until `count` payloads have come in since the start; returns all of them.

        Raises AssertionError after `timeout` cycles, or when the stream rules were broken.
        """
        for _ in range(timeout):
            self.check()
            if len(self.payloads) >= count:
                return list(self.payloads)
            await RisingEdge(self.clock)
        raise AssertionError(f"{self.valid._path}: {len(self.payloads)} of {count} payloads after {timeout} cycles")

    def check(self) -> None:
        """Raise AssertionError if the stream rules were broken so far."""
        assert not self.errors, self.errors[0]

    async def _run(self):
        pending = None  # payload on offer and not taken in the last cycle
        while True:
            ready = not self.stall()
            self.ready.value = int(ready)
            await ReadOnly()
            in_reset = self.reset is not None and self.reset.value == 1
            valid = not in_reset and self.valid.value == 1
            payload = int(self.payload.value) if valid and self.payload is not None else 0
            if pending is not None and not in_reset:
                cycle = f"{self.valid._path}: cycle {self._counter.value}"
                if not valid:
                    self.errors.append(f"{cycle}: valid withdrawn before the transfer")
                elif payload != pending:
                    self.errors.append(f"{cycle}: payload changed from {pending:#x} to {payload:#x} while waiting")
            if valid and ready:
                self._log(payload)
            pending = payload if valid and not ready else None
            await RisingEdge(self.clock)


async def start(dut, *, cycles: int = 4) -> None:
    """Start the clock `dut.clk`, set every other input to 0, hold `dut.rst` for `cycles` cycles and release it.

    Returns just after the rising edge that ends the reset. Create sources and sinks afterwards.
    """
    for name in os.environ[INPUTS].split():
        if name not in ("clk", "rst"):
            getattr(dut, name).value = 0
    dut.rst.value = 1
    Clock(dut.clk, PERIOD_NS, unit="ns").start()
    CycleCounter.of(dut.clk)
    for _ in range(cycles):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
