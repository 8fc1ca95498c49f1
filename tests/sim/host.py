"""A host that runs hand-made programs on the verilated accelerator, many in one process, and sees how they end."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.config.engines import engines_of
from triovit.hdl.isa.engines import counters
from triovit.hdl.isa.names import ErrorCode
from triovit.hdl.isa.registers import REGISTERS, field_mask
from triovit.sim.rtl.machine import ACKNOWLEDGE, INTERRUPT_ENABLE, START
from triovit.sim.rtl.simulation import MemoryModel, RtlSimulation, Wait
from triovit.sim.rtl.verilog import verilog_folder

SOFT_RESET = field_mask("CONTROL", "soft_reset")
DONE, FAILED = (field_mask("STATUS", name, "interrupt") for name in ("done", "error"))
BUSY, BURSTS = (field_mask("STATUS", name) for name in ("busy", "bursts"))


@dataclass
class Outcome:
    """How a start of a program ended. memory: all of it, at that time. after_reset: STATUS after a soft reset.
    place: of an error of stored words."""

    wait: Wait
    status: int
    error: ErrorCode
    index: int
    cycles: int
    counters: dict[str, int]
    memory: np.ndarray
    after_reset: int | None = None
    place: int = 0


@dataclass
class _Handles:
    wait: int
    registers: dict[str, int]
    memory: int
    after_reset: int | None = None


@dataclass
class Host:
    """Collects runs in a script; `execute` carries them all out, in order, on one machine."""

    config: AcceleratorConfig
    memory: MemoryModel = field(default_factory=MemoryModel)
    memory_bytes: int = 1 << 16
    folder: Path | None = None  # of other Verilog than the configuration's
    power_up: int | None = None
    upsets: bool = False

    def __post_init__(self):
        self.simulation = RtlSimulation(
            self.folder or verilog_folder(self.config), self.config.data_bytes, self.memory,
            memory_bytes=self.memory_bytes, power_up=self.power_up, upsets=self.upsets,
        )  # fmt: skip
        self.counters = [counter.name for counter in counters(engines_of(self.config))]
        if self.config.integrity:
            self.counters.append("CORRECTED")
        self._runs: list[_Handles] = []

    def write(self, name: str, value: int) -> int:
        return self.simulation.write_register(REGISTERS[name], value)

    def read(self, name: str) -> int:
        return self.simulation.read_register(REGISTERS[name])

    def start(self, memory: np.ndarray, program_bytes: int, core_stride: int = 0, **registers: int) -> None:
        """Put `memory` at offset 0 and start; registers: others than the usual values."""
        self.simulation.load(self.memory.base, memory)
        partition = memory.size // self.config.ports
        usual = {
            "MEMORY_BASE_LO": self.memory.base & 0xFFFFFFFF, "MEMORY_BASE_HI": self.memory.base >> 32,
            "MEMORY_SIZE": partition, "PORT_STRIDE": partition,
            "PROGRAM_OFFSET": 0, "PROGRAM_BYTES": program_bytes, "CORE_STRIDE": core_stride,
            "WATCHDOG": 1 << 20,
        }  # fmt: skip
        for name, value in (usual | registers).items():
            self.write(name, value)
        self.write("CONTROL", INTERRUPT_ENABLE | START)

    def finish(
        self, memory_bytes: int, *, limit: int = 1_000_000, soft_reset: bool = False, patience: int = 3000
    ) -> int:
        """Wait for the interrupt and look at everything; returns the number of the run. patience: see `soft_reset`."""
        wait = self.simulation.wait_interrupt(limit)
        names = ("STATUS", "ERROR", "ERROR_INDEX", "CYCLES_LO", *self.counters)
        registers = {name: self.read(name) for name in names}
        handles = _Handles(wait, registers, self.simulation.dump(self.memory.base, memory_bytes))
        if soft_reset:
            handles.after_reset = self.soft_reset(patience)
        else:
            self.write("STATUS", ACKNOWLEDGE)
        self._runs.append(handles)
        return len(self._runs) - 1

    def soft_reset(self, cycles: int = 3000) -> int:
        """Soft reset, and time for bursts under way; handle of the status after it."""
        self.write("CONTROL", INTERRUPT_ENABLE | SOFT_RESET)
        self.simulation.run(cycles)
        return self.read("STATUS")

    def run(
        self, memory: np.ndarray, program_bytes: int, core_stride: int = 0, *, soft_reset: bool = False,
        **registers: int,
    ) -> int:  # fmt: skip
        """`start` and `finish`."""
        self.start(memory, program_bytes, core_stride, **registers)
        return self.finish(memory.size, soft_reset=soft_reset)

    def execute(self, *, check: bool = True) -> list[Outcome]:
        """Outcomes of all runs. Raises SimulationError for an interrupt that does not come, and, if `check`,
        ProtocolError."""
        result = self.simulation.execute(check=check)
        self.result = result
        outcomes = []
        for handles in self._runs:
            values = {name: result[handle] for name, handle in handles.registers.items()}
            counters = {name: values[name] for name in self.counters}
            after = None if handles.after_reset is None else result[handles.after_reset]
            outcomes.append(Outcome(
                result[handles.wait], values["STATUS"], ErrorCode(values["ERROR"] & 0xFF), values["ERROR_INDEX"],
                values["CYCLES_LO"], counters, result[handles.memory], after, values["ERROR"] >> 8,
            ))  # fmt: skip
        return outcomes
