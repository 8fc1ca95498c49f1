"""Generate the accelerator's Verilog for a configuration.

The folder gets triovit.v (one module per kind), ram.v, triovit.json (ports, modules, instance counts),
configuration.json, registers.md and triovit_registers.h. With --prefix NAME these are <NAME>.v, <NAME>_ram.v,
<NAME>.json, <NAME>_configuration.json and so on, the names of all modules begin with it, and those of the C header with
it in capitals: accelerators of different prefixes can stand in one design, one folder and one program.

--technology builds the same machine of something else than its configuration says: no program notices. In technology
asic each kind of RAM is a file of its own, <NAME>_ram_<depth>x<width>..., in which a macro can take the behaviour's
place, and the kinds are printed with their bits (docs/asic.md).

With --trace the top module also has ports that show which instructions each unit accepts and ends, as the simulators
of this project want them; leave it out for hardware.

  triovit generate -o build/core
  triovit generate --config trio-tiny --prefix left -o build/cores
  triovit generate --technology asic -o build/asic --lint
  triovit generate --config trio-zcu102 -o build/zcu102 --lint --synthesize xcup --part XCZU9EG
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import time
from pathlib import Path

from triovit.flow.arguments import Output, add_config_option
from triovit.flow.configurations import find_config
from triovit.flow.errors import UsageError
from triovit.flow.output import Column, say, show, table, write_json
from triovit.flow.progress import steps
from triovit.flow.silicon.report import add_report_options, check_report_options, make_report
from triovit.flow.synthesis import DEVICES, lint
from triovit.golden.files import whole_files
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.emit.verilog import EmittedVerilog, check_module_name
from triovit.hdl.generate import TOP, emit_accelerator
from triovit.hdl.isa.registers import c_header, markdown_table
from triovit.hdl.technology import TECHNOLOGIES

LINES_SHOWN = 20


def configure(parser: argparse.ArgumentParser) -> None:
    add_config_option(parser)
    parser.add_argument("-o", "--output", type=Output, required=True, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--prefix", type=_prefix, metavar="NAME", help=f"top module and beginning of all names ({TOP} unless given)"
    )
    parser.add_argument("--technology", choices=TECHNOLOGIES, help="what it is built of (that of the configuration)")
    parser.add_argument(
        "--trace",
        action="store_true",
        help="with ports that show which instructions each unit accepts and ends, for simulation",
    )
    parser.add_argument("--lint", action="store_true", help="check the result with Verilator")
    parser.add_argument(
        "--synthesize",
        choices=DEVICES,
        metavar="TARGET",
        help=f"hierarchical synthesis with Yosys for one of {', '.join(DEVICES)}: cells and, for xcup, longest paths",
    )
    add_report_options(parser)


def execute(options) -> int:
    folder = Path(options.output)
    _check_folder(folder)
    check_report_options(options, options.synthesize)
    config = find_config(options.config)
    if options.technology:
        config = dataclasses.replace(config, technology=options.technology)
    started = time.time()
    say(f"generating {config.name}: {config.cores} cores, {config.multipliers} multipliers ...")
    with steps(f"emitting the Verilog of {config.name}"):
        emitted = emit_accelerator(config, prefix=options.prefix or TOP, trace=options.trace)
    files = _write(emitted, config, folder)
    seconds = time.time() - started
    show(
        f"{folder}: module {emitted.name}, {len(emitted.modules)} modules, {len(emitted.text):,} bytes of Verilog "
        f"({seconds:.1f} s)"
    )
    report = {
        "config": config.name,
        "hash": f"{config.hash:016x}",
        "multipliers": config.multipliers,
        "technology": config.technology,
        "memories": emitted.memories(),
        "modules": len(emitted.modules),
        "instances": emitted.instances,
        "bytes": len(emitted.text),
        "seconds": seconds,
    }
    if TECHNOLOGIES[config.technology].macros:
        _show_memories(report["memories"])
    status = 0
    if options.lint:
        with steps("Verilator lint"):
            warnings = lint(files, emitted.name)
        for line in warnings[:LINES_SHOWN]:
            show(line)
        show("Verilator lint: clean" if not warnings else f"Verilator lint: {len(warnings)} lines")
        report["lint"] = warnings
        status = 1 if warnings else 0
    if options.synthesize or options.place_and_route:
        log = folder / _file(emitted.name, f"synthesis-{options.synthesize}.log")
        report |= make_report(config.name, files, emitted.name, options.synthesize, options, log)
    write_json(options.json, report)
    return status


def _show_memories(kinds: list[dict]) -> None:
    """Kinds of RAM that a macro can take the place of, and what the queues have in registers."""
    macros = [kind for kind in kinds if kind["component"] == "Ram"]
    names = {"words": "depth", "bits": "width", "strobes": "parts", "read latency": "latency", "instances": "instances"}
    columns: list[Column] = [("module", "left"), *((heading, "right") for heading in (*names, "bits in all"))]
    rows = [
        (kind["module"], *(kind[name] for name in names.values()), kind["bits"] * kind["instances"]) for kind in macros
    ]
    table("memories, one write port and one read port each", columns, rows)
    rest = sum(kind["bits"] * kind["instances"] for kind in kinds if kind not in macros)
    show(f"{rest:,} bits more in registers: queues of control and DMA")


def _prefix(text: str) -> str:
    """Type of the name of a top module."""
    try:
        check_module_name(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a Verilog identifier, and no keyword, not {text}") from None
    return text


def _check_folder(folder: Path) -> None:
    """Raise UsageError, before any work is done, when files could not be written into a folder."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise UsageError(f"--output {folder}: {existing} is no folder")
    if not os.access(existing, os.W_OK):
        raise UsageError(f"--output {folder}: {existing} may not be written")


def _file(prefix: str, name: str) -> str:
    """Name of a file that every accelerator has."""
    return name if prefix == TOP else f"{prefix}_{name}"


def _write(emitted: EmittedVerilog, config: AcceleratorConfig, folder: Path) -> list[Path]:
    """Write everything or nothing; returns the Verilog files."""
    prefix = emitted.name
    texts = {
        _file(prefix, "configuration.json"): config.to_json() + "\n",
        _file(prefix, "registers.md"): f"# Registers of {config.name}\n\n{markdown_table(config)}",
        f"{prefix}_registers.h": c_header(config, prefix.upper()),
    }
    with whole_files(folder) as partial:
        files = [folder / file.name for file in emitted.write(partial)]
        for name, text in texts.items():
            (partial / name).write_text(text, encoding="utf-8")
    return files
