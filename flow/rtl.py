"""What `run` and `compare` share: building the simulated machine and running images on it."""

from __future__ import annotations

import time

import numpy as np

from triovit.compiler.estimate import estimate
from triovit.compiler.memory.program import CompiledProgram
from triovit.flow.images import Source
from triovit.flow.output import messages, say
from triovit.sim.rtl.machine import MachineRun, RtlMachine
from triovit.sim.rtl.simulation import MemoryModel

FEWEST_CYCLES = 1 << 26  # a run is given up after this many cycles, or
PATIENCE = 1000  # times the estimate, which slow memories need


def memory_model(options, data_bytes: int) -> MemoryModel:
    """Memory timing from the options."""
    return MemoryModel(
        read_latency=options.read_latency,
        write_latency=options.write_latency,
        bytes_per_cycle=data_bytes if options.bytes_per_cycle is None else options.bytes_per_cycle,
        stall_probability=options.stalls,
        seed=options.stall_seed,
    )


def build(program: CompiledProgram, options) -> RtlMachine:
    """The machine with the program, its simulator compiled (a minute on first use, then cached)."""
    started = time.time()
    say(f"building the simulator of {program.config.name} (a minute or two the first time) ...")
    machine = RtlMachine(program, memory_model(options, program.config.data_bytes))
    machine.build()
    say(f"simulator ready ({time.time() - started:.1f} s)")
    return machine


def simulate(machine: RtlMachine, sources: list[Source], announce: bool = True) -> list[MachineRun]:
    """Run all images, with progress on a terminal; announce: say how many runs of how many cycles it will be."""
    expected = estimate(machine.program).cycles
    runs = -(-len(sources) // machine.program.config.cores)
    if announce:
        say(f"simulating {runs} run{'s' * (runs > 1)} of about {expected:,} cycles ...")
    limit = max(FEWEST_CYCLES, PATIENCE * expected)
    return machine.run([source.input for source in sources], limit=limit, progress=messages.is_terminal)


def read_logits(machine: RtlMachine, runs: list[MachineRun], name: str, count: int) -> np.ndarray:
    """(count, classes) logits: image k is on core k % cores of run k // cores."""
    cores = machine.program.config.cores
    return np.stack([machine.tensor(runs[k // cores], name, k % cores).reshape(-1) for k in range(count)])
