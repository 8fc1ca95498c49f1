"""Report of a synthesis: sums of cells, a part's share, and the longest paths."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from triovit.flow.arguments import Named, number, whole
from triovit.flow.errors import UsageError
from triovit.flow.output import table
from triovit.flow.silicon.netlist import read_netlist
from triovit.flow.silicon.sums import FAMILIES, check_part, shares, show_part, show_sums, verdict
from triovit.flow.silicon.timing import MODELS, analyze, show_timing
from triovit.flow.silicon.usage import usage_tree
from triovit.flow.synthesis import ALIASES, Synthesis

CLOCK, DEPTH, PATHS = 5.0, 2, 15


def add_report_options(parser: ArgumentParser) -> None:
    """What a report of a synthesis shows."""
    group = parser.add_argument_group("report of the synthesis")
    group.add_argument("--part", type=Named, metavar="NAME", help="FPGA or board that it should fit, as XCZU9EG")
    group.add_argument(
        "--depth", type=whole(0, 99), metavar="N", help=f"levels of modules in the table (default {DEPTH})"
    )
    group.add_argument(
        "--clock", type=number(0.01, 1000), metavar="NS", help=f"period to time against (default {CLOCK:g})"
    )
    group.add_argument("--paths", type=whole(0, 10_000), metavar="N", help=f"families of paths (default {PATHS})")


def check_report_options(options: Namespace, target: str | None) -> None:
    """Raise UsageError, before any work is done, for options that do not go with what is synthesized."""
    device = ALIASES.get(target or "", target)
    for name in ("part", "depth", "clock", "paths"):
        if getattr(options, name) is None:
            continue
        if device is None:
            raise UsageError(f"--{name} goes with --synthesize TARGET")
        if name in ("clock", "paths") and device not in MODELS:
            raise UsageError(f"--{name}: the timing model must be for one of {', '.join(MODELS)}, not {device}")
        if device not in FAMILIES:
            raise UsageError(f"--{name} goes with one of {', '.join(FAMILIES)}, not {device}: its cells are no FPGA's")
    check_part(options.part, device or "")


def report_synthesis(title: str, synthesis: Synthesis, options: Namespace) -> dict:
    """Print what a synthesis gave, and return it as JSON can hold it."""
    device, cells = synthesis.device, synthesis.cells()
    found: dict = {"device": device, "cells": cells}
    if device not in FAMILIES:
        rows = [[name, count] for name, count in sorted(cells.items(), key=lambda item: (-item[1], item[0]))]
        table(
            f"{title}: cells after Yosys synthesis for {device} (an estimate)",
            [("cell", "left"), ("count", "right")],
            rows,
        )
        return found
    netlist = read_netlist(synthesis.netlist, synthesis.top)
    tree = usage_tree(netlist)
    depth = DEPTH if options.depth is None else options.depth
    show_sums(f"{title}: cells after Yosys synthesis for {device} (an estimate), of one instance each", tree, depth)
    found["modules"] = tree.report()
    if part := check_part(options.part, device):
        show_part(tree.total, part)
        needs = shares(tree.total, part)
        found["part"] = {
            "name": part.device,
            "verdict": verdict(needs),
            "shares": [{"resource": name, "need": need, "has": has} for name, need, has in needs],
        }
    if device in MODELS:
        paths = PATHS if options.paths is None else options.paths
        timing = analyze(netlist, device, options.clock or CLOCK, paths)
        show_timing(timing)
        found["timing"] = timing.report()
    return found
