"""Synthesize one component by itself: what it takes of an FPGA, and its longest paths by name.

Its ports count as registers outside, so that the part of a path that lies within it is seen. ARGUMENT is what the
constructor takes: a number, NAME=VALUE, and for a configuration a preset or a JSON file. Multipliers are those of the
technology: the configuration's if there is one, else generic. A netlist of unchanged Verilog is kept in the folder of
builds.

  triovit synthesize triovit.hdl.rmac.engine:RMACEngine 8 8 --technology ultrascale
  triovit synthesize triovit.hdl.memory.rotator:Rotator 8 64 --clock 4
  triovit synthesize triovit.hdl.compute.core:Core trio-core --part XCZU9EG --depth 3
  triovit synthesize triovit.hdl.mat.engine:MATEngine 8 8 --place-and-route ecp5-85k
"""

from __future__ import annotations

import argparse
import re
import tempfile
from pathlib import Path

from triovit.flow.arguments import Named
from triovit.flow.output import write_json
from triovit.flow.progress import steps
from triovit.flow.silicon.components import find_class, make
from triovit.flow.silicon.report import add_report_options, check_report_options, make_report
from triovit.flow.synthesis import DEVICES
from triovit.hdl.config.accelerator import AcceleratorConfig
from triovit.hdl.emit.verilog import emit_verilog
from triovit.hdl.technology import GENERIC, TECHNOLOGIES

DEFAULT = "xcup"
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*|[a-z0-9]+")  # of the name of a class


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("component", type=Named, metavar="COMPONENT", help="MODULE:CLASS")
    parser.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="of the constructor")
    parser.add_argument(
        "--target",
        choices=DEVICES,
        help=f"cells to map to (default {DEFAULT}; with --place-and-route none)",
    )
    parser.add_argument("--technology", choices=TECHNOLOGIES, help="what multipliers are made of")
    add_report_options(parser)


def execute(options) -> int:
    target = options.target or (None if options.place_and_route else DEFAULT)
    check_report_options(options, target)
    kind = find_class(options.component)
    component = make(kind, options.arguments)
    name = "_".join(WORD.findall(kind.__name__)).lower()
    if name in {Path(file).stem for file in getattr(component, "VERILOG_FILES", {}).values()}:  # else one file is both
        name += "_top"
    config = getattr(component, "config", None)
    technology = options.technology or (config.technology if isinstance(config, AcceleratorConfig) else GENERIC.name)
    title = " ".join([options.component, *options.arguments, technology])
    with tempfile.TemporaryDirectory() as folder:
        with steps(f"emitting the Verilog of {kind.__name__}"):
            files = emit_verilog(component, name, technology=TECHNOLOGIES[technology]).write(Path(folder))
        found = make_report(title, files, name, target, options)
    asked = {"component": options.component, "arguments": options.arguments, "technology": technology}
    write_json(options.json, asked | found)
    return 0
