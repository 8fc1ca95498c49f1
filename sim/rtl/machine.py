"""A compiled program on the accelerator's RTL: emit, build, run images, compare tensors, account cycles by layer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from triovit import hdl
from triovit.compiler.memory.program import CompiledProgram
from triovit.golden.errors import Status, TriovitError
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.config.engines import engines_of
from triovit.hdl.generate import emit_accelerator
from triovit.hdl.isa.engines import counters
from triovit.hdl.isa.names import ErrorCode
from triovit.hdl.isa.registers import REGISTERS, field_mask
from triovit.machine.cycles import watchdog_cycles
from triovit.sim.rtl.simulation import EVENT_DONE, EVENTS, MemoryModel, RtlSimulation
from triovit.sim.toolchain import build_root

INTERRUPT_ENABLE, START = (field_mask("CONTROL", name) for name in ("interrupt_enable", "start"))
ACKNOWLEDGE = field_mask("STATUS", "done", "interrupt")
IMAGES_A_PROCESS = 64  # dumps of one simulation are kept in memory


class MachineError(TriovitError, RuntimeError):
    """The machine stopped with an error code; names the code and the instruction."""

    status = Status.FAILED


@dataclass
class MachineRun:
    """One start of the program.

    cycles: of the machine's own counter. counters: the register file's. memory: feature maps of all cores after the
    run, (cores, core_stride) uint8. layer_cycles: see `RtlMachine._layer_cycles`. events: of the units in this run,
    dtype EVENTS of `sim.rtl.simulation`.
    """

    cycles: int
    counters: dict[str, int]
    memory: np.ndarray
    layer_cycles: dict[str, int] = field(default_factory=dict)
    events: np.ndarray = field(default_factory=lambda: np.zeros(0, EVENTS))


def verilog_folder(config: AcceleratorConfig) -> Path:
    """Folder with the accelerator's Verilog for a configuration; emitted if the hardware's sources are newer."""
    sources = sorted(Path(hdl.__file__).parent.rglob("*.*"))
    digest = hashlib.sha256(config.to_json().encode())
    for path in sources:
        if path.suffix in (".py", ".v"):
            digest.update(path.read_bytes())
    folder = build_root() / "verilog" / f"{config.name}-{digest.hexdigest()[:16]}"
    if not (folder / "triovit.json").is_file():
        emit_accelerator(config).write(folder)
    return folder


class RtlMachine:
    """The accelerator in Verilator with a program in its memory.

    memory: timing and base of the AXI memory; by default a beat a cycle shared by reads and writes, 32 cycles of read
    latency, at address 0. watchdog: what the run writes to the register of that name, see `watchdog_cycles`.
    Raises ToolchainError when the simulator cannot be built.
    """

    def __init__(self, program: CompiledProgram, memory: MemoryModel | None = None):
        self.program = program
        self.memory = memory or MemoryModel(bytes_per_cycle=program.config.data_bytes)
        self.watchdog = watchdog_cycles(program.config, program.instructions, self.memory)
        self.folder = verilog_folder(program.config)
        self.counters = [counter.name for counter in counters(engines_of(program.config))]

    def build(self) -> None:
        """Compile the simulator, if it is not there yet."""
        self._simulation().build()

    def _simulation(self) -> RtlSimulation:
        size = 1 << max(16, (self.program.memory_bytes - 1).bit_length())
        return RtlSimulation(self.folder, self.program.config.data_bytes, self.memory, memory_bytes=size)

    def run(self, images: list[np.ndarray], *, limit: int = 1 << 31, progress: bool = False) -> list[MachineRun]:
        """Run the program once for every `cores` images; images: int8 of the network's input shape.

        Missing images of the last run repeat its first one. Raises MachineError when the machine stops with an error,
        SimulationError after `limit` cycles, ProtocolError when AXI's rules are broken.
        """
        cores = self.program.config.cores
        batches = [images[k : k + cores] for k in range(0, len(images), cores)]
        runs = []
        for first in range(0, len(batches), IMAGES_A_PROCESS):
            runs += self._run(batches[first : first + IMAGES_A_PROCESS], limit, progress)
        return runs

    def _run(self, batches, limit: int, progress: bool) -> list[MachineRun]:
        program = self.program
        simulation = self._simulation()
        image = program.image(fill=0xA5)  # a word that nobody wrote must not look like a padded channel
        simulation.load(self.memory.base, image)
        write = simulation.write_register
        for name, value in {
            "WATCHDOG": self.watchdog,
            "MEMORY_BASE_LO": self.memory.base & 0xFFFFFFFF,
            "MEMORY_BASE_HI": self.memory.base >> 32,
            "MEMORY_SIZE": program.memory_bytes,
            "PROGRAM_BYTES": len(program.program_bytes()),
            "CORE_STRIDE": program.core_stride,
            "CONTROL": INTERRUPT_ENABLE,
        }.items():
            write(REGISTERS[name], value)
        handles = []
        for number, batch in enumerate(batches):
            simulation.mark(f"run {number + 1} of {len(batches)}")
            self._load_images(simulation, image, batch)
            write(REGISTERS["CONTROL"], INTERRUPT_ENABLE | START)
            simulation.wait_interrupt(limit)
            names = ("STATUS", "ERROR", "ERROR_INDEX", "CYCLES_LO", "CYCLES_HI", *self.counters)
            registers = {name: simulation.read_register(REGISTERS[name]) for name in names}
            write(REGISTERS["STATUS"], ACKNOWLEDGE)
            dump = simulation.dump(self.memory.base + program.maps_offset, program.config.cores * program.core_stride)
            handles.append((registers, dump))
        result = simulation.execute(progress=progress)
        return [self._collect(result, number, *handle) for number, handle in enumerate(handles)]

    def _load_images(self, simulation, image, batch):
        program, layout = self.program, self.program.tensors["input"]
        for core in range(program.config.cores):
            program.write_input(image, batch[core] if core < len(batch) else batch[0], core)
            start = program.maps_offset + core * program.core_stride + layout.offset
            simulation.load(self.memory.base + start, image[start : start + layout.bytes])

    def _collect(self, result, number, registers, dump) -> MachineRun:
        values = {name: result[handle] for name, handle in registers.items()}
        if values["ERROR"]:
            index = values["ERROR_INDEX"]
            raise MachineError(
                f"the machine stopped with {ErrorCode(values['ERROR']).name} at instruction {index} "
                f"(layer {self.program.layer_of(index)})"
            )
        program = self.program
        memory = result[dump].reshape(program.config.cores, program.core_stride)
        cycles = values["CYCLES_LO"] | values["CYCLES_HI"] << 32
        counted = {name: values[name] for name in self.counters}
        events = result.events[result.events["mark"] == number + 1]
        return MachineRun(cycles, counted, memory, self._layer_cycles(events), events)

    def _layer_cycles(self, events: np.ndarray) -> dict[str, int]:
        """Cycles of each layer: a finished computation gets the cycles since the one before it, so that layers whose
        tiles alternate share their time, and the sum is the program's up to its last result."""
        computing = [engine.unit for engine in engines_of(self.program.config) if engine.computes]
        computations = np.isin(events["unit"], computing)
        done = events[computations & (events["event"] == EVENT_DONE)]
        cycles: dict[str, int] = {}
        if len(done):
            spent = np.diff(done["cycle"].astype(np.int64), prepend=int(events["cycle"][0]))
            for index, part in zip(done["index"], spent, strict=True):
                layer = self.program.layer_of(int(index))
                cycles[layer] = cycles.get(layer, 0) + int(part)
        return cycles

    def tensor(self, run: MachineRun, name: str, core: int = 0) -> np.ndarray:
        """A tensor that a run left in memory."""
        return self.program.tensors[name].read(run.memory[core], 0)
