"""Compile a quantized network into a program and its constants for a configuration.

Prints estimates of every layer's cycles with a memory of the given timing; 'triovit compare' measures them on the RTL.

  triovit compile bundled --config trio-core -o b0.program.safetensors
  triovit compile b1-r224 --bytes-per-cycle 8 --read-latency 100
  triovit disassemble b0.program.safetensors
"""

from __future__ import annotations

import argparse
from pathlib import Path

from triovit.compiler.compile import compile_network
from triovit.compiler.estimate import estimate
from triovit.flow.arguments import Input, Output, add_machine_options, add_seed_option, memory_timing
from triovit.flow.configurations import find_config
from triovit.flow.network_names import BUNDLED
from triovit.flow.networks import NETWORK_HELP, find_network
from triovit.flow.output import check_replaceable, show, table, write_json
from triovit.flow.progress import steps
from triovit.flow.tables import Column
from triovit.golden.integer.names import short_names
from triovit.machine.memory_timing import MemoryTiming


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("network", type=Input, nargs="?", default=BUNDLED, metavar="NETWORK", help=NETWORK_HELP)
    parser.add_argument("-o", "--output", type=Output, metavar="FILE", help="program to write (.safetensors)")
    parser.add_argument("--trace", action="store_true", help="store attention intermediates in memory too")
    add_seed_option(parser)
    add_machine_options(parser)


def execute(options) -> int:
    check_replaceable("--output", options.output)
    config = find_config(options.config)
    network = find_network(options.network, options.seed)
    with steps(f"compiling {network.name}"):
        program = compile_network(network, config, trace=options.trace)
    if options.output:
        program.save(options.output)
    memory = MemoryTiming(**memory_timing(options, config.bus_bytes))
    result = estimate(program, memory)
    names = short_names(e.name for e in result.layers)
    rows = [[names[e.name], e.macs, e.compute, e.bytes, e.instructions, e.cycles] for e in result.layers]
    columns: list[Column] = [
        ("layer", "left"),
        ("MACs", "right", 3),
        ("steps", "right", 1),
        ("bytes", "right", 2),
        ("instructions", "right", 0),
        ("cycles (estimate)", "right"),
    ]
    table(f"{network.name} on {config.name}", columns, rows)
    written = f"{options.output} ({Path(options.output).stat().st_size:,} bytes): " if options.output else ""
    show(
        f"{written}{len(program.instructions):,} instructions, {program.memory_bytes:,} bytes of memory, "
        f"about {result.cycles:,} cycles, {100 * result.utilization:.1f} % of the multipliers (estimates)"
    )
    show(f"estimated for a memory of {memory}")
    write_json(
        options.json,
        {
            "network": network.name,
            "config": config.name,
            "hash": f"{config.hash:016x}",
            "instructions": len(program.instructions),
            "memory_bytes": program.memory_bytes,
            "estimated_cycles": result.cycles,
            "memory": vars(memory),
            "layers": [vars(e) for e in result.layers],
        },
    )
    return 0
