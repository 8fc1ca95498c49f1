"""A compiled program on the accelerator's RTL: emit, build, run images, compare tensors, account cycles by layer."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from triovit.compiler.memory.program import CompiledProgram
from triovit.golden.errors import Status, TriovitError
from triovit.hdl.config.engines import engines_of
from triovit.hdl.integrity.monitor import fault_text
from triovit.hdl.isa.engines import counters
from triovit.hdl.isa.registers import REGISTERS, field_mask
from triovit.machine.cycles import watchdog_cycles
from triovit.sim.cache import Progress
from triovit.sim.rtl.simulation import EVENT_DONE, EVENTS, Cycles, MemoryModel, RtlSimulation
from triovit.sim.rtl.verilog import verilog_folder

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


class RtlMachine:
    """The accelerator in Verilator with a program in its memory.

    memory: timing and base of the AXI memory; by default a beat of each port per cycle shared by reads and writes, 32
    cycles of read latency, at address 0. watchdog: what the run writes to the register of that name, see
    `watchdog_cycles`. progress: called while the Verilog is emitted, on first use. Raises BuildFolderError when it
    cannot be written.
    """

    def __init__(self, program: CompiledProgram, memory: MemoryModel | None = None, progress: Progress | None = None):
        self.program = program
        self.memory = memory or MemoryModel(bytes_per_cycle=program.config.bus_bytes)
        self.watchdog = watchdog_cycles(program.config, program.instructions, self.memory)
        self.folder = verilog_folder(program.config, progress)
        self.counters = [counter.name for counter in counters(engines_of(program.config))]
        if program.config.integrity:
            self.counters.append("CORRECTED")

    def build(self, progress: Progress | None = None) -> None:
        """Compile the simulator, if it is not there yet; progress: called meanwhile. Raises ToolchainError."""
        self._simulation().build(progress)

    def _simulation(self) -> RtlSimulation:
        size = 1 << max(16, (self.program.memory_bytes - 1).bit_length())
        return RtlSimulation(self.folder, self.program.config.data_bytes, self.memory, memory_bytes=size)

    def run(
        self, images: list[np.ndarray], *, limit: int = 1 << 31, progress: Cycles | None = None
    ) -> list[MachineRun]:
        """Run the program once for every `cores` images; images: int8 of the network's input shape.

        Cores without an image of the last run take no part in it. Raises MachineError when the machine stops with an
        error, SimulationError after `limit` cycles, ProtocolError when AXI's rules are broken. progress: called with
        the run under way and the cycles of all runs so far.
        """
        cores = self.program.config.cores
        batches = [images[k : k + cores] for k in range(0, len(images), cores)]
        runs = []
        for first in range(0, len(batches), IMAGES_A_PROCESS):
            before = sum(run.cycles for run in runs)
            told = progress and (lambda label, cycles, before=before: progress(label, before + cycles))
            runs += self._run(batches[first : first + IMAGES_A_PROCESS], limit, told)
        return runs

    def _run(self, batches, limit: int, progress: Cycles | None) -> list[MachineRun]:
        program = self.program
        simulation = self._simulation()
        image = program.image(fill=0xA5)  # a word that nobody wrote must not look like a padded channel
        simulation.load(self.memory.base, image)
        write = simulation.write_register
        for name, value in {
            "WATCHDOG": self.watchdog,
            "MEMORY_BASE_LO": self.memory.base & 0xFFFFFFFF,
            "MEMORY_BASE_HI": self.memory.base >> 32,
            "MEMORY_SIZE": program.partition_bytes,
            "PORT_STRIDE": program.partition_bytes,
            "PROGRAM_BYTES": len(program.program_bytes()),
            "CORE_STRIDE": program.core_stride,
            "CONTROL": INTERRUPT_ENABLE,
        }.items():
            write(REGISTERS[name], value)
        handles = []
        for number, batch in enumerate(batches):
            simulation.mark(f"run {number + 1} of {len(batches)}")
            self._load_images(simulation, image, batch)
            mask = (1 << len(batch)) - 1
            write(REGISTERS["CORE_MASK_LO"], mask & 0xFFFFFFFF)
            write(REGISTERS["CORE_MASK_HI"], mask >> 32)
            write(REGISTERS["CONTROL"], INTERRUPT_ENABLE | START)
            simulation.wait_interrupt(limit)
            names = ("STATUS", "ERROR", "ERROR_INDEX", "CYCLES_LO", "CYCLES_HI", *self.counters)
            registers = {name: simulation.read_register(REGISTERS[name]) for name in names}
            write(REGISTERS["STATUS"], ACKNOWLEDGE)
            starts = (self.memory.base + program.maps_of(core) for core in range(program.config.cores))
            dumps = [simulation.dump(start, program.core_stride) for start in starts]
            handles.append((registers, dumps))
        result = simulation.execute(progress=progress)
        return [self._collect(result, number, *handle) for number, handle in enumerate(handles)]

    def _load_images(self, simulation, image, batch):
        program, layout = self.program, self.program.tensors["input"]
        for core, one in enumerate(batch):
            program.write_input(image, one, core)
            start = program.maps_of(core) + layout.offset
            simulation.load(self.memory.base + start, image[start : start + layout.bytes])

    def _collect(self, result, number, registers, dumps) -> MachineRun:
        values = {name: result[handle] for name, handle in registers.items()}
        if values["ERROR"]:
            index = values["ERROR_INDEX"]
            raise MachineError(
                f"the machine stopped with {fault_text(values['ERROR'])} at instruction {index} "
                f"(layer {self.program.layer_of(index)})"
            )
        memory = np.stack([result[dump] for dump in dumps])
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
