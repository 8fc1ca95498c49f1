"""Generate the accelerator's Verilog for a configuration.

The folder gets triovit.v (one module a kind), ram.v, triovit.json (ports, modules, instance counts),
configuration.json, registers.md and triovit_registers.h.

  triovit generate -o build/core
  triovit generate --config trio-zcu102 -o build/zcu102 --lint --synthesize xilinx
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from triovit.flow.arguments import Output, add_config_option
from triovit.flow.configurations import find_config
from triovit.flow.errors import UsageError
from triovit.flow.output import say, show, table, write_json
from triovit.flow.synthesis import DEVICES, lint, synthesize
from triovit.golden.files import whole_files
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.emit.verilog import EmittedVerilog
from triovit.hdl.generate import TOP, emit_accelerator
from triovit.hdl.isa.registers import c_header, markdown_table

LINES_SHOWN = 20


def configure(parser: argparse.ArgumentParser) -> None:
    add_config_option(parser)
    parser.add_argument("-o", "--output", type=Output, required=True, metavar="DIR", help="folder to write")
    parser.add_argument("--lint", action="store_true", help="check the result with Verilator")
    parser.add_argument("--synthesize", choices=DEVICES, help="hierarchical synthesis with Yosys; prints cell counts")


def execute(options) -> int:
    folder = Path(options.output)
    _check_folder(folder)
    config = find_config(options.config)
    started = time.time()
    say(f"generating {config.name}: {config.cores} cores, {config.multipliers} multipliers ...")
    emitted = emit_accelerator(config)
    files = _write(emitted, config, folder)
    seconds = time.time() - started
    show(
        f"{folder}: module {TOP}, {len(emitted.modules)} modules, {len(emitted.text):,} bytes of Verilog "
        f"({seconds:.1f} s)"
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
        for line in warnings[:LINES_SHOWN]:
            show(line)
        show("Verilator lint: clean" if not warnings else f"Verilator lint: {len(warnings)} lines")
        report["lint"] = warnings
        status = 1 if warnings else 0
    if options.synthesize:
        report["cells"] = _synthesize(files, options.synthesize, config, folder)
    write_json(options.json, report)
    return status


def _check_folder(folder: Path) -> None:
    """Raise UsageError, before any work is done, when files could not be written into a folder."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise UsageError(f"--output {folder}: {existing} is no folder")
    if not os.access(existing, os.W_OK):
        raise UsageError(f"--output {folder}: {existing} may not be written")


def _write(emitted: EmittedVerilog, config: AcceleratorConfig, folder: Path) -> list[Path]:
    """Write everything or nothing; returns the Verilog files."""
    texts = {
        "configuration.json": config.to_json() + "\n",
        "registers.md": f"# Registers of {config.name}\n\n{markdown_table(config)}",
        "triovit_registers.h": c_header(config),
    }
    with whole_files(folder) as partial:
        files = [folder / file.name for file in emitted.write(partial)]
        for name, text in texts.items():
            (partial / name).write_text(text, encoding="utf-8")
    return files


def _synthesize(files: list[Path], device: str, config: AcceleratorConfig, folder: Path) -> dict[str, int]:
    """Cell counts of the whole design, also as a table."""
    say(f"Yosys hierarchical synthesis ({device}) ...")
    started = time.time()
    cells = synthesize(files, device, folder / f"synthesis-{device}.log")
    table(
        f"{config.name}: cells after Yosys synthesis for {device} (an estimate)",
        [("cell", "left"), ("count", "right")],
        [[name, count] for name, count in sorted(cells.items(), key=lambda item: (-item[1], item[0]))],
    )
    say(f"synthesis took {time.time() - started:.0f} s")
    return cells
