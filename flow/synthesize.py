"""Synthesize one component by itself: what it takes of an FPGA, and its longest paths by name.

Its ports count as registers outside, so that the part of a path that lies within it is seen. ARGUMENT is what the
constructor takes: a number, NAME=VALUE, and for a configuration a preset or a JSON file. A netlist of unchanged Verilog
is kept in the folder of builds.

  triovit synthesize triovit.hdl.rmac.engine:RMACEngine 8 8
  triovit synthesize triovit.hdl.memory.banked:BankedMemory 4096 16 32 2 8 --clock 4
  triovit synthesize triovit.hdl.compute.core:Core trio-core --part XCZU9EG --depth 3
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from pathlib import Path

from triovit.flow.durations import earlier, record
from triovit.flow.errors import UsageError
from triovit.flow.output import say, write_json
from triovit.flow.progress import steps
from triovit.flow.silicon.components import find_class, make
from triovit.flow.silicon.report import add_report_options, check_report_options, report_synthesis
from triovit.flow.synthesis import DEVICES, synthesize
from triovit.hdl.emit.verilog import emit_verilog


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("component", metavar="COMPONENT", help="MODULE:CLASS")
    parser.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="of the constructor")
    parser.add_argument("--target", choices=DEVICES, default="xcup", help="cells to map to (default %(default)s)")
    add_report_options(parser)


def execute(options) -> int:
    check_report_options(options, options.target)
    kind = find_class(options.component)
    component = make(kind, options.arguments)
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind.__name__).lower()
    with tempfile.TemporaryDirectory() as folder:
        with steps(f"emitting the Verilog of {kind.__name__}"):
            try:
                files = emit_verilog(component, name).write(Path(folder))
            except ValueError as error:
                raise UsageError(f"{options.component}: {error}") from None
        label = f"synthesis of a component for {options.target}"
        kilobytes = sum(file.stat().st_size for file in files) // 1000
        say(f"Yosys hierarchical synthesis ({options.target}) of {kilobytes:,} kB of Verilog{earlier(label)} ...")
        started = time.time()
        with steps(f"Yosys ({options.target})") as update:
            synthesis = synthesize(files, options.target, name, progress=update)
        record(label, kilobytes, time.time() - started)
    title = " ".join([options.component, *options.arguments])
    found = {"component": options.component, "arguments": options.arguments}
    write_json(options.json, found | {"synthesis": report_synthesis(title, synthesis, options)})
    return 0
