"""Generate the accelerator's Verilog for a configuration.

The folder gets triovit.v (one module a kind), ram.v, triovit.json (ports, modules, instance counts),
configuration.json, registers.md and triovit_registers.h.

  triovit generate --config trio-zcu102 -o build/zcu102 --lint --synthesize xilinx
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from flow.output import console, say, table, write_json
from flow.synthesis import FAMILIES, lint, synthesize
from hdl.config import PRESETS, load_config
from hdl.control.register_map import c_header, markdown_table
from hdl.generate import TOP, emit_accelerator

SUMMARY = "generate Verilog"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        default="trio-core",
        metavar="NAME|FILE",
        help=f"{', '.join(PRESETS)}, or a JSON file (default %(default)s)",
    )
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--lint", action="store_true", help="check the result with Verilator")
    parser.add_argument("--synthesize", choices=FAMILIES, help="hierarchical synthesis with Yosys; prints cell counts")


def execute(options) -> int:
    config = load_config(options.config)
    started = time.time()
    say(f"generating {config.name}: {config.cores} cores, {config.multipliers} multipliers ...")
    emitted = emit_accelerator(config)
    folder = Path(options.output)
    files = emitted.write(folder)
    (folder / "configuration.json").write_text(config.to_json() + "\n")
    (folder / "registers.md").write_text(f"# Registers of {config.name}\n\n{markdown_table(config)}")
    (folder / "triovit_registers.h").write_text(c_header(config))
    seconds = time.time() - started
    console.print(
        f"{folder}: module {TOP}, {len(emitted.modules)} modules, {len(emitted.text):,} bytes of Verilog "
        f"({seconds:.1f} s)",
        soft_wrap=True,
    )
    report = {
        "config": config.name,
        "hash": f"{config.hash:016x}",
        "multipliers": config.multipliers,
        "modules": len(emitted.modules),
        "instances": emitted.instances,
        "bytes": len(emitted.text),
        "seconds": seconds,
    }
    status = 0
    if options.lint:
        warnings = lint(files)
        for line in warnings[:20]:
            console.print(line, markup=False)
        console.print("Verilator lint: clean" if not warnings else f"Verilator lint: {len(warnings)} lines")
        report["lint"] = warnings
        status = 1 if warnings else 0
    if options.synthesize:
        say(f"Yosys hierarchical synthesis ({options.synthesize}) ...")
        cells = synthesize(files, options.synthesize, folder / f"synthesis-{options.synthesize}.log")
        table(
            f"{config.name}: cells after Yosys synthesis for {options.synthesize} (an estimate)",
            [("cell", "left"), ("count", "right")],
            [[name, count] for name, count in sorted(cells.items(), key=lambda item: -item[1])],
        )
        report["cells"] = cells
    write_json(options.json, report)
    return status
