"""What `run` and `compare` share: building the simulated machine and running images on it."""

from __future__ import annotations

import time

import numpy as np

from triovit.compiler.estimate import estimate
from triovit.compiler.memory.program import CompiledProgram
from triovit.flow.arguments import memory_timing
from triovit.flow.durations import earlier, record
from triovit.flow.images import Source
from triovit.flow.output import say
from triovit.flow.progress import steps
from triovit.sim.rtl.machine import MachineRun, RtlMachine
from triovit.sim.rtl.simulation import MemoryModel

KIND = "simulator"  # of work whose duration is told before the next
KEPT_SECONDS = 3  # finding a simulator that is kept takes less
FEWEST_CYCLES = 1 << 26  # a run is given up after this many cycles, or
PATIENCE = 10  # times the estimate, which knows the memory


def build(program: CompiledProgram, options) -> RtlMachine:
    """The machine with the program, its simulator compiled (a minute on first use, then cached)."""
    started = time.time()
    name = program.config.name
    timing = memory_timing(options, program.config.bus_bytes)
    with steps(f"emitting the Verilog of {name}") as update:
        machine = RtlMachine(program, MemoryModel(**timing, seed=options.stall_seed), update)
    kilobytes = sum(file.stat().st_size for file in machine.folder.glob("*.v")) // 1000
    say(f"building the simulator of {name} (a minute or two the first time{earlier(KIND)}) ...")
    began = time.time()
    with steps(f"building the simulator of {name}") as update:
        machine.build(update)
    if time.time() - began > KEPT_SECONDS:
        record(KIND, kilobytes, time.time() - began)
    say(f"simulator ready ({time.time() - started:.1f} s)")
    return machine


def simulate(machine: RtlMachine, sources: list[Source], announce: bool = True) -> list[MachineRun]:
    """Run all images, with progress; announce: say how many runs of how many cycles it will be."""
    expected = estimate(machine.program, machine.memory).cycles
    runs = -(-len(sources) // machine.program.config.cores)
    if announce:
        say(f"simulating {runs} run{'s' * (runs > 1)} of about {expected:,} cycles ...")
    limit = max(FEWEST_CYCLES, PATIENCE * expected)
    with steps("simulating") as update:

        def told(label: str, cycles: int) -> None:
            """Beyond the estimate, as a slow memory's cycles are, there is no saying how much is left."""
            total = runs * expected
            text = f"simulating {label}, cycles"
            update(text, cycles, total) if cycles <= total else update(f"{text} {cycles:,}", 0, 0)

        return machine.run([source.input for source in sources], limit=limit, progress=told)


def read_logits(machine: RtlMachine, runs: list[MachineRun], name: str, count: int) -> np.ndarray:
    """(count, classes) logits: image k is on core k % cores of run k // cores."""
    cores = machine.program.config.cores
    return np.stack([machine.tensor(runs[k // cores], name, k % cores).reshape(-1) for k in range(count)])
