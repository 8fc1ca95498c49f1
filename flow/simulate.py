"""What `run` and `compare` share: options of the simulated machine, building and running it."""

from __future__ import annotations

import argparse
import time

from compiler.program import CompiledProgram
from flow.errors import UsageError
from flow.output import say
from flow.sources import Source
from sim.accelerator import MemoryModel
from sim.machine import MachineRun, RtlMachine

DEFAULT_LIMIT = 1 << 31


def add_simulation_options(parser: argparse.ArgumentParser) -> None:
    """Configuration of the machine and timing of its memory."""
    group = parser.add_argument_group("machine and memory")
    group.add_argument("--config", default="trio-core", help="preset or JSON file (default %(default)s)")
    group.add_argument(
        "--bytes-per-cycle",
        type=float,
        metavar="B",
        help="memory bandwidth, reads and writes together (default: one beat a cycle)",
    )
    group.add_argument("--read-latency", type=int, default=32, metavar="CYCLES", help="default %(default)s")
    group.add_argument("--write-latency", type=int, default=8, metavar="CYCLES", help="default %(default)s")
    group.add_argument(
        "--stalls",
        type=float,
        default=0.0,
        metavar="P",
        help="probability of a stall in every cycle on every AXI channel",
    )
    group.add_argument("--stall-seed", type=int, default=1, metavar="N", help="default %(default)s")


def memory_model(options, data_bytes: int) -> MemoryModel:
    """Memory timing from the options; raises UsageError."""
    try:
        return MemoryModel(
            read_latency=options.read_latency,
            write_latency=options.write_latency,
            bytes_per_cycle=options.bytes_per_cycle or data_bytes,
            stall_probability=options.stalls,
            seed=options.stall_seed,
        )
    except ValueError as error:
        raise UsageError(str(error)) from None


def build(program: CompiledProgram, options) -> RtlMachine:
    """The machine with the program, its simulator compiled (a minute on first use, then cached)."""
    started = time.time()
    say(f"building the simulator of {program.config.name} ...")
    machine = RtlMachine(program, memory_model(options, program.config.data_bytes))
    machine.build()
    say(f"simulator ready ({time.time() - started:.1f} s)")
    return machine


def simulate(machine: RtlMachine, sources: list[Source]) -> list[MachineRun]:
    """Run all images, with progress."""
    return machine.run([source.input for source in sources], limit=DEFAULT_LIMIT, progress=True)
