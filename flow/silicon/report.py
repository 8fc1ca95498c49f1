"""Report of a design on a chip: sums of cells, a part's share, longest paths; the clock after placement and routing."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from pathlib import Path

from triovit.boards.devices import Family
from triovit.flow.arguments import Named, number, whole
from triovit.flow.durations import earlier, record
from triovit.flow.errors import UsageError
from triovit.flow.output import say, table
from triovit.flow.progress import steps
from triovit.flow.silicon.netlist import read_netlist
from triovit.flow.silicon.place_and_route import PARTS, check_tool, place_and_route, show_routed
from triovit.flow.silicon.sums import FAMILIES, check_part, shares, show_part, show_sums, verdict
from triovit.flow.silicon.timing import MODELS, analyze, show_timing
from triovit.flow.silicon.usage import usage_tree
from triovit.flow.synthesis import ALIASES, Synthesis, synthesize

DEPTH, PATHS = 2, 15
CLOCK, ROUTED_CLOCK = 5.0, 10.0  # ns
KEPT_SECONDS = 2  # finding what is kept takes less


def add_report_options(parser: ArgumentParser) -> None:
    """What a report shows."""
    group = parser.add_argument_group("report of the synthesis")
    group.add_argument("--part", type=Named, metavar="NAME", help="FPGA or board that it should fit, as XCZU9EG")
    group.add_argument(
        "--depth", type=whole(0, 99), metavar="N", help=f"levels of modules in the table (default {DEPTH})"
    )
    group.add_argument(
        "--clock",
        type=number(0.01, 1000),
        metavar="NS",
        help=f"period to time against (default {CLOCK:g}; {ROUTED_CLOCK:g} for placement)",
    )
    group.add_argument(
        "--paths", type=whole(0, 10_000), metavar="N", help=f"families of longest paths (default {PATHS})"
    )
    group.add_argument(
        "--place-and-route",
        choices=PARTS,
        metavar="PART",
        help=f"with nextpnr on one of {', '.join(PARTS)}: the clock that it reaches, its critical path",
    )


def check_report_options(options: Namespace, target: str | None) -> None:
    """Raise UsageError, before any work is done, for options that do not go with what is made."""
    device = ALIASES.get(target or "", target)
    for name in ("part", "depth", "clock", "paths"):
        if getattr(options, name) is None or (name == "clock" and options.place_and_route):
            continue
        if device is None:
            raise UsageError(f"--{name} goes with a synthesis for one of {', '.join(FAMILIES)}, and none is asked for")
        if name in ("clock", "paths") and device not in MODELS:
            raise UsageError(f"--{name}: the timing model must be for one of {', '.join(MODELS)}, not {device}")
        if device not in FAMILIES:
            raise UsageError(f"--{name} goes with a synthesis for one of {', '.join(FAMILIES)}, not for {device}")
    check_part(options.part, device or "")
    if options.place_and_route:
        check_tool()


def make_report(
    title: str, files: list[Path], top: str, target: str | None, options: Namespace, log: Path | None = None
) -> dict:
    """Synthesize for a target, place and route where that is asked for; print what came of it and return it for JSON.

    log: gets a copy of the log of the synthesis.
    """
    found, kilobytes = {}, sum(file.stat().st_size for file in files) // 1000
    if target:
        kind = f"synthesis for {target}"
        say(f"Yosys hierarchical synthesis ({target}) of {kilobytes:,} kB of Verilog{earlier(kind)} ...")
        started = time.time()
        with steps(f"Yosys ({target})") as update:
            synthesis = synthesize(files, target, top, log, update)
        _tell(kind, "synthesis", kilobytes, time.time() - started)
        found = {"cells": synthesis.cells(), "synthesis": _report_synthesis(title, synthesis, options)}
    if part := options.place_and_route:
        kind = f"placement and routing for {part}"
        say(f"Yosys and nextpnr ({part}) of {kilobytes:,} kB of Verilog{earlier(kind)} ...")
        started = time.time()
        with steps(f"nextpnr ({part})") as update:
            routed = place_and_route(files, part, top, 1000 / (options.clock or ROUTED_CLOCK), update)
        _tell(kind, "placement and routing", kilobytes, time.time() - started)
        show_routed(title, routed)
        found["place_and_route"] = routed.report()
    return found


def _tell(kind: str, what: str, kilobytes: int, seconds: float) -> None:
    if seconds > KEPT_SECONDS:
        record(kind, kilobytes, seconds)
    say(f"{what} took {seconds:.0f} s")


def _report_synthesis(title: str, synthesis: Synthesis, options: Namespace) -> dict:
    device, heading = synthesis.device, f"{title}: cells after Yosys synthesis for {synthesis.device} (an estimate)"
    counts = sorted(synthesis.cells().items(), key=lambda item: (-item[1], item[0]))
    table(heading, [("cell", "left"), ("count", "right")], [list(item) for item in counts])
    if device not in FAMILIES:
        return {"device": device}
    netlist = read_netlist(synthesis.netlist, synthesis.top)
    tree = usage_tree(netlist, paired=FAMILIES[device] is Family.XILINX)
    show_sums(f"{title}: modules, one instance each", tree, DEPTH if options.depth is None else options.depth)
    found = {"device": device, "modules": tree.report()}
    if part := check_part(options.part, device):
        needs = shares(tree.total, part)
        show_part(needs, part)
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
